"""`cloze prepare` beside the `tokenizers` library: the same documents to token ids on disk."""

import pathlib
import statistics
import sys
import tempfile

from rounds import ROOT, Worker, cloze, ratio_of_rounds, take_turns

CORPUS = ROOT / "runs" / "corpus"
COPIES = 8  # Of the corpus, so that starting the program is a small part of its time.


def measure(options, config):
    del config  # The corpus and its tokenizer are all that counts.
    text = CORPUS / "text" / "train.jsonl"
    if not text.exists():
        sys.exit(f"{text} is not there; fix: scripts/corpus")
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:  # On a disk.
        folder = pathlib.Path(folder)
        documents = folder / "documents.jsonl"
        documents.write_bytes(text.read_bytes() * COPIES)
        worker = Worker("tokenizers_prepare.py", CORPUS / "tokenizer" / "tokenizer.json", documents,
                        folder / "theirs.bin", options.threads, threads=options.threads)

        def ours():
            out = cloze(["prepare", "--input", documents, "--tokenizer", CORPUS / "tokenizer",
                         "--output", folder / "ours", "--workers", str(options.threads)],
                        options.threads)
            seconds = next(line.split()[1] for line in out.splitlines() if line.startswith("took"))
            tokens = next(line for line in out.splitlines() if line.startswith("wrote"))
            return {"seconds": float(seconds), "tokens": int(tokens.split(", ")[1].split()[0])}

        rounds = take_turns({"cloze prepare": ours, "tokenizers": lambda: worker.ask(1)},
                            options.rounds)
        worker.close()
        # Shards end each document with a token.
        theirs = (folder / "theirs.bin").read_bytes()
        if (folder / "ours.bin").read_bytes() != theirs:
            sys.exit("the token ids differ")
    result = {}
    for name, parts in rounds.items():
        seconds = [part["seconds"] for part in parts]
        result[name] = {"seconds": statistics.median(seconds),
                        "tokens_per_second": parts[0]["tokens"] / statistics.median(seconds),
                        "ratio": ratio_of_rounds(
                            seconds, [part["seconds"] for part in rounds["cloze prepare"]])}
    return result


def table(result):
    yield "| documents to token ids on disk | s | tokens/s | time against cloze |"
    yield "| --- | --- | --- | --- |"
    for name, part in result.items():
        yield (f"| {name} | {part['seconds']:.2f} | {part['tokens_per_second']:.0f} | "
               f"{part['ratio']:.2f} |")
