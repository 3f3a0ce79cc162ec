"""Where the time of two ranks goes: the spans of `cloze train`'s traces, summed."""

import json
import pathlib
import statistics
import sys
import tempfile
from collections import Counter

from growth_data import CORPUS
from growth_layouts import CORES, LAYOUTS
from growth_steps import settings
from rounds import CONFIG, ROOT, cloze

WARM_UP = 3  # Steps before the traced ones.
# Columns and the spans of a rank's thread that they sum; waits inside of them count as waiting.
COLUMNS = {"forward": {"forward"}, "backward": {"backward", "weight gradient"},
           "reduce gradients": {"reduce gradients"},
           "optimizer": {"gradient norm", "optimizer", "publish weights"}}


def what(event):
    return "waiting" if event["cat"] == "wait" else event["name"]


def shares_of_ranks(trace):
    """For each rank, seconds a step and the shares of its parts; `trace` is a trace.json."""
    spans = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X" and event["cat"] in ("compute", "wait"):
            spans.setdefault(event["pid"], []).append(event)
    for rank, events in sorted(spans.items()):
        # A span's own time is its length less that of the spans inside it.
        events.sort(key=lambda event: (event["ts"], -event["dur"]))
        own, open_spans = Counter(), []
        for event in events:
            while open_spans and open_spans[-1]["ts"] + open_spans[-1]["dur"] <= event["ts"]:
                open_spans.pop()
            if open_spans and open_spans[0]["name"] == "step":
                own[what(open_spans[-1])] -= event["dur"]
                own[what(event)] += event["dur"]
            open_spans.append(event)
        steps = [event["dur"] for event in events if event["name"] == "step"]
        total = sum(steps)
        shares = {column: sum(own[name] for name in names) / total
                  for column, names in COLUMNS.items()}
        shares["waiting"] = own["waiting"] / total
        shares["the rest"] = 1 - sum(shares.values())
        yield {"rank": rank, "step, s": statistics.median(steps) / 1e6} | shares


def traces(options):
    """The shares of a step, by rank, of the layouts that `layouts` times."""
    if not (CORPUS / "train.idx").exists():
        sys.exit(f"{CORPUS} has no shards; fix: scripts/corpus")
    traced = [WARM_UP + 1 + step for step in range(options.steps)]
    lines = []
    for name, (two, _) in LAYOUTS.items():
        with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
            run = pathlib.Path(folder) / "run"
            words = two | {"run.directory": run, "run.threads": 1, "run.steps": traced[-1],
                           "log.trace": str(traced), "log.tensorboard": "false"}
            cloze(["train", CONFIG, *settings(words)], 1, CORES)
            trace = json.loads((run / "trace" / "trace.json").read_text(encoding="utf-8"))
        lines.append({"name": name, "points": list(shares_of_ranks(trace))})
        print(f"{name} traced", file=sys.stderr, flush=True)
    return {"title": "shares of a step of two ranks, from their traces", "x": "rank",
            "columns": ["step, s", *COLUMNS, "waiting", "the rest"], "drawn": [], "lines": lines}
