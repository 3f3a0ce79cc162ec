#!/usr/bin/env python3
"""Runs the commands of README.md and docs/*.md as a reader would, page by page, in scratch copies
of what `scripts/quickstart` leaves.

usage: run_examples.py ROOT [PAGE...]

An example is a fenced block without a language that begins with build/release/cloze,
`scripts/mpirun -n N build/release/cloze` or `.venv/bin/python scripts/`. It runs whole, in bash, and each of its commands must end
with 0. A page's blocks run one after the other in one folder, so a later one finds what an earlier
one made; pages know nothing of each other. What is no example begins otherwise: the forms of a
command with `cloze ...`, what it prints with `$ cloze ...`. A block with a word in UPPER CASE that
the reader replaces (PLACEHOLDERS below) does not run, and is named.

Two things differ from what a reader does. The scratch folder's configs have fewer steps, for the
commands are what is shown here, not the losses; and runs/quickstart is such a short run, made here.
Needs scripts/corpus and scripts/build.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BEGINS = re.compile(r"(scripts/mpirun -n \d+ )?build/release/cloze |\.venv/bin/python scripts/")
PLACEHOLDERS = re.compile(r"(?<![\w/.=-])(CONFIG|RUN|MODEL|PREFIX|FILE|DIR|PATH|N|K)(?![\w-])")
STEPS = 12
TIMEOUT = 600  # Seconds of one block.
# Pages that explain a command; a page that loses its example is noticed.
WITH_EXAMPLES = {"README.md", *(f"docs/{page}.md" for page in (
    "bench", "config", "doctor", "export", "generate", "inspect", "launch", "prepare", "report", "score",
    "metrics", "tokenizer", "trace", "train"))}


def examples(text):
    """The example blocks of a page, with the number of the line of each."""
    fence, block, first = None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if fence is None:
                fence, block, first = line[3:].strip(), [], number + 1
            else:
                if fence == "" and block and BEGINS.match(block[0]):
                    yield first, "\n".join(block)
                fence = None
        elif fence is not None:
            block.append(line)


def commands(block):
    """The block without its comments: what placeholders are looked for in."""
    return re.sub(r"\s#.*$", "", block, flags=re.M)


def scratch_folder(root, path):
    path.mkdir()
    for name in ("build", "scripts", ".venv", "README.md", "docs"):
        (path / name).symlink_to(root / name)
    shutil.copytree(root / "configs", path / "configs")
    for config in (path / "configs").glob("*.yaml"):
        config.write_text(re.sub(r"^  steps: *\d+", f"  steps: {STEPS}", config.read_text(),
                                 flags=re.M))
    shutil.copytree(root / "runs/corpus", path / "runs/corpus")


def run(command, folder):
    """What a command printed, and how it ended."""
    done = subprocess.run(["bash", "-e", "-c", command], cwd=folder, text=True, timeout=TIMEOUT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def make_quickstart(folder):
    """What scripts/quickstart leaves of its run, but of few steps."""
    code, output = run(
        "scripts/mpirun -n 4 build/release/cloze train configs/quickstart.yaml\n"
        "build/release/cloze export runs/quickstart --output runs/quickstart/export", folder)
    if code != 0:
        sys.exit(f"the short run of the quickstart ended with {code}:\n{output}")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    pages = sys.argv[2:] or ["README.md",
                             *(f"docs/{page.name}" for page in sorted(root.glob("docs/*.md")))]
    passed, failures = 0, []
    with tempfile.TemporaryDirectory(prefix="cloze-examples-") as name:
        work = pathlib.Path(name)
        scratch_folder(root, work / "quickstart")
        make_quickstart(work / "quickstart")
        for page in pages:
            found = list(examples((root / page).read_text()))
            if page in WITH_EXAMPLES and not found:
                failures.append(f"{page} has no example")
            if not found:
                continue
            folder = work / "page"
            shutil.copytree(work / "quickstart", folder, symlinks=True)
            for line, block in found:
                place = f"{page}:{line}"
                placeholder = PLACEHOLDERS.search(commands(block))
                if placeholder:
                    print(f"   {place}: not run, {placeholder[0]} stands for something", flush=True)
                    continue
                code, output = run(block, folder)
                print(f"   {place}: {code}", flush=True)
                if code == 0:
                    passed += 1
                else:
                    failures.append(f"{place} ended with {code}:\n{block}\n{output[-3000:]}")
            shutil.rmtree(folder)
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
