"""Seeds of the files around a job: hostfiles, the output of mpirun, model folders, a run's folder."""

import json

from seed_files import SEPARATOR, SMALL_CONFIG, write


def hostfile_seeds():
    write("hostfile", "good", "# two hosts\nnode-1 slots=4\nuser@10.0.0.2\tslots = 8 max_slots=16\n")
    write("hostfile", "sum", "a\na\nb slots=2 # again\n\na slots=3\n")
    for name, text in {
        "nothing": "# none\n\n", "count": "node1:8\n", "twice": "a slots=1 slots=2\n",
        "zero": "a slots=0\n", "large": "a slots=1000001\nb slots=99999999999999999999\n",
        "max": "a slots=4 max-slots=2\n", "windows": "a slots=1\r\n", "unknown": "a cores=4\n",
        "letters": "n\u00f6de slots=1\n", "name": "-a slots=1\n=1\n",
    }.items():
        write("hostfile", name, text)


def job_messages_seeds():
    rule = "-" * 74 + "\n"
    fatal = ('FATAL rank=3 host=node7 step=12 phase=step code=75 what="MPI_Wait: "peer" is gone" '
             'fix="look, then restart"\n')
    paragraphs = {
        "aborted": "Primary job  terminated normally, but 1 process returned\na non-zero exit code.\n",
        "dead": "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).\n",
        "failed": "mpirun detected that one or more processes exited with non-zero status, thus\n"
                  "the job to be terminated.\n\n  Process name: [[22627,1],0]\n  Exit code:    85\n",
        "abort": "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD\nwith errorcode 75.\n",
        "slots": "There are not enough slots available in the system to satisfy the 3\nslots\n",
    }
    for number, (name, text) in enumerate(paragraphs.items()):
        write("job_messages", name, bytes([number * 50]) + (rule + text + rule + fatal).encode())
    write("job_messages", "between", b"\x05" + (rule + paragraphs["dead"] + fatal + rule).encode())
    write("job_messages", "plain", "\x10step 1/2\n  \tindented\r\n-----\n" + fatal + "torn")
    write("job_messages", "remarks", "\x40[vm:7] 3 more processes have sent help message help-x\n"
          "[vm:7] Set MCA parameter \"orte_base_help_aggregate\" to 0\nmpirun: killing job...\n")
    write("job_messages", "open", "\x08" + rule + "a\n" * 70)


def folder_config_seeds():
    flat = {"architectures": ["GlmForCausalLM"], "model_type": "glm", "hidden_act": "silu",
            "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128, "vocab_size": 600,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5, "attention_bias": True, "attention_dropout": 0.1,
            "tie_word_embeddings": False, "initializer_range": 0.02, "eos_token_id": [590, 591],
            "pad_token_id": 590}
    nested = {key: value for key, value in flat.items()
              if key not in ("rope_theta", "partial_rotary_factor")}
    nested["rope_parameters"] = {"rope_type": "default", "rope_theta": 5e5,
                                 "partial_rotary_factor": 0.25}
    for name, change in {
        "flat": {}, "defaults": dict.fromkeys(flat, None) | {"model_type": "glm"},
        "one-eos": {"eos_token_id": 590, "pad_token_id": None}, "other-class": {"model_type": "llama"},
        "own-code": {"auto_map": {}}, "quantized": {"quantization_config": {"bits": 4}},
        "scaled": {"rope_scaling": {"type": "yarn", "factor": 4}}, "text-size": {"hidden_size": "64"},
        "large": {"vocab_size": 1 << 63}, "negative-id": {"eos_token_id": -1},
        "odd-rotary": {"partial_rotary_factor": 0.33}, "act": {"hidden_act": "gelu"},
    }.items():
        write("folder_config", name, json.dumps({**flat, **change}))
    write("folder_config", "nested", json.dumps(nested))
    write("folder_config", "generation",
          json.dumps(flat) + SEPARATOR + json.dumps({"eos_token_id": [7], "pad_token_id": 0}))
    write("folder_config", "generation-damaged", json.dumps(flat) + SEPARATOR + "[")


def run_record_seeds():
    def line(**fields):
        return json.dumps(fields, separators=(",", ":")) + "\n"

    def event(second, kind, **fields):
        return line(time=f"2026-03-01T12:34:{second:02}.789Z", event=kind, **fields)

    metrics = "".join(line(step=step, loss=9 - step, loss_mask=8.5, lr=1e-3, grad_norm=None,
                           tokens_per_second=1e4, mfu=0.4, skipped=step == 3) for step in range(1, 5))
    metrics += line(step=5, loss=None, validation={"loss": 4.5, "loss_mask": 4})
    events = (event(1, "start", ranks=4, pipeline=2, data=1, tensor=2) + event(9, "skip", step=3) +
              event(20, "save", step=4, bytes=100, seconds=0.5, path="<script>&'\"") +
              event(30, "resume", step=4, ranks=4, pipeline=2, data=1, tensor=2) +
              event(40, "own kind", words=["a", {"b": None}]) + event(59, "done", step=5))
    write("run_record", "whole", metrics + SEPARATOR + events + SEPARATOR + SMALL_CONFIG)
    write("run_record", "no-config", metrics + SEPARATOR + events)
    write("run_record", "metrics", metrics)
    write("run_record", "back", metrics + metrics[:200] + SEPARATOR + SEPARATOR + "run: [")
    write("run_record", "torn", metrics[:-7] + SEPARATOR + events[:-9])
    write("run_record", "damaged", b"{\xff}\n\n[1]\n{\"step\":-1}\n{\"loss\":1}\n"
          b"{\"step\":9223372036854775807,\"loss\":1e308}\n{\"step\":1,\"loss\":-1e308}\n")
    write("run_record", "names", line(step=1, validation={"loss": 1, "Loss": 2, "<b>": 3}, x=1, y={}))
    write("run_record", "times", metrics + SEPARATOR + line(time="yesterday", event="start") +
          line(time="1970-01-01T00:00:00Z", event="", step=-1) + line(event=1) +
          event(1, "preempted", ranks=1 << 40, pipeline=-1))
