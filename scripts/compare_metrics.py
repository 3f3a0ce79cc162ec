#!/usr/bin/env python3
"""Whether a run repeated the steps of its first attempt, bit for bit.

usage: compare_metrics.py BEFORE.jsonl AFTER.jsonl [--after STEP] [--at-least COUNT]

Compares every step that BEFORE logged after STEP. Exit code 1 when a number differs, when a step is
absent in AFTER or was not run a second time, or when there are fewer than COUNT steps.
"""

import argparse
import json
import pathlib
import sys

# What must not depend on when, or in how many pieces, a run was made.
KEYS = ("loss", "grad_norm", "lr", "tokens", "loss_scale", "skipped")


def read(path):
    records = {}
    # A killed run may leave half a line, which has no end.
    for line in pathlib.Path(path).read_text().split("\n")[:-1]:
        record = json.loads(line)
        records[record["step"]] = record
    return records


def fault(before, after):
    """What is wrong with a step; None when it is the same."""
    if after is None:
        return "is absent in the second file"
    if before == after:  # Two runs of a step never take the same time.
        return "was not run twice: even its seconds are the same"
    names = [key for key in KEYS if before.get(key) != after.get(key)]
    if names:
        return ", ".join(f"{key} {before.get(key)!r} != {after.get(key)!r}" for key in names)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=2)
    parser.add_argument("--after", type=int, default=0, help="look at later steps only")
    parser.add_argument("--at-least", type=int, default=1, help="steps that must be there")
    options = parser.parse_args()
    before, after = map(read, options.files)
    steps = sorted(step for step in before if step > options.after)
    if len(steps) < max(1, options.at_least):
        sys.exit(f"{len(steps)} steps after {options.after} are there to compare, "
                 f"not {options.at_least}")
    faults = {step: fault(before[step], after.get(step)) for step in steps}
    bad = [step for step in steps if faults[step]]
    for step in bad:
        print(f"   step {step:5d}  {faults[step]}")
    for step in [step for step in (steps[0], steps[-1]) if not faults[step]]:
        print(f"   step {step:5d}  loss {before[step]['loss']!r} == {after[step]['loss']!r}")
    print(f"   {len(steps) - len(bad)} of {len(steps)} steps are bit-identical "
          f"({steps[0]} to {steps[-1]}: {', '.join(KEYS)})")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
