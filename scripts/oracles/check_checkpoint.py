"""Reads a step folder with Python's own safetensors, protobuf and xxHash, knowing nothing of the
program that wrote it but docs/formats.md; checks every rule stated there and prints, as JSON,
the XXH3-128 of each global tensor's bytes: {name: {dtype, shape, digest}}.
Usage: check_checkpoint.py STEP_FOLDER"""

import ctypes
import ctypes.util
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import numpy
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from safetensors import safe_open

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHUNK = 4 << 20
# bfloat16 has no NumPy type; its bytes are read as 16-bit integers.
NUMPY = {"F64": "f8", "F32": "f4", "BF16": "u2", "F16": "f2", "I64": "i8", "I32": "i4", "U8": "u1"}


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


XXHASH = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
XXHASH.XXH3_128bits_withSeed.restype = Hash128
XXHASH.XXH3_128bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
XXHASH.XXH3_64bits.restype = ctypes.c_uint64
XXHASH.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def digest(data: bytes, seed: int = 0) -> bytes:
    value = XXHASH.XXH3_128bits_withSeed(data, len(data), seed)
    return struct.pack(">QQ", value.high, value.low)


def manifest_class():
    """The message type, from the schema that is part of the sources."""
    schema = "trainer/checkpoint/manifest.proto"
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc", f"--proto_path={ROOT}", f"--descriptor_set_out={out.name}", schema],
            check=True,
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("cloze.checkpoint.Manifest")
    )


def byte_range(header: dict, name: str, data_begin: int) -> tuple[int, int]:
    begin, end = header[name]["data_offsets"]
    return data_begin + begin, data_begin + end


def check_file(folder: pathlib.Path, record, state) -> tuple[bytes, dict, int]:
    data = (folder / record.name).read_bytes()
    assert len(data) == record.size, record.name
    assert digest(data) == record.digest, record.name
    assert digest(data[: record.header_size]) == record.header_digest, record.name
    (length,) = struct.unpack("<Q", data[:8])
    assert record.header_size == 8 + length and record.header_size % 8 == 0, record.name
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    expected = {"format": "pt", "file": record.name, "rank": str(record.rank)}
    expected |= {"run_id": state.run_id, "step": str(state.step)}
    assert metadata == expected, metadata
    with safe_open(folder / record.name, framework="numpy") as opened:
        assert set(opened.keys()) == set(header), record.name
    return data, header, 8 + length


def assemble(tensor, files, manifest) -> numpy.ndarray:
    """The global tensor from its boxes, each chunk's digest compared."""
    dtype = numpy.dtype(NUMPY[tensor.dtype])
    whole = numpy.zeros(list(tensor.shape), dtype)
    times = numpy.zeros(list(tensor.shape), numpy.int32)
    for entry in tensor.entries:
        record = manifest.files[entry.file]
        data, header, data_begin = files[entry.file]
        is_whole = list(entry.shape) == list(tensor.shape)
        offsets = ",".join(str(offset) for offset in entry.offset)
        name = tensor.name if is_whole else f"{tensor.name}@{offsets}"
        assert header[name]["dtype"] == tensor.dtype, name
        assert header[name]["shape"] == list(entry.shape), name
        assert byte_range(header, name, data_begin) == (entry.begin, entry.end), name
        text = f"{manifest.state.run_id}\n{manifest.state.step}\n{record.rank}\n{record.name}"
        seed = XXHASH.XXH3_64bits(text.encode(), len(text.encode()))
        chunks = [
            digest(data[first : min(first + CHUNK, entry.end)], seed)
            for first in range(entry.begin, entry.end, CHUNK)
        ]
        assert b"".join(chunks) == entry.digests, name
        box = tuple(slice(o, o + s) for o, s in zip(entry.offset, entry.shape))
        values = numpy.frombuffer(data[entry.begin : entry.end], dtype)
        whole[box] = values.reshape(list(entry.shape))
        times[box] += 1
    assert (times == 1).all(), tensor.name
    return whole


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    data = (folder / "manifest.binpb").read_bytes()
    assert data[-18:-16] == b"\x7a\x10" and digest(data[:-18]) == data[-16:]
    manifest = manifest_class().FromString(data)
    assert manifest.format_version == 1
    step = re.fullmatch(r"step-(\d{8,})", folder.name)
    assert step is None or int(step[1]) == manifest.state.step
    names = {record.name for record in manifest.files} | {"manifest.binpb"}
    assert names == {path.name for path in folder.iterdir()}
    files = [check_file(folder, record, manifest.state) for record in manifest.files]
    report = {}
    for tensor in manifest.tensors:
        whole = assemble(tensor, files, manifest)
        report[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "digest": digest(whole.tobytes()).hex(),
        }
    print(json.dumps(report, sort_keys=True))


if __name__ == "__main__":
    main()
