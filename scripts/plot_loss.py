#!/usr/bin/env python3
"""Draws the loss of a run.

usage: plot_loss.py METRICS.jsonl OUTPUT      OUTPUT ends in .svg or .png
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def smoothed(values):
    """Mean of the neighbours, a twentieth of the run wide."""
    reach = max(1, len(values) // 40)
    windows = (values[max(0, i - reach):i + reach + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    records = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    records = [record for record in records if record.get("loss") is not None]
    if not records:
        sys.exit(f"{sys.argv[1]} holds no step with a loss")
    steps, losses = [r["step"] for r in records], [r["loss"] for r in records]
    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(steps, losses, color="#9db8d2", linewidth=0.8, label="each logged step")
    axes.plot(steps, smoothed(losses), color="#1f4e79", linewidth=1.8, label="smoothed")
    validation = [(r["step"], r["validation"]["loss"]) for r in records
                  if isinstance(r.get("validation"), dict) and r["validation"].get("loss") is not None]
    if validation:
        axes.plot(*zip(*validation), "o-", color="#c0504d", markersize=4, label="validation")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats a token")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    pathlib.Path(sys.argv[2]).parent.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "cloze"  # The same run gives the same file.
    figure.savefig(sys.argv[2], dpi=150, metadata={"Date": None} if sys.argv[2].endswith("svg") else None)


if __name__ == "__main__":
    main()
