#!/usr/bin/env python3
"""Golden files of the model: forward, loss and every gradient in float64, by autograd.

GLM-4 is transformers' GlmForCausalLM; GLM of 2021, which transformers does not have, is written
here from its description in plain torch, and checked against GPT-2 where the two coincide.
Weights, norm weights and biases are random and all non-zero; they are exact in float32, so that
the same file serves tests of both precisions.

NAME.safetensors        config (metadata, one string a key), weights under the names below, the
                        batch, `loss` (mean over targets, nats), `logits` [tokens, vocab] and
                        `grad.WEIGHT`
NAME_steps.safetensors  three steps of AdamW on that batch: `losses` [3] (before each update),
                        `grad_norms` [3] (before clipping), `step3.WEIGHT`; options in the metadata

The batch is that of data/batch.h: `rows` rows one after another, one entry a token, int32
(loss_mask: uint8). Names of weights are Hugging Face's, with gate and up apart.

usage: model_oracle.py [OUTPUT FOLDER]     default: tests/golden/model
"""

import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import GlmConfig, GlmForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers.models.glm import modeling_glm

from model_batches import EOS, VOCAB, batch_of, causal_batch, causal_piece, infilling_batch, words

STEPS = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0}


def visible(batch):
    """[tokens, tokens], true where the query (row) sees the key (column)."""
    key = torch.arange(batch["tokens"].numel())
    return (key >= batch["lo"][:, None]) & (key < batch["hi"][:, None])


def additive(mask):
    return torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -math.inf)


def mean_loss(logits, batch):
    nats = F.cross_entropy(logits, batch["targets"].long(), reduction="none")
    return (nats * batch["loss_mask"]).sum() / batch["loss_mask"].sum()


# GLM-4 --------------------------------------------------------------------------------------------


def exact_in_double():
    """transformers computes norms, softmax and rotary in float32 whatever the dtype."""

    def rms_norm(self, x):
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean_square + self.variance_epsilon))

    def rotary(self, x, position_ids):
        parameters = self.config.rope_parameters
        width = int(self.config.head_dim * parameters["partial_rotary_factor"])
        exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
        angle = position_ids[..., None].double() / parameters["rope_theta"] ** exponent
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        key = modeling_glm.repeat_kv(key, module.num_key_value_groups)
        value = modeling_glm.repeat_kv(value, module.num_key_value_groups)
        weights = torch.softmax(query @ key.transpose(2, 3) * scaling + attention_mask, dim=-1)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    modeling_glm.GlmRMSNorm.forward = rms_norm
    modeling_glm.GlmRotaryEmbedding.forward = rotary
    modeling_glm.eager_attention_forward = attention


GLM4 = {
    "family": "glm4", "num_hidden_layers": 2, "hidden_size": 20, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "intermediate_size": 24, "vocab_size": VOCAB,
    "max_position_embeddings": 64, "norm_eps": 1e-5, "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5, "attention_bias": True,
}


def make_glm4(seed):
    c = GLM4
    model = GlmForCausalLM(GlmConfig(
        vocab_size=c["vocab_size"], hidden_size=c["hidden_size"],
        intermediate_size=c["intermediate_size"], num_hidden_layers=c["num_hidden_layers"],
        num_attention_heads=c["num_attention_heads"],
        num_key_value_heads=c["num_key_value_heads"], head_dim=c["head_dim"],
        attention_bias=True, attention_dropout=0.0, rms_norm_eps=c["norm_eps"],
        max_position_embeddings=c["max_position_embeddings"], pad_token_id=None, eos_token_id=EOS,
        tie_word_embeddings=False, attn_implementation="eager",
        rope_parameters={"rope_type": "default", "rope_theta": c["rope_theta"],
                         "partial_rotary_factor": c["partial_rotary_factor"]}))
    randomize(dict(model.named_parameters()), seed)
    return model.double().eval()


def glm4_logits(model, batch):
    return model(input_ids=batch["tokens"].long()[None],
                 position_ids=batch["rotary_position"].long()[None],
                 attention_mask=additive(visible(batch)).to(model.dtype)[None, None],
                 use_cache=False).logits[0]


def glm4_names(tensors):
    """Splits the fused gate_up matrix; the rest keeps its name."""
    result = {}
    for name, value in tensors.items():
        if name.endswith("mlp.gate_up_proj.weight"):
            stem = name.removesuffix("gate_up_proj.weight")
            result[stem + "gate_proj.weight"], result[stem + "up_proj.weight"] = value.chunk(2)
        else:
            result[name] = value
    return result


