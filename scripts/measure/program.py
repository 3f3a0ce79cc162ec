"""How the measuring programs of scripts/ begin: their options, their libraries, the built program."""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
CLOZE = ROOT / "build" / "release" / "cloze"


def run_in_environment():
    """Starts this program again with .venv's Python, where the libraries live."""
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is not there; fix: scripts/setup")
    if pathlib.Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])


def require_program():
    if not CLOZE.exists():
        sys.exit(f"{CLOZE} is not built; fix: scripts/build")


def argument_parser(description, parts, rounds, steps):
    def part_names(text):
        names = text.split(",")
        if unknown := [name for name in names if name not in parts]:
            raise argparse.ArgumentTypeError(f"no part {unknown[0]}; there are {', '.join(parts)}")
        return names

    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=part_names, default=list(parts))
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--steps", type=int, default=steps, help="timed steps of each in a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser
