"""What two ranks, recomputation and starting cost: shares of one rank's speed, memory, seconds."""

import pathlib
import statistics
import tempfile

from growth_data import CORPUS, first_loss
from growth_steps import bench_step
from rounds import ROOT, take_turns

CORES = 2  # One rank has them as threads, two ranks have one each.
SAME = {"batch.global_size": 4, "batch.micro_size": 4}
# Layout: settings of two ranks with a thread each, and of the one rank with two.
LAYOUTS = {
    "tensor": (SAME | {"parallel.tensor": 2}, SAME),
    "data": ({"batch.global_size": 4, "batch.micro_size": 2}, SAME),
    "pipeline": ({"batch.global_size": 8, "batch.micro_size": 1, "parallel.pipeline": 2},
                 {"batch.global_size": 8, "batch.micro_size": 1}),
}


def layouts(options):
    """Two ranks with one thread each beside one rank with two threads, the same batch."""
    measures = {}
    for name, (two, one) in LAYOUTS.items():
        measures[name, "one"] = lambda one=one: bench_step(
            one | {"run.threads": CORES}, options, 1, CORES)
        measures[name, "two"] = lambda two=two: bench_step(
            two | {"run.threads": 1}, options, CORES, 1)
    rounds = take_turns(measures, options.rounds)
    points = []
    for name in LAYOUTS:
        one = [part["step_seconds"] for part in rounds[name, "one"]]
        two = [part["step_seconds"] for part in rounds[name, "two"]]
        points.append({"two ranks": name, "one rank's step, s": statistics.median(one),
                       "two ranks' step, s": statistics.median(two),
                       "share of its speed": statistics.median(
                           own / both for own, both in zip(one, two, strict=True))})
    return {"title": "two ranks of one thread beside one rank of two threads", "x": "two ranks",
            "columns": ["one rank's step, s", "two ranks' step, s", "share of its speed"],
            "drawn": [], "lines": [{"name": "layouts", "points": points}]}


def recompute(options):
    modes = ["none", "selective", "full"]
    measures = {mode: lambda mode=mode: bench_step(
        {"parallel.recompute": mode, "run.threads": options.threads}, options, 1, options.threads)
                for mode in modes}
    rounds = take_turns(measures, options.rounds)
    points = []
    for mode in modes:
        def median(key, mode=mode):
            return statistics.median(part[key] for part in rounds[mode])
        points.append({"recompute": mode, "step, s": median("step_seconds"),
                       "time against none": statistics.median(
                           part["step_seconds"] / base["step_seconds"]
                           for part, base in zip(rounds[mode], rounds["none"], strict=True)),
                       "tensors, bytes": median("tensor_bytes"),
                       "planned, bytes": median("planned_bytes"),
                       "resident, bytes": median("memory_bytes")})
    return {"title": "recomputation: what it costs and what it saves", "x": "recompute",
            "columns": ["step, s", "time against none", "tensors, bytes", "planned, bytes",
                        "resident, bytes"],
            "drawn": [], "lines": [{"name": "recompute", "points": points}]}


def start(options):
    """From the command to the first loss of configs/tiny.yaml."""
    points = []
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        folder = pathlib.Path(folder)
        measures = {ranks: lambda ranks=ranks: first_loss(CORPUS / "train", folder, ranks)
                    for ranks in [1, 4]}
        for ranks, seconds in take_turns(measures, options.rounds).items():
            points.append({"ranks": ranks, "first loss, s": statistics.median(seconds),
                           "slowest, s": max(seconds)})
    return {"title": "from the command to the first loss of configs/tiny.yaml", "x": "ranks",
            "columns": ["first loss, s", "slowest, s"], "drawn": [],
            "lines": [{"name": "start", "points": points}]}