def check_glm4(batches):
    """Leaves transformers exact in double, after comparing it with itself as shipped in float32."""
    shipped = [glm4_logits(make_glm4(7).float(), batch) for batch in batches]
    exact_in_double()
    exact = [glm4_logits(make_glm4(7), batch) for batch in batches]
    error = max((a - b).abs().max().item() for a, b in zip(shipped, exact))
    assert 0 < error < 1e-4, error
    print(f"GLM-4: float64 against transformers in float32, largest logit difference {error:.1e}")


# GLM of 2021 --------------------------------------------------------------------------------------

GLM2021 = {
    "family": "glm2021", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 4,
    "num_key_value_heads": 4, "head_dim": 4, "intermediate_size": 64, "vocab_size": VOCAB,
    "max_position_embeddings": 24, "norm_eps": 1e-5,
}


def make_glm2021(seed):
    c = GLM2021
    h, inner, rows = c["hidden_size"], c["intermediate_size"], c["max_position_embeddings"] + 1
    shapes = {
        "model.embed_tokens.weight": (c["vocab_size"], h),
        "model.position_embeddings.weight": (rows, h),
        "model.block_position_embeddings.weight": (rows, h),
    }
    for layer in range(c["num_hidden_layers"]):
        stem = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"{stem}{norm}.weight": (h,), f"{stem}{norm}.bias": (h,)}
        for name, out, width in (("self_attn.q_proj", h, h), ("self_attn.k_proj", h, h),
                                 ("self_attn.v_proj", h, h), ("self_attn.o_proj", h, h),
                                 ("mlp.up_proj", inner, h), ("mlp.down_proj", h, inner)):
            shapes |= {f"{stem}{name}.weight": (out, width), f"{stem}{name}.bias": (out,)}
    shapes |= {"model.norm.weight": (h,), "model.norm.bias": (h,)}
    weights = {name: torch.zeros(shape, dtype=torch.float64, requires_grad=True)
               for name, shape in shapes.items()}
    randomize(weights, seed)
    return weights


