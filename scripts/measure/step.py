"""The training step of scripts/measure/compare.yaml beside the same model in transformers and PyTorch:
eager (SDPA, fused AdamW) and compiled, and beside the step's matrix products alone."""

import json
import pathlib
import statistics
import sys
import sysconfig
import tempfile

from rounds import CONFIG, Worker, cloze, ratio_of_rounds, take_turns

MODES = ["eager", "compile", "products"]
TILES = "cloze, tiles"  # Products on the tile unit instead of by the library that PyTorch calls.


def settings_of(config):
    names = ["num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads",
             "head_dim", "intermediate_size", "vocab_size", "max_position_embeddings",
             "partial_rotary_factor", "attention_bias", "tie_word_embeddings"]
    model = {name: config["model"][name] for name in names}
    model["rms_norm_eps"] = config["model"]["norm_eps"]
    model["rope_theta"] = config["model"]["rope_theta"]
    return {"model": model, "optimizer": config["optimizer"], "rows": config["batch"]["global_size"],
            "seq_length": config["data"]["seq_length"]}


def measure(options, config):
    def ours(*settings):
        figures = cloze(["bench", "step", CONFIG, "--steps", str(options.steps), "--json", *settings],
                        options.threads)
        return figures | {"seconds": figures["step_seconds_each"]}

    if not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists():
        sys.exit("torch.compile needs Python's headers; fix: apt-get install python3-dev")
    with tempfile.TemporaryDirectory() as folder:
        settings = pathlib.Path(folder) / "settings.json"
        settings.write_text(json.dumps(settings_of(config)))
        workers = {mode: Worker("pytorch_step.py", settings, mode, options.threads,
                                threads=options.threads) for mode in MODES}
        measures = {"cloze": ours}
        if "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text():
            measures[TILES] = lambda: ours("--set", "precision.products=tiles")
        for mode, worker in workers.items():
            measures[mode] = lambda worker=worker: worker.ask(options.steps)
        rounds = take_turns(measures, options.rounds)
        for mode, worker in workers.items():
            parameters = rounds["cloze"][0]["parameters"]
            if worker.facts.get("parameters", parameters) != parameters:
                sys.exit(f"{mode} has {worker.facts['parameters']} parameters, not {parameters}")
            worker.close()
    return summary(rounds, config, workers)


def summary(rounds, config, workers):
    tokens = config["batch"]["global_size"] * config["data"]["seq_length"]
    medians = {name: [statistics.median(part["seconds"]) for part in parts]
               for name, parts in rounds.items()}
    result = {"tokens_per_step": tokens,
              "mfu": statistics.median(part["mfu"] for part in rounds["cloze"])}
    for name, parts in rounds.items():
        seconds = statistics.median(second for part in parts for second in part["seconds"])
        result[name] = {"step_seconds": seconds, "tokens_per_second": tokens / seconds,
                        "memory_bytes": max(part["memory_bytes"] for part in parts),
                        "ratio": ratio_of_rounds(medians[name], medians["cloze"])}
        if name in workers:
            result[name] |= workers[name].facts
    return result


def table(result):
    yield "| training step | s | tokens/s | memory, GB | of it libraries, GB | time against cloze |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, part in result.items():
        if isinstance(part, dict):
            libraries = f"{part['import_bytes'] / 1e9:.2f}" if "import_bytes" in part else ""
            yield (f"| {name} | {part['step_seconds']:.3f} | {part['tokens_per_second']:.0f} | "
                   f"{part['memory_bytes'] / 1e9:.2f} | {libraries} | {part['ratio']:.2f} |")
    yield ""
    yield ("products: the step's matrix products alone, without attention's, by the library that PyTorch "
           "calls; no trainer that calls it can be faster")
    yield f"MFU of cloze: {result['mfu']:.3f} of the machine's fp32 product"
