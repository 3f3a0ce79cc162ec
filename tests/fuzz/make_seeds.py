#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets that come from files of the project: configs, goldens, and
small inputs that each reach a branch. Seeds found by fuzzing lie beside them and stay.

usage: python3 tests/fuzz/make_seeds.py
"""

import gzip
import json
import struct
import subprocess

import job_seeds
from seed_files import GOLDEN, ROOT, SEPARATOR, SMALL_CONFIG, write

PRESET_CONFIG = """\
run: {directory: r, steps: 9, name: "no", seed: 18446744073709551615, threads: auto}
model: {preset: glm-4-9b, num_hidden_layers: 8}
objective: {kind: causal}
data: {tokenizer: t, train: [{path: "a, b", weight: 0.1}, c], validation: [d], seq_length: 64}
batch: {global_size: 8, micro_size: 2, ramp_samples: 64, ramp_start: 4, ramp_increment: 2}
parallel: {tensor: 2, pipeline: 2, stage_layers: [3, 5], schedule: gpipe, recompute: full}
optimizer: {kind: adamw, lr: 1e-4, betas: [0.9, 0.95], clip: 1.0}
schedule: {kind: wsd, warmup: 2%, decay: 33.3%, min_lr: 0}
precision: {compute: fp16, initial_loss_scale: 65536}
"""
OVERRIDES = [
    ["optimizer.lr=1e-300", "optimizer.eps=0.1"],
    ["objective.kind=causal", "schedule.kind=constant"],
    ["precision.compute=fp16", "precision.initial_loss_scale=1"],
    ["model.family=glm2021", "model.output_dropout=0.1"],
    ["parallel.pipeline=2", "parallel.stage_layers=[3, 1]", "parallel.schedule=gpipe"],
    ["run.name='a \"b\" \\ c: # {\u00e9}'", "run.name=\"010\"", "run.threads=7"],
    ["data.train=[{path: \"a, b\", weight: 0.1}, c]", "data.validation=[d]"],
    ["model={hidden_size: 64, head_dim: 16}", "model.preset=glm-large", "nothing", "=1", "a.b.c=1"],
    ["parallel.tensor=3", "optimzer.lr=1", "optimizer.lrr=1", "optimizer.lr=[1]", "run.steps=1 # x"],
]
BROKEN_CONFIGS = {
    "empty": "",
    "tags": "run: !!map {directory: &a x, steps: *a}\n",
    "doubled": "run:\n  steps: 1\n  steps: 2\nrun: 3\n<<: 4\n? [a]\n: b\n",
    "blocks": "run:\n  name: |\n    text\n  directory: >\n    more\n",
    "quotes": "run: {name: 'it''s, \"here\": \"\\x41\\u00e9\\n\", directory: \"open\n  end\"}\n",
    "numbers": "run: {steps: 010, seed: -1, time_limit: 0x1F}\nbatch: {global_size: 1_000}\n"
               "optimizer: {lr: .5, eps: .inf, clip: 1e999, betas: [1]}\n",
    "deep": "[" * 20,
    "documents": "a: 1\n---\nb: 2\n...\n",
    "bytes": b"run:\n\tsteps: 1\r\xff\x00",
    "unclosed": "run: {steps: [1, 2\nmodel: 3\n",
}


def config_seeds():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        lines = [line.split(" #")[0].rstrip() for line in path.read_text().splitlines()]
        text = "\n".join(line for line in lines if line and not line.startswith("#")) + "\n"
        write("config", path.stem, text)
    write("config", "small", SMALL_CONFIG)
    write("config", "preset", PRESET_CONFIG)
    for number, overrides in enumerate(OVERRIDES):
        write("config", f"override-{number}", SEPARATOR.join([SMALL_CONFIG, *overrides]))
    for name, text in BROKEN_CONFIGS.items():
        write("config", name, text)


def encode_seeds():
    texts = []

    def collect(value):
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "text" and isinstance(item, str):
                    texts.append(item)
                else:
                    collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    collect(json.loads((GOLDEN / "tokenizer/cases.json").read_text()))
    chosen = sorted({text for text in texts if 0 < len(text.encode()) < 200})[::7][:24]
    for number, text in enumerate(chosen):
        write("encode", f"golden-{number:02}", text)
    write("encode", "long-word", "ab" * 100)
    write("encode", "damaged", b"abc \xe4\xbd\xa0 \xed\xa0\x80 \xc3")
    write("encode", "tokens", "<|endoftext|>[MASK] <sop> <think> <thinking> <s late text think")
    write("encode", "kinds", "I'll we'RE it'\u017f 12345 \u0663\u0664 a\u00a0b\u2028c \r\n\n  x\t\t!?\u3000\u4f60")


def small_tokenizer(**changes):
    """A tokenizer whose byte pieces the target adds: it looks for "vocab":{ without a blank."""
    file = {
        "added_tokens": [
            {"id": 260, "content": "<sop>", "special": True},
            {"id": 261, "content": "<think>", "special": False, "normalized": True,
             "single_word": False, "lstrip": False, "rstrip": False}],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\d+|\\s|[a-z]+"}, "behavior": "Isolated",
             "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": False}]},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": None, "ignore_merges": True,
                  "vocab": {"he": 256, "ll": 257, "hell": 258, "\u0120h": 259},
                  "merges": [["h", "e"], ["l", "l"], "he ll", ["\u0120", "h"]]},
    }
    for key, value in changes.items():
        place = file
        *path, last = key.split("__")
        for part in path:
            place = place[int(part)] if part.isdigit() else place[part]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(file, ensure_ascii=False, separators=(",", ":"))


def tokenizer_seeds():
    split = "pre_tokenizer__pretokenizers__0"
    byte_level = {"type": "ByteLevel", "add_prefix_space": False}
    variants = {
        "small": small_tokenizer(),
        "byte-level": small_tokenizer(pre_tokenizer=byte_level),
        "glm-specials": small_tokenizer(added_tokens=[
            {"id": 300 + number, "content": content, "special": True} for number, content in
            enumerate(["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"])]),
        "backtracking": small_tokenizer(**{split + "__pattern__Regex": "(a+)+$|(?<=x)y|\\S\\p{L}{1,3}"}),
        "empty-match": small_tokenizer(**{split + "__pattern__Regex": "a*|(?i:B)"}),
        "bad-pattern": small_tokenizer(**{split + "__pattern__Regex": "(["}),
        "normalizer": small_tokenizer(normalizer={"type": "NFC"}),
        "one-id-twice": small_tokenizer(added_tokens=[{"id": 256, "content": "x"}]),
        "blank-token": small_tokenizer(added_tokens=[{"id": 260, "content": "\u0120"}]),
        "merge-unknown": small_tokenizer(model__merges=[["h", "zz"]]),
        "large-id": small_tokenizer(model__vocab={"he": 4194304}, model__merges=[]),
        "no-pieces": small_tokenizer(model__vocab={}, model__merges=[]),
    }
    for name, text in variants.items():
        write("tokenizer", name, text)
    write("tokenizer", "text", small_tokenizer() + SEPARATOR + " hello<think>hell <sop>o 42\n")
    write("tokenizer", "text-damaged", small_tokenizer().encode() + b"\x1ehell\xff")
    file = json.loads((GOLDEN / "tokenizer/foreign/tokenizer.json").read_text())
    file["model"]["vocab"] = {name: place for name, place in file["model"]["vocab"].items()
                              if place < 270}
    file["model"]["merges"] = [merge for merge in file["model"]["merges"]
                               if "".join(merge) in file["model"]["vocab"]]
    write("tokenizer", "golden", json.dumps(file, ensure_ascii=False))


def shard_seeds():
    for path in sorted((GOLDEN / "shards").glob("*.idx")):
        idx, binary = path.read_bytes(), path.with_suffix(".bin").read_bytes()
        for options, name in [(0, path.stem), (3, path.stem + "-repaired")]:
            write("shard_pair", name, struct.pack("<BH", options, len(idx)) + idx + binary)
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 2, 3)
    body = struct.pack("<2i2q3q", 3, 2, 0, 6, 0, 1, 2)
    tokens = struct.pack("<5H", 5, 6, 1, 7, 1)
    pair = header + body
    write("shard_pair", "ours", struct.pack("<BH", 0, len(pair)) + pair + tokens)
    write("shard_pair", "old", struct.pack("<BH", 0, 40) + b"TNTIDX\0\0" + bytes(32))
    swapped = pair[:9] + struct.pack(">Q", 1) + pair[17:]
    write("shard_pair", "big-endian", struct.pack("<BH", 0, len(swapped)) + swapped + tokens)
    none = b"MMIDIDX\0\0" + struct.pack("<QBQQq", 1, 8, 0, 1, 0)
    write("shard_pair", "no-tokens", struct.pack("<BH", 0, len(none)) + none)


def manifest_seeds():
    fields = {
        "format": "cloze-shards", "version": 1, "tokenizer": "0123456789abcdef" * 2,
        "vocab_size": 600, "eos": 590, "largest_id": 599, "documents": 2, "tokens": 5,
        "bin_bytes": 10, "idx_bytes": 82, "idx_digest": "00" * 16, "chunk_bytes": 1 << 20,
        "chunk_digests": ["11" * 16], "fingerprint": "", "digest": "",
    }
    write("shard_manifest", "good", json.dumps(fields, indent=1))
    for name, change in {
        "older": {"version": 0}, "large": {"bin_bytes": 1 << 63}, "fraction": {"eos": 1.5},
        "eos-64": {"eos": 1 << 40}, "no-digest": {"idx_digest": "XY"},
        "chunks-no-list": {"chunk_digests": {}}, "chunk-number": {"chunk_digests": [1]},
        "other-format": {"format": "other"}, "text-number": {"tokenizer": 1},
        "many-chunks": {"chunk_digests": ["22" * 16] * 5},
    }.items():
        write("shard_manifest", name, json.dumps({**fields, **change}, indent=1))
    write("shard_manifest", "list", "[1, 2]")


def safetensors_seeds():
    def seed(name, header, data=b""):
        text = json.dumps(header, separators=(",", ":"))
        write("safetensors", name + "-header", text)
        write("safetensors", name, struct.pack("<Q", len(text)) + text.encode() + data)

    seed("two", {"__metadata__": {"format": "pt"},
                 "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                 "b": {"dtype": "U8", "shape": [5], "data_offsets": [24, 29]}}, bytes(29))
    seed("empty", {})
    seed("scalar", {"s": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
                    "e": {"dtype": "BF16", "shape": [0, 4], "data_offsets": [8, 8]}}, bytes(8))
    seed("overlap", {"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
                     "b": {"dtype": "I32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8))
    seed("overflow", {"a": {"dtype": "F16", "shape": [1 << 32, 1 << 32], "data_offsets": [0, 0]}})
    seed("unsafe", {"../a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})
    write("safetensors", "long-length", struct.pack("<Q", 1 << 63) + b"{}")
    for path in sorted((GOLDEN / "model").glob("*.safetensors"))[:2]:
        bytes_of = path.read_bytes()
        size = struct.unpack("<Q", bytes_of[:8])[0]
        header = json.loads(bytes_of[8:8 + size])
        tensors = sorted((item for item in header.items() if item[0] != "__metadata__"),
                         key=lambda item: item[1]["data_offsets"])[:8]
        write("safetensors", path.stem + "-header", json.dumps(dict(tensors), separators=(",", ":")))


MANIFEST = """
format_version: 1
state {
  step: 7 consumed_rows: 56 consumed_tokens: 1792 run_id: "run" seed: 18446744073709551615
  lineage { parent_digest: "0123456789abcdef" parent_step: 3 restarts: 1 }
  config: "" config_yaml: "run:\\n" dataset_fingerprint: "f" tokenizer_digest: "t"
  algorithm_versions { key: "blanks" value: 1 }
  loss_scaler { scale: 65536 good_steps: 4 hysteresis_left: 2 }
  guard { skipped_steps: 1 skipped_steps_in_row: 0 }
  optimizer_steps { key: "w" value: 7 } numerics { key: "device" value: "cpu" }
}
files { name: "rank-00000.safetensors" rank: 0 size: 124 digest: "ffffffffffffffff"
        header_size: 100 header_digest: "hhhhhhhhhhhhhhhh" }
files { name: "rank-00001.safetensors" rank: 1 size: 116 digest: "ffffffffffffffff"
        header_size: 100 header_digest: "hhhhhhhhhhhhhhhh" }
tensors { name: "w" dtype: "F32" shape: 4 shape: 2
  entries { offset: 0 offset: 0 shape: 2 shape: 2 file: 0 begin: 100 end: 116
            digests: "dddddddddddddddd" }
  entries { offset: 2 offset: 0 shape: 2 shape: 2 file: 1 begin: 100 end: 116
            digests: "dddddddddddddddd" } }
tensors { name: "b" dtype: "F32" shape: 2
  entries { offset: 0 shape: 2 file: 0 begin: 116 end: 124 digests: "dddddddddddddddd" } }
"""


def checkpoint_seeds():
    def seed(name, text):
        bytes_of = subprocess.run(
            ["protoc", f"-I{ROOT}", "--encode=cloze.checkpoint.Manifest",
             "trainer/checkpoint/manifest.proto"],
            input=text.encode(), capture_output=True, check=True, cwd=ROOT).stdout
        write("checkpoint_manifest", name, bytes_of)

    seed("good", MANIFEST)
    for name, (old, new) in {
        "newer": ("format_version: 1", "format_version: 2"),
        "gap": ("shape: 4 shape: 2\n  entries", "shape: 5 shape: 2\n  entries"),
        "overlap": ("offset: 2 offset: 0", "offset: 1 offset: 0"),
        "up": ("rank-00001", "../rank-00001"),
        "negative-step": ("step: 7 ", "step: -7 "),
        "half-type": ('name: "w" dtype: "F32"', 'name: "w" dtype: "BF16"'),
        "large": ("size: 124", "size: 9223372036854775807"),
        "twice": ('name: "b"', 'name: "w"'),
        "unsafe": ('name: "b"', 'name: "a/b"'),
    }.items():
        assert old in MANIFEST
        seed(name, MANIFEST.replace(old, new))
    write("checkpoint_manifest", "nested", b"\xf3\x06" * 20)
    write("checkpoint_manifest", "false-length", b"\x12\xff\xff\xff\xff\x07")


def corpus_seeds():
    lines = ('{"text": "one"}\n\n{"id": 1, "text": "t\\u00e9\\n\\"q\\""}\r\n'
             '{"text": "a", "text": "b"}\n[1]\n{"text": 3}\n{"other": null}\n'
             '{"text": "\\ud800"}\n{"text": "nul\\u0000"}\n{"text": "open\n')
    texts = "first\nline\n--\nsecond\r\n--\r\n\n<|end|>\n\xef\xbb\xbf\u2026\nlast"
    large, small = 3 << 2, 1 << 2  # Places of the limits in the first byte; chunks of 16 bytes.
    for kind, text in [(0, lines), (1, texts), (2, texts)]:
        for limit, size in [(large, "large"), (small, "small"), (0, "tiny")]:
            write("corpus", f"kind-{kind}-{size}", bytes([kind | limit, 1]) + text.encode())
    for separator in (0, 2, 3):
        write("corpus", f"separator-{separator}", bytes([2 | large | 16, separator]) + texts.encode())
    write("corpus", "byte-order-mark", bytes([large, 0]) + b"\xef\xbb\xbf" + lines.encode())
    write("corpus", "deep", bytes([large, 0]) + b'{"text":' + b"[" * 200)
    write("corpus", "numbers", bytes([large, 0]) +
          b'{"a":1e400,"b":-0,"c":18446744073709551616,"d":1.5E+3,"text":""}\n')
    gz = gzip.compress(lines.encode(), mtime=0) + gzip.compress(b'{"text":"2"}\n', mtime=0)
    zst = subprocess.run(["zstd", "-q", "--check", "-c"], input=lines.encode() * 3,
                         capture_output=True, check=True).stdout
    compressed = 3 | large
    write("corpus", "gzip", bytes([compressed, 1]) + gz)
    write("corpus", "gzip-cut", bytes([compressed, 1]) + gz[:-6])
    write("corpus", "gzip-tail", bytes([compressed, 1]) + gz + b"tail")
    write("corpus", "zstandard", bytes([compressed, 0]) + zst)
    write("corpus", "zstandard-cut", bytes([compressed, 0]) + zst[:-6])
    write("corpus", "zstandard-two", bytes([compressed, 0]) + zst + zst)
    write("corpus", "zstandard-skip", bytes([compressed, 0]) + b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zst)
    write("corpus", "zstandard-window", bytes([compressed, 0]) + b"\x28\xb5\x2f\xfd\x00\x88\x03\x00\x00x")


if __name__ == "__main__":
    config_seeds()
    encode_seeds()
    tokenizer_seeds()
    shard_seeds()
    manifest_seeds()
    safetensors_seeds()
    checkpoint_seeds()
    corpus_seeds()
    job_seeds.hostfile_seeds()
    job_seeds.job_messages_seeds()
    job_seeds.folder_config_seeds()
    job_seeds.run_record_seeds()
