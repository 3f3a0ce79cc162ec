"""Times training steps of a GLM-4 model in transformers and PyTorch, on demand.

usage: pytorch_step.py SETTINGS.json eager|compile|products THREADS

SETTINGS.json holds sizes and optimizer, as scripts/compare_pytorch writes them. For each number N
read from the standard input it runs two steps to warm up and N that it times, and writes one JSON
object: the seconds of each, the last loss, the resident memory. Before, it writes one that tells of
itself. `products` is no training: the matrix products of a step alone, attention's left out.
"""

import json
import pathlib
import sys
import time

import torch
from transformers import AttentionInterface, GlmConfig, GlmForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

# While it is traced, transformers cannot see that no row is packed, makes a mask, and SDPA computes
# the whole square. A name without a mask function gets none: both modes run SDPA's causal kernel.
AttentionInterface.register("sdpa_causal", sdpa_attention_forward)

WARM_UP = 2  # Steps, as `cloze bench step` makes.


def status_bytes(name):
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def model_of(sizes):
    config = GlmConfig(attn_implementation="sdpa_causal", use_cache=False, pad_token_id=None,
                       attention_dropout=0.0, **sizes)
    return GlmForCausalLM(config).train()


class Trainer:
    def __init__(self, settings, mode):
        torch.manual_seed(1)
        self.model = model_of(settings["model"])
        optimizer = settings["optimizer"]
        self.clip = optimizer["clip"]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=optimizer["lr"], betas=tuple(optimizer["betas"]),
            eps=optimizer["eps"], weight_decay=optimizer["weight_decay"], fused=True)
        shape = (settings["rows"], settings["seq_length"] + 1)
        ids = torch.randint(0, settings["model"]["vocab_size"], shape)
        self.inputs, self.targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
        self.loss = self.forward
        if mode == "compile":
            self.loss = torch.compile(self.forward, fullgraph=True)

    def forward(self, inputs, targets):
        # Every position is a target, as in the run that this is compared with.
        logits = self.model(input_ids=inputs).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def step(self):
        loss = self.loss(self.inputs, self.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


def product_shapes(model):
    """[out, in] of the weights that a step multiplies with: of every layer, then of the head."""
    hidden, inner = model["hidden_size"], model["intermediate_size"]
    heads, kv_heads = model["num_attention_heads"], model["num_key_value_heads"]
    layer = [((heads + 2 * kv_heads) * model["head_dim"], hidden),
             (hidden, heads * model["head_dim"]), (2 * inner, hidden), (hidden, inner)]
    return layer * model["num_hidden_layers"] + [(model["vocab_size"], hidden)]


class Products:
    """Forward, input gradient and weight gradient of every linear layer, into buffers that are kept."""

    def __init__(self, settings):
        shapes = product_shapes(settings["model"])
        tokens = settings["rows"] * settings["seq_length"]
        self.weights = [torch.randn(shape) for shape in shapes]
        self.gradients = [torch.zeros(shape) for shape in shapes]
        self.rows = {width: torch.randn(tokens, width) for shape in shapes for width in shape}
        self.results = {width: torch.empty(tokens, width) for shape in shapes for width in shape}

    def step(self):
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            out_features, in_features = weight.shape
            x, dy = self.rows[in_features], self.rows[out_features]
            torch.mm(x, weight.t(), out=self.results[out_features])
            torch.mm(dy, weight, out=self.results[in_features])
            torch.addmm(gradient, dy.t(), x, out=gradient)
        return 0.0


def main():
    path, mode, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    settings = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    imports = status_bytes("VmRSS")
    trainer = Products(settings) if mode == "products" else Trainer(settings, mode)
    first = time.perf_counter()
    trainer.step()
    facts = {"torch": torch.__version__, "import_bytes": imports,
             "first_step_seconds": time.perf_counter() - first}
    if mode != "products":
        facts["parameters"] = sum(p.numel() for p in trainer.model.parameters())
    print(json.dumps(facts), flush=True)
    # From here on the high water is that of steps, and not of what compiles them.
    pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    for line in sys.stdin:
        for _ in range(WARM_UP):
            trainer.step()
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = trainer.step()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "loss": loss, "memory_bytes": status_bytes("VmHWM")}),
              flush=True)


if __name__ == "__main__":
    main()
