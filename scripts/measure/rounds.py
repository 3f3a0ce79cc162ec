"""Rounds of measurements that take turns, and the processes that make them."""

import json
import os
import statistics
import subprocess
import sys

from program import CLOZE, PYTHON, ROOT

CONFIG = ROOT / "scripts" / "measure" / "compare.yaml"


class Worker:
    """A Python process that is kept: it writes one JSON object of itself, then one for each line."""

    def __init__(self, script, *words, threads=1):
        self.name = script
        self.process = subprocess.Popen(
            [PYTHON, ROOT / "scripts" / "measure" / script, *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=dict(os.environ, HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(threads)))
        self.facts = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def launcher(ranks):
    """The words before a command that runs on `ranks` ranks."""
    return [ROOT / "scripts" / "mpirun", "-n", str(ranks)] if ranks > 1 else []


def cloze(words, threads, ranks=1):
    """What `cloze WORDS` prints, with one line's JSON object where it has --json."""
    out = subprocess.run([*launcher(ranks), CLOZE, *words], check=True, cwd=ROOT,
                         stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, OMP_NUM_THREADS=str(threads))).stdout
    return json.loads(out.splitlines()[-1]) if "--json" in words else out


def take_turns(measures, count):
    """Calls each of `measures` (name: function) `count` times; returns name: results, in order.

    A machine that slows down slows all of them, and each round begins with another one.
    """
    results = {name: [] for name in measures}
    for number in range(count):
        order = list(measures)
        first = number % len(order)
        for name in order[first:] + order[:first]:
            results[name].append(measures[name]())
        print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
    return results


def ratio_of_rounds(theirs, ours):
    """The median of the rounds' ratios."""
    return statistics.median(other / own for other, own in zip(theirs, ours, strict=True))
