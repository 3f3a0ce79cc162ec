#!/usr/bin/env python3
"""configs/tiny.yaml (100 steps) and configs/tiny-2021.yaml (40) on one rank and on layouts under
mpirun: losses agree to 1e-6 at step 1 and to 1e-4 in all steps; pipeline stages and threads change
no bit.

usage: tiny_layouts.py ROOT CLOZE      (the corpus of scripts/corpus is there)
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile

WARMUP = 20  # Steps. As many steps of a shorter run have the same rates.


@dataclasses.dataclass
class Run:
    name: str
    ranks: int = 1
    options: tuple = ()
    same_bits: bool = False  # As the first run of its config.
    steps: int = 100


TENSOR, PIPELINE = "parallel.tensor=2", "parallel.pipeline=2"
CONFIGS = {  # The first run of each is what the others are compared with.
    "tiny": (
        Run("one rank"),
        Run("two threads", options=("run.threads=2",), same_bits=True),
        Run("pipeline 2", 2, (PIPELINE,), same_bits=True),
        Run("tensor 2", 2, (TENSOR,)),
        Run("tensor 2, no sequence parallelism", 2, (TENSOR, "parallel.sequence=false")),
        Run("data 2", 2),
        Run("tensor 2 x pipeline 2", 4, (TENSOR, PIPELINE)),
        Run("data 2 x tensor 2 x pipeline 2", 8, (TENSOR, PIPELINE)),
    ),
    "tiny-2021": (
        Run("one rank", steps=40),
        Run("two threads", options=("run.threads=2",), same_bits=True, steps=40),
        Run("tensor 2 x pipeline 2", 4, (TENSOR, PIPELINE), steps=40),
    ),
}


def losses(root, cloze, config, folder, run):
    command = [] if run.ranks == 1 else [str(root / "scripts/mpirun"), "-n", str(run.ranks)]
    command += [cloze, "train", str(root / f"configs/{config}.yaml")]
    settings = [
        f"run.directory={folder}", f"run.steps={run.steps}", "run.threads=1", "optimizer.lr=3e-4",
        "optimizer.clip=1", f"schedule.warmup={WARMUP}", "log.interval=1", "validation.interval=0",
        f"checkpoint.interval={run.steps}", "log.tensorboard=false", *run.options,
    ]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended {done.returncode}\n{done.stderr}")
    lines = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line)["loss"] for line in lines]
    if len(found) != run.steps:
        sys.exit(f"{config}, {run.name} logged {len(found)} steps of {run.steps}")
    return found


def agrees(config, run, found, expected):
    differences = [abs(a / b - 1) for a, b in zip(found, expected)]
    good = differences[0] <= 1e-6 and max(differences) <= 1e-4
    if run.same_bits:
        good = found == expected
    print(f"{config}, {run.name}: step 1 differs by {differences[0]:.2e}, the worst of "
          f"{run.steps} by {max(differences):.2e}: {'fine' if good else 'TOO FAR'}", flush=True)
    return good


def main():
    root, cloze = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        for config, runs in CONFIGS.items():
            expected = None
            for run in runs:
                folder = pathlib.Path(scratch) / config / run.name.replace(" ", "-")
                found = losses(root, cloze, config, folder, run)
                expected = expected or found
                good &= agrees(config, run, found, expected)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
