#!/usr/bin/env python3
"""Whether a run learnt more than how often each token occurs: its last validation loss must lie
well below the unigram entropy of the tokens it was trained on, which is the loss of the best
guess that ignores the context.

usage: check_loss.py METRICS.jsonl PREFIX...      PREFIX: shards of the training text
exit code 1 when the loss is not MARGIN below
"""

import json
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "oracles"))
from shards_megatron import read_pair  # noqa: E402

MARGIN = 0.5  # Nats a token.


def unigram_entropy(prefixes):
    """Of the ids of all shards together, in nats a token; the eos of each document included."""
    documents = [document for prefix in prefixes for document in read_pair(prefix)[1]]
    counts = numpy.bincount(numpy.concatenate(documents))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * numpy.log(shares)).sum())


def last_validation_loss(path):
    records = map(json.loads, pathlib.Path(path).read_text().splitlines())
    losses = [record["validation"]["loss"] for record in records if record.get("validation")]
    if not losses:
        sys.exit(f"{path} holds no validation loss")
    return losses[-1]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    loss, entropy = last_validation_loss(sys.argv[1]), unigram_entropy(sys.argv[2:])
    print(f"   validation loss {loss:.4f}, unigram entropy of the training text {entropy:.4f}: "
          f"{entropy - loss:.4f} nats a token below")
    # Written so that a loss that is no number fails too.
    if not loss <= entropy - MARGIN:
        sys.exit(f"the validation loss is not {MARGIN} below the unigram entropy")


if __name__ == "__main__":
    main()
