#!/usr/bin/env python3
"""Whether two metrics files say the same, bit for bit, of the steps that both hold.

usage: compare_metrics.py A.jsonl B.jsonl [--after STEP]      exit code 1 when a number differs
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=2)
    parser.add_argument("--after", type=int, default=0, help="look at later steps only")
    options = parser.parse_args()
    first, second = map(read, options.files)
    steps = sorted(step for step in first.keys() & second.keys() if step > options.after)
    if not steps:
        sys.exit(f"no step after {options.after} is in both files")
    different = 0
    for step in steps:
        a, b = first[step], second[step]
        same = all(a.get(key) == b.get(key) for key in KEYS)
        different += not same
        print(f"   step {step:5d}  loss {a['loss']!r} {'==' if same else '!='} {b['loss']!r}")
    print(f"   {len(steps) - different} of {len(steps)} steps are bit-identical")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
