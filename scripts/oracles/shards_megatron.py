"""Writes the golden Megatron pairs of tests/golden/shards, and checks a pair of ours.

Written from the description of the format alone, with numpy and struct, so that it agrees with
the C++ code only where both are right.

  shards_megatron.py write DIR      makes DIR/u16, DIR/i32, ... (.bin, .idx) and DIR/expected.json
  shards_megatron.py check PREFIX   reads PREFIX as Megatron does and compares it with PREFIX.json
"""

import json
import pathlib
import struct
import sys

import numpy

MAGIC = b"MMIDIDX\x00\x00"
CODES = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 8: "u2"}
NAMES = {"u8": 1, "i8": 2, "i16": 3, "i32": 4, "i64": 5, "u16": 8}


def write_pair(prefix, code, documents, modes=False):
    """documents: a list of documents, each a list of sequences, each a list of ids."""
    dtype = numpy.dtype("<" + CODES[code])
    sequences = [sequence for document in documents for sequence in document]
    prefix.with_suffix(".bin").write_bytes(
        b"".join(numpy.array(sequence, dtype=dtype).tobytes() for sequence in sequences)
    )
    lengths = [len(sequence) for sequence in sequences]
    offsets = [dtype.itemsize * sum(lengths[:place]) for place in range(len(lengths))]
    boundaries = [0]
    for document in documents:
        boundaries.append(boundaries[-1] + len(document))
    index = MAGIC + struct.pack("<QBQQ", 1, code, len(sequences), len(boundaries))
    index += numpy.array(lengths, dtype="<i4").tobytes()
    index += numpy.array(offsets, dtype="<i8").tobytes()
    index += numpy.array(boundaries, dtype="<i8").tobytes()
    if modes:
        index += bytes(len(sequences))
    prefix.with_suffix(".idx").write_bytes(index)


def read_pair(prefix):
    """The documents of a pair, as Megatron's reader finds them: by pointer and length."""
    index = pathlib.Path(str(prefix) + ".idx").read_bytes()
    assert index[:9] == MAGIC, "magic"
    version, code, num_sequences, num_boundaries = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1, version
    dtype = numpy.dtype("<" + CODES[code])
    place = struct.calcsize("<QBQQ") + 9
    lengths = numpy.frombuffer(index, "<i4", num_sequences, place)
    place += lengths.nbytes
    offsets = numpy.frombuffer(index, "<i8", num_sequences, place)
    place += offsets.nbytes
    boundaries = numpy.frombuffer(index, "<i8", num_boundaries, place)
    place += boundaries.nbytes
    assert place in (len(index), len(index) - num_sequences), "size of .idx"
    stored = numpy.memmap(str(prefix) + ".bin", dtype="u1", mode="r")
    assert (offsets == numpy.concatenate([[0], numpy.cumsum(lengths.astype("i8"))])[:-1]
            * dtype.itemsize).all(), "offsets"
    assert len(stored) == int(lengths.sum()) * dtype.itemsize, "size of .bin"
    assert boundaries[0] == 0 and boundaries[-1] == num_sequences, "boundaries"
    documents = []
    for first, last in zip(boundaries[:-1], boundaries[1:]):
        parts = [
            numpy.frombuffer(stored, dtype, lengths[sequence], offsets[sequence])
            for sequence in range(first, last)
        ]
        documents.append(numpy.concatenate(parts) if parts else numpy.zeros(0, dtype))
    return code, documents


def check(prefix):
    code, documents = read_pair(prefix)
    manifest = json.loads(pathlib.Path(str(prefix) + ".json").read_text())
    assert manifest["documents"] == len(documents)
    assert manifest["tokens"] == sum(len(document) for document in documents)
    assert manifest["largest_id"] == max(int(document.max()) for document in documents)
    eos = manifest["eos"]
    for document in documents:
        assert len(document) >= 2 and document[-1] == eos and (document[:-1] != eos).all()
    assert code == (8 if manifest["vocab_size"] < 65500 else 4), code
    print(f"{prefix}: {len(documents)} documents, {manifest['tokens']} tokens, dtype {code}")


def ids(code, count, first):
    """Ids that use the whole width of the type, from a recurrence without a library."""
    limit = {1: 255, 2: 127, 3: 32767, 4: 2**31 - 1, 5: 2**31 - 1, 8: 65535}[code]
    state, result = first, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        result.append(state >> 33)
    return [value % (limit + 1) for value in result]


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, code in NAMES.items():
        eos = 7
        documents = [
            [ids(code, 5, 1) + [eos]],
            [ids(code, 3, 2), ids(code, 4, 3) + [eos]],  # A document of two sequences.
            [[eos]],
            [ids(code, 6, 4)],  # Lacks the eos.
            [],  # No sequence at all.
            [[]],  # One without tokens.
            [ids(code, 40, 5) + [{1: 255, 2: 127, 3: 32767, 8: 65535}.get(code, 2**31 - 1), eos]],
        ]
        write_pair(folder / name, code, documents, modes=name == "i64")
        flat = [[value for sequence in document for value in sequence] for document in documents]
        expected[name] = {"documents": flat, "eos": eos, "largest_id": max(map(max, filter(None, flat)))}
        read_code, read = read_pair(folder / name)
        assert read_code == code and [list(map(int, document)) for document in read] == flat
    text = json.dumps(expected, separators=(",", ":"))
    (folder / "expected.json").write_text(text.replace("},", "},\n") + "\n")


def main():
    command, path = sys.argv[1:]
    {"write": write, "check": check}[command](pathlib.Path(path))


if __name__ == "__main__":
    main()
