"""Times training steps of a GLM-4 model in transformers and PyTorch on a GPU.

usage: pytorch_gpu_step.py SETTINGS.json eager|compile|products

SETTINGS.json holds the sizes, as scripts/gpu_training_check writes them. Parameters and optimizer are
fp32, the products run under autocast to bf16, attention is SDPA's: what a user of PyTorch would do.
Prints one JSON object: the median seconds of a step, the loss, the most memory of tensors. `products` is
no training: the matrix products of a step alone, attention's left out, weight gradients added in fp32.
"""

import json
import pathlib
import statistics
import sys
import time

import torch
from pytorch_step import model_of, product_shapes

STEPS = 8  # Timed, after three that are not.


def products_step(settings):
    shapes = product_shapes(settings["model"])
    tokens = settings["rows"] * settings["seq_length"]
    half = {"dtype": torch.bfloat16, "device": "cuda"}
    weights = [torch.randn(shape, **half) for shape in shapes]
    gradients = [torch.zeros(shape, device="cuda") for shape in shapes]
    rows = {width: torch.randn(tokens, width, **half) for shape in shapes for width in shape}

    def step():
        for _ in range(settings["microbatches"]):
            for weight, gradient in zip(weights, gradients, strict=True):
                x, dy = rows[weight.shape[1]], rows[weight.shape[0]]
                torch.mm(x, weight.t())
                torch.mm(dy, weight)
                torch.addmm(gradient, dy.t(), x, out_dtype=torch.float32, out=gradient)
        return 0.0

    return step


def timed(step):
    seconds = []
    for number in range(3 + STEPS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        loss = step()
        torch.cuda.synchronize()
        if number >= 3:
            seconds.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(seconds), "loss": loss,
            "memory_bytes": torch.cuda.max_memory_allocated()}


def main():
    path, mode = sys.argv[1:3]
    settings = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    torch.manual_seed(1)
    if mode == "products":
        print(json.dumps(timed(products_step(settings))))
        return
    with torch.device("cuda"):
        model = model_of(settings["model"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1,
                                  fused=True)
    shape = (settings["microbatches"], settings["rows"], settings["seq_length"] + 1)
    ids = torch.randint(0, settings["model"]["vocab_size"], shape, device="cuda")

    def loss_of(inputs, targets):
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(input_ids=inputs).logits
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    run = torch.compile(loss_of) if mode == "compile" else loss_of

    def step():
        total = 0.0
        for microbatch in ids:
            loss = run(microbatch[:, :-1].contiguous(), microbatch[:, 1:].contiguous())
            (loss / len(ids)).backward()
            total += loss.detach() / len(ids)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total.item()

    print(json.dumps(timed(step)))


if __name__ == "__main__":
    main()
