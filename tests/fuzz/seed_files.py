"""What the writers of fuzz seeds share: where seeds lie, and a small config."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests/fuzz/seeds"
GOLDEN = ROOT / "tests/golden"
SEPARATOR = "\x1e"  # Between a file and what goes with it, in config and tokenizer.


def write(target, name, content):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


SMALL_CONFIG = """\
run:
  directory: runs/x
  steps: 10
model:
  num_hidden_layers: 4
  hidden_size: 64
  num_attention_heads: 4
  intermediate_size: 128
  vocab_size: 512
data:
  tokenizer: runs/t
  train: [runs/a]
batch:
  global_size: 8
optimizer:
  lr: 3e-4
"""