def glm2021_logits(w, batch):
    c = GLM2021
    heads, eps = c["num_attention_heads"], c["norm_eps"]
    linear = lambda x, name: x @ w[name + ".weight"].t() + w[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        x = x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        return x * w[name + ".weight"] + w[name + ".bias"]

    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def attention(x, stem):
        cut = lambda y: y.view(len(y), heads, -1).transpose(0, 1)  # [heads, tokens, head_dim]
        q, k, v = (cut(linear(x, stem + name)) for name in ("q_proj", "k_proj", "v_proj"))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + additive(visible(batch))
        mixed = (torch.softmax(scores, dim=-1) @ v).transpose(0, 1).reshape(x.shape)
        return linear(mixed, stem + "o_proj")

    x = (w["model.embed_tokens.weight"][batch["tokens"].long()]
         + w["model.position_embeddings.weight"][batch["position"].long()]
         + w["model.block_position_embeddings.weight"][batch["block_position"].long()])
    for layer in range(c["num_hidden_layers"]):
        stem = f"model.layers.{layer}."
        x = x + attention(norm(x, stem + "input_layernorm"), stem + "self_attn.")
        y = gelu(linear(norm(x, stem + "post_attention_layernorm"), stem + "mlp.up_proj"))
        x = x + linear(y, stem + "mlp.down_proj")
    return norm(x, "model.norm") @ w["model.embed_tokens.weight"].t()


def check_glm2021():
    """Without a prefix and with block positions 0 the block is GPT-2's."""
    c, w = GLM2021, make_glm2021(3)
    text = words(torch.Generator().manual_seed(9), 12)
    batch, _ = batch_of([[causal_piece(text)]])
    gpt = GPT2LMHeadModel(GPT2Config(
        vocab_size=c["vocab_size"], n_positions=c["max_position_embeddings"] + 1,
        n_embd=c["hidden_size"], n_layer=c["num_hidden_layers"], n_head=c["num_attention_heads"],
        n_inner=c["intermediate_size"], activation_function="gelu_new",
        layer_norm_epsilon=c["norm_eps"], bos_token_id=None, eos_token_id=None,
        attn_implementation="eager")).double().eval()
    state = {"wte.weight": w["model.embed_tokens.weight"],
             "wpe.weight": w["model.position_embeddings.weight"]
             + w["model.block_position_embeddings.weight"][0],
             "ln_f.weight": w["model.norm.weight"], "ln_f.bias": w["model.norm.bias"]}
    for layer in range(c["num_hidden_layers"]):
        ours, theirs = f"model.layers.{layer}.", f"h.{layer}."
        for kind in ("weight", "bias"):
            turn = (lambda m: m.t()) if kind == "weight" else (lambda m: m)  # Conv1D is transposed.
            state[f"{theirs}ln_1.{kind}"] = w[f"{ours}input_layernorm.{kind}"]
            state[f"{theirs}ln_2.{kind}"] = w[f"{ours}post_attention_layernorm.{kind}"]
            state[f"{theirs}attn.c_attn.{kind}"] = turn(torch.cat(
                [w[f"{ours}self_attn.{p}_proj.{kind}"] for p in "qkv"]))
            state[f"{theirs}attn.c_proj.{kind}"] = turn(w[f"{ours}self_attn.o_proj.{kind}"])
            state[f"{theirs}mlp.c_fc.{kind}"] = turn(w[f"{ours}mlp.up_proj.{kind}"])
            state[f"{theirs}mlp.c_proj.{kind}"] = turn(w[f"{ours}mlp.down_proj.{kind}"])
    gpt.transformer.load_state_dict(state, strict=True)
    theirs = gpt(batch["tokens"].long()[None]).logits[0]
    error = (theirs - glm2021_logits(w, batch)).abs().max().item()
    assert error < 1e-5, error  # GPT-2's softmax in transformers may round to float32.
    print(f"GLM of 2021: against GPT-2, largest logit difference {error:.1e}")


# Files --------------------------------------------------------------------------------------------


def randomize(parameters, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(parameters.items()):
            noise = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
            scale = 0.1 if name.endswith("bias") else 0.25
            centre = 1.0 if "norm.weight" in name or "layernorm.weight" in name else 0.0
            parameter.copy_((centre + scale * noise).float())  # Exact in float32.


def strings(*groups):
    return {key: str(value).lower() if isinstance(value, bool) else str(value)
            for group in groups for key, value in group.items()}


def write(path, tensors, metadata):
    """A safetensors file whose bytes depend on its content alone; the library shuffles keys."""
    kinds = {torch.float64: "F64", torch.int32: "I32", torch.uint8: "U8"}
    header, data = {"__metadata__": metadata}, b""
    # Wide elements first, so that every tensor is aligned.
    for name, value in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        piece = value.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": kinds[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert all(torch.equal(value, tensors[name]) for name, value in load_file(path).items())
    print(f"{path.name}: {path.stat().st_size} bytes")


def write_golden(path, config, shape, parameters, rename, logits_of, batch, steps):
    logits = logits_of()
    loss = mean_loss(logits, batch)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in parameters.items()}
    write(path.with_suffix(".safetensors"), {
        **rename(parameters), **batch, "loss": loss, "logits": logits,
        **{f"grad.{name}": value for name, value in rename(gradients).items()},
    }, strings(config, shape))
    if steps:
        write_steps(path, parameters, rename, logits_of, batch)


def write_steps(path, parameters, rename, logits_of, batch):
    o = STEPS
    tables = [p for p in parameters.values() if p.dim() == 2]
    vectors = [p for p in parameters.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": tables, "weight_decay": o["weight_decay"]},
         {"params": vectors, "weight_decay": 0.0}],
        lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"])
    losses, norms = [], []
    for _ in range(3):
        optimizer.zero_grad()
        loss = mean_loss(logits_of(), batch)
        loss.backward()
        # Multiplies by clip / (norm + 1e-6) where that is below 1.
        norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), o["clip"]))
        optimizer.step()
        losses.append(loss.detach())
    print("  losses", [round(v.item(), 4) for v in losses],
          "norms", [round(v.item(), 3) for v in norms])
    write(path.with_name(path.name + "_steps.safetensors"), {
        "losses": torch.stack(losses), "grad_norms": torch.stack(norms),
        **{f"step3.{name}": value for name, value in rename(parameters).items()},
    }, strings(o))


def main():
    torch.set_num_threads(1)  # One order of every sum.
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                          pathlib.Path(__file__).parents[2] / "tests/golden/model")
    folder.mkdir(parents=True, exist_ok=True)
    check_glm4([causal_batch(1)[0], infilling_batch(2)[0]])
    check_glm2021()
    for name, (batch, shape) in (("glm4_causal", causal_batch(1)),
                                 ("glm4_infilling", infilling_batch(2))):
        model = make_glm4(5)
        write_golden(folder / name, GLM4, shape, dict(model.named_parameters()), glm4_names,
                     lambda: glm4_logits(model, batch), batch, steps=name == "glm4_infilling")
    weights = make_glm2021(6)
    batch, shape = infilling_batch(4)
    write_golden(folder / "glm2021_infilling", GLM2021, shape, weights, lambda tensors: tensors,
                 lambda: glm2021_logits(weights, batch), batch, steps=True)


if __name__ == "__main__":
    main()
