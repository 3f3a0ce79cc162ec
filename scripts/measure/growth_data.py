"""How what surrounds a step grows: rows, preparing text, starting, checkpoints."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from growth_steps import MODELS, measured, model_settings, settings
from rounds import CLOZE, CONFIG, ROOT, cloze, launcher

CORPUS = ROOT / "runs" / "corpus"
COPIES = [1, 4, 16, 64]  # Of the corpus.
TOKENS = [10**6, 10**8, 10**10, 10**12]
ROWS = 1000


def rows(options):
    points = {}
    for kind in ["causal", "blank_infilling"]:
        for tokens in TOKENS:
            def point(kind=kind, tokens=tokens):
                found = cloze(["bench", "data", CONFIG, "--rows", str(ROWS), "--tokens", str(tokens),
                               "--json", "--set", f"objective.kind={kind}"], 1)
                return {"tokens of the text": tokens, "tokens/s": found["tokens_per_second"],
                        "open, s": found["open_seconds"], "seek, s": found["seek_seconds"]}
            points[kind, tokens] = point
    return {"title": "rows of 512 tokens over the size of the text", "x": "tokens of the text",
            "columns": ["tokens/s", "open, s", "seek, s"], "drawn": ["tokens/s", "seek, s"],
            "lines": measured(points, options)}


def first_loss(prefix, folder, ranks=1):
    """Seconds from the command to the first loss."""
    words = {"run.directory": folder / "run", "run.steps": 1, "data.train": f"[{prefix}]",
             "log.tensorboard": "false", "validation.interval": 0}
    begun = time.perf_counter()
    process = subprocess.Popen([*launcher(ranks), CLOZE, "train", ROOT / "configs" / "tiny.yaml",
                                *settings(words)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, OMP_NUM_THREADS="1"))
    seconds = None
    for line in process.stdout:
        if seconds is None and re.search(r"\bloss \d", line):
            seconds = time.perf_counter() - begun
    if process.wait() != 0 or seconds is None:
        sys.exit(f"no loss of a run on {prefix}")
    shutil.rmtree(folder / "run")
    return seconds


def prepare(options):
    text = CORPUS / "text" / "train.jsonl"
    if not text.exists():
        sys.exit(f"{text} is not there; fix: scripts/corpus")
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        folder = pathlib.Path(folder)
        points = {}
        for copies in COPIES:
            documents = folder / f"{copies}.jsonl"
            documents.write_bytes(text.read_bytes() * copies)

            def point(copies=copies, documents=documents):
                begun = time.perf_counter()
                out = cloze(["prepare", "--input", documents, "--tokenizer", CORPUS / "tokenizer",
                             "--output", folder / str(copies), "--workers", str(options.threads)],
                            options.threads)
                seconds = time.perf_counter() - begun
                tokens = next(line for line in out.splitlines() if line.startswith("wrote"))
                tokens = int(tokens.split(", ")[1].split()[0])
                return {"tokens": tokens, "text, bytes": documents.stat().st_size,
                        "prepare, s": seconds, "tokens/s": tokens / seconds,
                        "first loss of a run, s": first_loss(folder / str(copies), folder)}
            points["prepare", copies] = point
        lines = measured(points, options)
    return {"title": "text to shards, and a run on them", "x": "tokens",
            "columns": ["text, bytes", "prepare, s", "tokens/s", "first loss of a run, s"],
            "drawn": ["prepare, s", "first loss of a run, s"], "lines": lines}


def checkpoints(options):
    points = {}
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        for sizes in MODELS:
            def point(sizes=sizes):
                found = cloze(["bench", "checkpoint", CONFIG, "--rounds", "3", "--json",
                               *settings(model_settings(*sizes)),
                               "--set", f"checkpoint.directory={folder}/checkpoints"],
                              options.threads)
                return {"parameters": found["parameters"], "bytes": found["bytes"],
                        "save, s": found["save_seconds"], "load, s": found["load_seconds"],
                        "plain write, s": found["device_write_seconds"]}
            points["checkpoints", sizes] = point
        lines = measured(points, options)
    return {"title": "a checkpoint over the model's size", "x": "parameters",
            "columns": ["bytes", "save, s", "load, s", "plain write, s"],
            "drawn": ["save, s", "load, s"], "lines": lines}
