"""Makes small model folders as transformers writes them, and runs the program on them."""

import dataclasses
import json
import pathlib
import random
import subprocess

import torch
from safetensors import safe_open
from transformers import GlmConfig, GlmForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()


@dataclasses.dataclass
class Folder:
    """One kind of folder: what differs from the base model, and how it is saved."""

    name: str
    config: dict
    dtype: torch.dtype = torch.float32
    shard_size: str = "5GB"


BASE = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, intermediate_size=80, vocab_size=131, max_position_embeddings=256,
            pad_token_id=0, eos_token_id=130, initializer_range=0.2)

FOLDERS = [
    Folder("base", {}),
    Folder("odd heads", dict(num_attention_heads=3, num_key_value_heads=1, head_dim=20,
                             hidden_size=56)),
    Folder("no bias, other eps", dict(attention_bias=False, rms_norm_eps=1e-5)),
    Folder("wide heads, all rotated", dict(head_dim=64, num_key_value_heads=4,
                                           rope_parameters=dict(rope_type="default",
                                                                rope_theta=5e6,
                                                                partial_rotary_factor=1.0))),
    Folder("in shards", dict(num_hidden_layers=3), shard_size="40KB"),
    Folder("tied", dict(tie_word_embeddings=True)),
    Folder("bfloat16", {}, dtype=torch.bfloat16),
    Folder("float16, quarter rotated", dict(head_dim=32, rope_parameters=dict(
        rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25)), dtype=torch.float16),
]


def drawn_folders(seed, count):
    """Folders of sizes that nobody chose: odd widths, any number of heads and of key/value heads
    that divides it, any part of a head rotated."""
    draw = random.Random(seed)
    for number in range(count):
        kv_heads = draw.randint(1, 3)
        rotary = draw.choice([2, 4, 6, 10])
        share = draw.choice([0.25, 0.5, 1.0])
        yield Folder(f"drawn {number}", dict(
            num_key_value_heads=kv_heads, num_attention_heads=kv_heads * draw.randint(1, 3),
            head_dim=int(rotary / share), hidden_size=draw.randint(40, 70),
            intermediate_size=draw.randint(30, 90), num_hidden_layers=draw.randint(2, 3),
            vocab_size=draw.randint(131, 170), attention_bias=draw.random() < 0.5,
            rms_norm_eps=draw.choice([1e-6, 1.5625e-7, 1e-4]),
            tie_word_embeddings=draw.random() < 0.5,
            rope_parameters=dict(rope_type="default", rope_theta=draw.choice([1e4, 5e5]),
                                 partial_rotary_factor=share)))


def row_difference(ours, theirs):
    """The worst row's largest difference, as a share of the largest number of that row."""
    return ((ours - theirs).abs().amax(-1) / theirs.abs().amax(-1)).max().item()


def save(folder, path):
    """Writes a folder with random weights, biases and norms included."""
    torch.manual_seed(len(folder.name))
    model = GlmForCausalLM(GlmConfig(**{**BASE, **folder.config})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.3)
            elif "norm" in name:
                parameter.uniform_(0.5, 1.5)
    model.to(folder.dtype).save_pretrained(path, max_shard_size=folder.shard_size)


def load(path):
    """The folder's model in float32, whatever it is stored in."""
    return GlmForCausalLM.from_pretrained(path, dtype=torch.float32,
                                          attn_implementation="eager").eval()


def tensors(path):
    """Name -> (dtype, shape, bytes) of all weight files of a folder."""
    found = {}
    for file in sorted(pathlib.Path(path).glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():
                value = opened.get_tensor(name)
                raw = value.contiguous().view(torch.uint8).numpy().tobytes()
                found[name] = (str(value.dtype), tuple(value.shape), raw)
    return found


class Program:
    """Runs the program, alone or under mpirun."""

    def __init__(self, binary, root):
        self.binary = binary
        self.root = pathlib.Path(root)

    def run(self, *arguments, ranks=0, code=0):
        command = [str(self.binary), *map(str, arguments)]
        if ranks:
            command = [str(self.root / "scripts/mpirun"), "-n", str(ranks), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != code:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}, not {code}:\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def score(self, model, ids, output, **options):
        ids_file = output.with_suffix(".json")
        ids_file.write_text(json.dumps(ids))
        self.run("score", model, "--ids", ids_file, "--output", output, **options)
        with safe_open(output, "pt") as opened:
            return opened.get_tensor("logits"), opened.get_tensor("log_probabilities")

    def generate(self, model, *arguments, **options):
        done = self.run("generate", model, "--json", *arguments, **options)
        return json.loads(done.stdout.strip().splitlines()[-1])
