"""Tokenizes the documents of a JSONL file to a file of ids with `tokenizers`, on demand.

usage: tokenizers_prepare.py TOKENIZER.json DOCUMENTS.jsonl OUTPUT THREADS

For each line of the standard input it reads the documents, encodes them in batches on THREADS
threads, writes the ids as 16-bit numbers with the end of each document, flushes them to the device,
and prints the seconds that took.
"""

import json
import os
import pathlib
import sys
import time

BATCH = 2048  # Documents.


def prepare(tokenizer, source, output, end_of_text):
    import numpy

    tokens = 0
    with open(source, encoding="utf-8") as lines, open(output, "wb") as out:
        batch = []

        def flush():
            nonlocal tokens
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                ids = numpy.asarray([*encoding.ids, end_of_text], dtype=numpy.uint16)
                out.write(ids.tobytes())
                tokens += len(ids)
            batch.clear()

        for line in lines:
            batch.append(json.loads(line)["text"])
            if len(batch) == BATCH:
                flush()
        flush()
        out.flush()
        os.fsync(out.fileno())
    return tokens


def main():
    tokenizer_path, source, output, threads = sys.argv[1:5]
    os.environ["RAYON_NUM_THREADS"] = threads
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(tokenizer_path)
    # Text that reads like a special token is text in a corpus.
    tokenizer.encode_special_tokens = True
    end_of_text = tokenizer.token_to_id("<|endoftext|>")
    print(json.dumps({"tokenizers": tokenizers.__version__}), flush=True)
    for _ in sys.stdin:
        pathlib.Path(output).unlink(missing_ok=True)
        start = time.perf_counter()
        tokens = prepare(tokenizer, source, output, end_of_text)
        print(json.dumps({"seconds": time.perf_counter() - start, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    main()
