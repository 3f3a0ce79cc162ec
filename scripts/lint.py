#!/usr/bin/env python3
"""Runs clang-tidy with .clang-tidy. Needs `scripts/setup tests`, and build/release built.

usage: lint.py             files changed in the last commits, then a tenth of the rest, which
                           moves on with every commit; takes no more of the first after
                           --recent-seconds, the newest being read first, and of the rest after
                           --seconds more
       lint.py --all       every file
       lint.py FILE...     these
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECENT_COMMITS = 10


def git(*arguments):
    result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return result.stdout.split() if result.returncode == 0 else []


def write_database():
    """The compile commands, with the header itself where GCC has its own precompiled form. GPU
    kernels (.cu) are read as the C++ that their emulator runs."""
    commands = []
    entries = json.loads((ROOT / "build/release/compile_commands.json").read_text())
    fuzz = ROOT / "build/fuzz/compile_commands.json"
    if fuzz.exists():  # The fuzz targets are built there alone.
        entries += [entry for entry in json.loads(fuzz.read_text())
                    if entry["file"].startswith(str(ROOT / "tests/fuzz"))]
    for entry in entries:
        path = pathlib.Path(entry["file"])
        ours = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "build")
        if path.suffix not in (".cc", ".cu") or not ours:
            continue
        entry["command"] = re.sub(r"-Winvalid-pch -include \S+cloze_torch_pch\S+cmake_pch\.hxx",
                                  "-include ATen/ATen.h", entry["command"])
        # A test includes what it uses, whatever the build shares.
        entry["command"] = re.sub(r"-Winvalid-pch -include \S+cmake_pch\.hxx", "", entry["command"])
        # Clang has no omp.h of its own here; without the option the pragmas are skipped.
        entry["command"] = re.sub(r" -fpch-preprocess| -fopenmp\b", "", entry["command"])
        # libstdc++'s stable_sort uses what libstdc++ has deprecated.
        entry["command"] += " -Wno-deprecated-declarations"
        commands.append(entry)
    folder = ROOT / "build/lint"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(commands))
    return folder, sorted({os.path.relpath(entry["file"], ROOT) for entry in commands})


def recent_files(files):
    """Those changed in the last commits or not committed, the newest change first."""
    known, chosen = set(files), []
    changed = git("diff", "--name-only", "HEAD")
    changed += git("log", f"-{RECENT_COMMITS}", "--pretty=format:", "--name-only")
    for path in changed:
        stem = re.sub(r"(_test)?\.(h|cc|cu)$", "", path)
        # A header is read with its source, or else with its test.
        for candidate in (path, f"{stem}.cc", f"{stem}.cu", f"{stem}_test.cc"):
            if candidate in known:
                chosen.append(candidate)
                break
    return list(dict.fromkeys(chosen))


def tenth_of(files):
    """This commit's share of all files."""
    turn = int((git("rev-list", "--count", "HEAD") or ["0"])[0]) % 10
    return [path for path in files if zlib.crc32(path.encode()) % 10 == turn]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--recent-seconds", type=float, default=math.inf)
    options = parser.parse_args()
    folder, files = write_database()
    chosen = options.files or (files if options.all else recent_files(files))
    if_time = []
    if not options.files and not options.all:
        if_time = [path for path in tenth_of(files) if path not in chosen]
    deadline = math.inf

    def check(path):
        if time.monotonic() > deadline:
            return path, None, ""
        started = time.monotonic()
        result = subprocess.run([str(ROOT / ".venv/bin/clang-tidy"), "-p", str(folder), "--quiet",
                                 str(ROOT / path)], capture_output=True, text=True)
        seconds = time.monotonic() - started
        verdict = "clean" if result.returncode == 0 else "FINDINGS"
        print(f"   {path}: {verdict} ({seconds:.0f} s)", flush=True)
        return path, result.returncode == 0, result.stdout + result.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        deadline = time.monotonic() + options.recent_seconds
        results = list(pool.map(check, chosen))
        deadline = time.monotonic() + options.seconds
        results += pool.map(check, if_time)
    skipped = sum(1 for _, clean, _ in results if clean is None)
    bad = [(path, text) for path, clean, text in results if clean is False]
    for path, text in bad:
        lines = [line for line in text.splitlines() if not re.match(r"\d+ warnings? ", line)]
        print(f"{path}:\n" + "\n".join(lines), file=sys.stderr)
    print(f"lint: {len(results) - skipped} of {len(files)} files read, {len(bad)} with findings"
          + (f", {skipped} more not reached in time" if skipped else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
