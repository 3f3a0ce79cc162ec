#!/usr/bin/env python3
"""Scores a text with transformers and compares it with what `cloze score` wrote.

usage: compare_with_transformers.py HF_DIR SCORES.safetensors --text TEXT

Ends with 1 when the logits differ by 1e-4 or more.
"""

import argparse

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

BOUND = 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("scores")
    parser.add_argument("--text", required=True)
    arguments = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.folder)
    ids = tokenizer(arguments.text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        theirs = model(ids).logits[0]
    shares = torch.log_softmax(theirs.double(), -1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
    with safe_open(arguments.scores, "pt") as opened:
        logits = opened.get_tensor("logits")
        ours = opened.get_tensor("log_probabilities")
    if logits.shape != theirs.shape:
        raise SystemExit(f"{tuple(logits.shape)} logits, transformers has {tuple(theirs.shape)}")
    difference = (logits - theirs).abs().max().item()
    print(f"   {len(ids[0])} tokens: log-probability {ours.double().sum().item():.6f} here, "
          f"{shares.sum().item():.6f} in transformers; logits differ by at most {difference:.1e}")
    if not difference < BOUND:
        raise SystemExit(f"the logits differ by more than {BOUND}")


if __name__ == "__main__":
    main()
