#!/usr/bin/env python3
"""The data path on the whole corpus of the quickstart: the tokenizer and the shards against
independent readers, the speed of `cloze prepare`, and how much of it [MASK] samples hide.

usage: corpus_test.py ROOT CLOZE      (the corpus of scripts/corpus is there)
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile

from hidden_share import hidden_share

LEAST_TOKENS_PER_SECOND = 1e6  # Of CPU time, all threads of one worker's run together.
REPEATS = 5  # How often the text is read where time is measured.


class Corpus:
    def __init__(self, root, cloze, scratch):
        self.root = root
        self.cloze = cloze
        self.scratch = scratch
        self.folder = root / "runs/corpus"
        self.tokenizer = self.folder / "tokenizer"
        self.texts = [self.folder / f"text/{split}.jsonl" for split in ("train", "validation")]

    def run(self, *command):
        command = list(map(str, command))
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\nended {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def oracle(self, name, *arguments):
        script = self.root / "scripts/oracles" / name
        print(self.run(sys.executable, script, *arguments), end="", flush=True)

    def prepare(self, output, workers, texts):
        """What `cloze prepare` prints."""
        return self.run(self.cloze, "prepare", "--tokenizer", self.tokenizer, "--output", output,
                        "--workers", workers, "--input", *texts)


def check_tokenizer(corpus):
    """Our ids are the library's, document by document, and our decoder gives the bytes back."""
    corpus.oracle("check_tokenizer.py", corpus.tokenizer, *corpus.texts, "--binary", corpus.cloze)


def check_workers(corpus):
    """One worker and two write the same files."""
    for workers in (1, 2):
        corpus.prepare(corpus.scratch / f"workers-{workers}", workers, corpus.texts)
    for ending in ("bin", "idx", "json"):
        files = [corpus.scratch / f"workers-{workers}.{ending}" for workers in (1, 2)]
        one, two = [file.read_bytes() for file in files]
        if one != two:
            sys.exit(f".{ending} of one worker and of two differ")
        print(f"prepare --workers 1 and 2: .{ending} is the same, {len(one)} bytes")


def check_shards(corpus):
    """A reader of Megatron's format that shares no code with us finds the library's ids."""
    from tokenizers import Tokenizer

    prefix = corpus.scratch / "workers-2"
    corpus.oracle("shards_megatron.py", "check", prefix)
    sys.path.insert(0, str(corpus.root / "scripts/oracles"))
    from shards_megatron import read_pair

    tokenizer = Tokenizer.from_file(str(corpus.tokenizer / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # What a text says is no special token.
    eos = tokenizer.token_to_id("<|endoftext|>")
    lines = [line for text in corpus.texts for line in text.read_text().split("\n") if line]
    encodings = tokenizer.encode_batch([json.loads(line)["text"] for line in lines],
                                       add_special_tokens=False)
    _, documents = read_pair(prefix)
    assert len(documents) == len(encodings), (len(documents), len(encodings))
    for number, (document, encoding) in enumerate(zip(documents, encodings)):
        if document.tolist() != [*encoding.ids, eos]:
            sys.exit(f"document {number} of the shards is not what tokenizers makes of it")
    print(f"shards: {len(documents)} documents are the library's ids, each with its eos")


def check_speed(corpus):
    """Tokens a second of CPU time, which other work on the machine changes little."""
    texts = corpus.texts * REPEATS
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = corpus.prepare(corpus.scratch / "speed", 1, texts)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tokens = json.loads((corpus.scratch / "speed.json").read_text())["tokens"]
    took = next(line for line in said.splitlines() if line.startswith("took "))
    print(f"prepare, one worker: {tokens / seconds / 1e6:.2f} M tokens/s of CPU time ({took})")
    if not tokens / seconds >= LEAST_TOKENS_PER_SECOND:
        sys.exit(f"less than {LEAST_TOKENS_PER_SECOND / 1e6} M tokens/s")


def check_hidden(corpus):
    """[MASK] spans hide the share that docs/objective.md tells, sample by sample and in all."""
    said = corpus.run(corpus.cloze, "inspect", "--samples", "configs/quickstart.yaml",
                      "--count", 20000, "--set", "objective.span_share=1",
                      "--set", "objective.sentence_share=0", "--set", "objective.document_share=0")
    special = json.loads((corpus.tokenizer / "tokenizer.json").read_text())["added_tokens"]
    ids = {token["content"]: token["id"] for token in special}
    hidden_share(map(json.loads, said.splitlines()), ids["[MASK]"])


def main():
    root, cloze = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Corpus(root, cloze, pathlib.Path(scratch))
        for check in (check_tokenizer, check_workers, check_shards, check_speed, check_hidden):
            check(corpus)


if __name__ == "__main__":
    main()
