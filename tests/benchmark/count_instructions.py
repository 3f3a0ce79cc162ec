#!/usr/bin/env python3
"""How many instructions each kernel takes, counted by callgrind on one thread, against what
instruction_counts.json says: a gate for speed that no other work on the machine can move.

usage: count_instructions.py PROGRAM            fails for a kernel that takes 3 % more
       count_instructions.py PROGRAM --update   writes the file

PROGRAM is cloze_kernel_counts. Callgrind knows AVX2 and not AVX-512: that is the code counted.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FILE = pathlib.Path(__file__).with_name("instruction_counts.json")
ALLOWED = 1.03


def count(program, name):
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=counted_call",
             f"--callgrind-out-file={folder}/out", program, name],
            capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    found = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not found:
        sys.exit(f"callgrind of {name} ended with {result.returncode}:\n{result.stderr[-2000:]}")
    return int(found[1])


def main():
    program = sys.argv[1]
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed; fix: scripts/setup tests")
    names = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = dict(zip(names, pool.map(lambda name: count(program, name), names)))
    if sys.argv[2:] == ["--update"]:
        FILE.write_text(json.dumps(counts, indent=2) + "\n")
        return
    if not FILE.exists():
        sys.exit(f"{FILE} is not there; fix: count_instructions.py PROGRAM --update")
    expected = json.loads(FILE.read_text())
    if set(expected) != set(counts):
        sys.exit(f"other kernels than in {FILE.name}: {sorted(set(expected) ^ set(counts))}; "
                 "fix: count_instructions.py PROGRAM --update")
    bad = 0
    for name, found in counts.items():
        ratio = found / expected[name]
        bad += ratio > ALLOWED
        print(f"{name}: {found} instructions, {100 * (ratio - 1):+.2f} %"
              + (" TOO MANY" if ratio > ALLOWED else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
