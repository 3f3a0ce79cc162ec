"""How a training step grows: over the model, the row, the ranks, the microbatches."""

from growth import medians
from rounds import CONFIG, cloze, take_turns

# Layers, hidden size, heads, inner width, vocabulary: 1 to 120 million parameters.
MODELS = [(4, 128, 2, 344, 1024), (6, 192, 3, 512, 4096), (8, 320, 5, 864, 8192),
          (8, 512, 8, 1376, 32000), (12, 768, 12, 2048, 23000)]
SEQUENCE_TOKENS = 8192  # Of a step, whatever the length of a row.
LENGTHS = [128, 256, 512, 1024, 2048, 4096, 8192]
MICROBATCHES = [1, 2, 4, 8, 16, 32]


def settings(values):
    words = []
    for key, value in values.items():
        words += ["--set", f"{key}={value}"]
    return words


def model_settings(layers, hidden, heads, inner, vocab):
    return {"model.num_hidden_layers": layers, "model.hidden_size": hidden,
            "model.num_attention_heads": heads, "model.num_key_value_heads": heads,
            "model.intermediate_size": inner, "model.vocab_size": vocab}


# A model whose steps are short, and whose sizes eight ranks divide.
SMALL = {"model.num_hidden_layers": 8, "model.hidden_size": 256, "model.num_attention_heads": 8,
         "model.num_key_value_heads": 8, "model.head_dim": 32, "model.intermediate_size": 704,
         "model.vocab_size": 8192}


def bench_step(values, options, ranks, threads):
    return cloze(["bench", "step", CONFIG, "--steps", str(options.steps), "--json",
                  *settings(values)], threads, ranks)


def step(values, options, ranks=1, threads=None):
    found = bench_step(values, options, ranks, threads or options.threads)
    return {"parameters": found["parameters"], "step, s": found["step_seconds"],
            "tokens/s": found["tokens_per_second"], "targets/s": found["targets_per_second"],
            "MFU": found["mfu"], "tensors, bytes": found["tensor_bytes"],
            "planned, bytes": found["planned_bytes"], "resident, bytes": found["memory_bytes"]}


def measured(points, options):
    """`points` maps (line, x) to a function; returns the lines with the medians of each."""
    rounds = take_turns(points, options.rounds)
    lines = {}
    for (line, _), parts in rounds.items():
        lines.setdefault(line, []).append(medians(parts))
    return [{"name": line, "points": found} for line, found in lines.items()]


def model(options):
    points = {}
    for sizes in MODELS:
        points["model", sizes] = lambda sizes=sizes: step(model_settings(*sizes), options)
    return {"title": "a step of 4 x 512 tokens over the model's size", "x": "parameters",
            "columns": ["step, s", "tokens/s", "MFU", "tensors, bytes", "planned, bytes",
                        "resident, bytes"],
            "drawn": ["step, s", "MFU", "tensors, bytes"], "lines": measured(points, options)}


def sequence(options):
    points = {}
    for kind in ["causal", "blank_infilling"]:
        for length in LENGTHS:
            values = SMALL | {"objective.kind": kind, "data.seq_length": length,
                              "model.max_position_embeddings": length,
                              "batch.global_size": SEQUENCE_TOKENS // length,
                              "batch.micro_size": max(1, 2048 // length)}
            points[kind, length] = lambda values=values, length=length: step(
                values, options) | {"tokens of a row": length}
    return {"title": f"a step of {SEQUENCE_TOKENS} tokens over the row's length",
            "x": "tokens of a row",
            "columns": ["step, s", "tokens/s", "targets/s", "MFU", "tensors, bytes"],
            "drawn": ["step, s", "MFU", "tensors, bytes"], "lines": measured(points, options)}


def ranks(options):
    """One thread a rank: beyond the machine's cores, ranks share them."""
    points = {}
    for axis in ["data", "tensor", "pipeline"]:
        for count in [1, 2, 4, 8]:
            values = SMALL | {"batch.global_size": 8, "batch.micro_size": 1, "run.threads": 1}
            if axis != "data":
                values[f"parallel.{axis}"] = count
            points[axis, count] = lambda values=values, count=count: step(
                values, options, count, 1) | {"ranks": count}
    return {"title": "a step of 8 x 512 tokens over the ranks", "x": "ranks",
            "columns": ["step, s", "tokens/s", "tensors, bytes", "planned, bytes"],
            "drawn": ["step, s", "tensors, bytes"], "lines": measured(points, options)}


def microbatches(options):
    points = {}
    for name, stages in [("one rank", 1), ("two stages", 2)]:
        for count in MICROBATCHES:
            values = SMALL | {"batch.global_size": count, "batch.micro_size": 1, "run.threads": 1,
                              "parallel.pipeline": stages}
            points[name, count] = lambda values=values, count=count, stages=stages: step(
                values, options, stages, 1) | {"microbatches": count}
    return {"title": "a step over its microbatches of 512 tokens", "x": "microbatches",
            "columns": ["step, s", "tokens/s", "tensors, bytes", "planned, bytes"],
            "drawn": ["step, s", "tokens/s", "tensors, bytes"], "lines": measured(points, options)}
