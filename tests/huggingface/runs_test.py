#!/usr/bin/env python3
"""Trained runs of ours in transformers: export, tokenizer, text, blanks, and the way back by
run.initial.

usage: runs_test.py REPOSITORY PROGRAM
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from folders import Program, load, row_difference, tensors

REPOSITORY, BINARY = sys.argv[1:3]
WORK = pathlib.Path(tempfile.mkdtemp(prefix="cloze-runs-"))
PROGRAM = Program(BINARY, REPOSITORY)

TEXT = ["The quick brown fox jumps over the lazy dog. It was a warm day.",
        "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
        "Numbers such as 12345 and emoji 🦊 are text too!",
        "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"]

CHAT = "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"

CONFIG = """
run: {{directory: {run}, steps: 3, seed: 5}}
model: {{family: glm4, num_hidden_layers: 2, hidden_size: 32, num_attention_heads: 4,
  num_key_value_heads: 2, head_dim: 8, intermediate_size: 48, vocab_size: 401,
  max_position_embeddings: 256, initializer_range: 0.3}}
objective: {{kind: {kind}}}
data: {{tokenizer: {work}/tokenizer, train: [{work}/shards], seq_length: 64}}
batch: {{global_size: 4}}
optimizer: {{lr: 1e-2}}
schedule: {{warmup: 1}}
log: {{tensorboard: false}}
"""


def make_data():
    text = WORK / "text.jsonl"
    text.write_text("".join(json.dumps({"text": line}) + "\n" for line in TEXT * 30))
    PROGRAM.run("tokenizer", "train", "--input", text, "--vocab-size", 400, "--output",
                WORK / "tokenizer")
    (WORK / "tokenizer/chat_template.jinja").write_text(CHAT)
    PROGRAM.run("prepare", "--input", text, "--tokenizer", WORK / "tokenizer", "--output",
                WORK / "shards")


def train(name, kind, *settings, ranks=0):
    config = WORK / f"{name}.yaml"
    config.write_text(CONFIG.format(run=WORK / name, kind=kind, work=WORK))
    changes = [word for setting in settings for word in ("--set", setting)]
    PROGRAM.run("train", config, *changes, ranks=ranks)
    return WORK / name


def export(run, name):
    PROGRAM.run("export", run, "--output", WORK / name)
    return WORK / name


def check_text(run, exported):
    """The tokenizer, the logits of a text and a greedy continuation, on one rank and on two; how
    many tokens that has."""
    model = AutoModelForCausalLM.from_pretrained(exported).eval()
    tokenizer = AutoTokenizer.from_pretrained(exported)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == (
        "[gMASK]<sop><|user|>\nhi"), "the chat template is lost"
    prompt = "The quick 明月 fox"
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0]
        text = model.generate(torch.tensor([ids]), max_new_tokens=64, do_sample=False)[0]
    expected = text[len(ids):].tolist()
    ends = model.generation_config.eos_token_id
    assert tokenizer.convert_tokens_to_ids("<|endoftext|>") in ends, ends
    if expected[-1] in ends:
        expected.pop()
    for ranks in (0, 2):
        for source in (run, exported):
            output = WORK / "scores.safetensors"
            PROGRAM.run("score", source, "--text", prompt, "--output", output, ranks=ranks)
            logits, _ = PROGRAM.score(source, ids, output, ranks=ranks)
            assert row_difference(logits, theirs) < 1e-4, row_difference(logits, theirs)
            ours = PROGRAM.generate(source, "--prompt", prompt, "--mode", "causal",
                                    "--max-new-tokens", 64, ranks=ranks)
            assert ours["prompt_ids"] == ids, "the tokenizers disagree"
            assert ours["parts"][0]["ids"] == expected, (ours["parts"][0]["ids"], expected)
    assert ours["text"] == tokenizer.decode(ids + expected)
    return len(expected)


def positions_of(ids, place, running_on, num_part_b):
    """GLM-130B's generate.py: all tokens are counted; for [MASK] and [sMASK] those from <sop> on
    then stand at the mask token."""
    positions = list(range(len(ids) + num_part_b))
    if not running_on:
        positions[len(ids):] = [place] * num_part_b
    return torch.tensor(positions)


def fill_with_transformers(model, ids, special):
    """Fills blank after blank greedily: prefix mask and positions by hand, no cache."""
    fills = []
    while True:
        places = [i for i, token in enumerate(ids) if token in special["masks"]]
        if not places:
            return ids, fills
        place, runs_on = places[0], ids[places[0]] == special["[gMASK]"]
        part_b, written = [special["<sop>"]], []
        while len(written) < 12:
            whole = ids + part_b
            n, a = len(whole), len(ids)
            sees = torch.tril(torch.ones(n, n)).bool()
            sees[:, :a] = True
            mask = torch.zeros(n, n).masked_fill(~sees, torch.finfo(torch.float32).min)
            positions = positions_of(ids, place, runs_on, len(part_b))
            with torch.no_grad():
                logits = model(torch.tensor([whole]), attention_mask=mask[None, None],
                               position_ids=positions[None]).logits[0, -1]
            token = int(logits.argmax())
            if token in (special["<eop>"], special["<|endoftext|>"]):
                break
            written.append(token)
            part_b.append(token)
        fills.append(written)
        kept = [token for token in written if token not in special["masks"]]
        ids = ids[:place] + kept + ids[place + 1:]


def check_blanks(run, exported):
    model = load(exported)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    names = ["[MASK]", "[sMASK]", "[gMASK]", "<sop>", "<eop>", "<|endoftext|>"]
    special = {name: tokenizer.convert_tokens_to_ids(name) for name in names}
    special["masks"] = [special[name] for name in names[:3]]
    # In each: what is appended where the text has no blank, or does not end with one.
    for prompt, tail in [("The quick [MASK] fox", ["<|endoftext|>"]),
                         ("床前[MASK]光，疑是[MASK]霜。[sMASK]", []),
                         ("It was a", ["[gMASK]"]),
                         ("[sMASK] It was [MASK] day [gMASK] dog", ["<|endoftext|>"])]:
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        ids += [special[name] for name in tail]
        expected, fills = fill_with_transformers(model, ids, special)
        for ranks in (0, 2):
            for source, mode in ((run, "auto"), (exported, "blank_infilling")):
                ours = PROGRAM.generate(source, "--prompt", prompt, "--mode", mode,
                                        "--max-new-tokens", 12, ranks=ranks)
                assert ours["prompt_ids"] == ids, (prompt, ours["prompt_ids"], ids)
                assert [part["ids"] for part in ours["parts"]] == fills, (prompt, ours, fills)
                assert ours["ids"] == expected
        whole = tokenizer.decode(ours["ids"], clean_up_tokenization_spaces=False)
        assert ours["text"] == whole, (ours["text"], whole)
        if tail == ["<|endoftext|>"]:  # It is not the user's.
            whole = whole.removesuffix("<|endoftext|>")
        for ranks in (0, 2):
            shown = PROGRAM.run("generate", run, "--prompt", prompt, "--max-new-tokens", 12,
                                ranks=ranks).stdout
            assert shown == whole + "\n", (ranks, shown, whole)


def check_streaming(run):
    """Tokens come as they are chosen: what is read before the last one was."""
    words = [BINARY, "generate", str(run), "--prompt", "The quick", "--mode", "causal",
             "--temperature", "1", "--max-new-tokens", "200"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        chunks = list(iter(lambda: os.read(process.stdout.fileno(), 65536), b""))
    assert process.returncode == 0 and len(chunks) > 2, [len(chunk) for chunk in chunks]


def check_sampling(run):
    def draw(*options, ranks=0):
        return PROGRAM.generate(run, "--prompt", "The quick", "--max-new-tokens", 20, *options,
                                ranks=ranks)["ids"]
    warm = ("--temperature", "1.5", "--top-p", "0.9", "--top-k", "50")
    drawn = draw(*warm, "--seed", 3)
    assert drawn == draw(*warm, "--seed", 3)
    assert drawn != draw(*warm, "--seed", 4)
    for ranks in (2, 4):
        assert drawn == draw(*warm, "--seed", 3, ranks=ranks), f"{ranks} ranks draw other tokens"
    assert draw("--temperature", "1", "--top-k", "1") == draw(), "top-k 1 is greedy"
    (WORK / "ids.json").write_text("[5, 6, 7]")
    full = f"{BINARY} generate {run} --ids {WORK / 'ids.json'} --mode causal >/dev/full"
    assert subprocess.run(full, shell=True, stderr=subprocess.DEVNULL).returncode == 74
    for bad in (("--temperature", "-1"), ("--temperature", "nan"), ("--top-p", "nan"),
                ("--top-p", "2"), ("--max-new-tokens", "0"), ("--top-k", "-3"), ("--mode", "both"),
                ("--max-new-tokens", "300")):
        PROGRAM.run("generate", run, "--prompt", "x", *bad, code=64)


def check_initial(causal):
    """A run that starts from a folder has its weights: nothing moves at a rate of nothing."""
    exported = export(causal, "start")
    for ranks, settings in ((0, ()), (4, ("parallel.tensor=2", "parallel.pipeline=2"))):
        run = train(f"from-folder-{ranks}", "causal", f"run.initial={exported}", "run.steps=1",
                    "optimizer.lr=1e-30", *settings, ranks=ranks)
        assert tensors(export(run, f"moved-{ranks}")) == tensors(exported)
    config = WORK / "other.yaml"
    config.write_text(CONFIG.format(run=WORK / "other", kind="causal", work=WORK))
    error = PROGRAM.run("train", config, "--set", f"run.initial={exported}", "--set",
                        "model.norm_eps=1e-3", code=64).stderr
    assert "norm_eps" in error, error
    # Weights alone are no run to go on with.
    shown = PROGRAM.run("import", exported, "--output", WORK / "alone").stdout
    # What import prints is a model section that works as it is.
    section = shown[shown.index("\nmodel:"):]
    printed = WORK / "printed.yaml"
    printed.write_text(section + f"run: {{directory: {WORK / 'p'}, steps: 1}}\n"
                       f"data: {{tokenizer: {WORK}/tokenizer, train: [{WORK}/shards]}}\n")
    PROGRAM.run("config", "check", printed)
    error = PROGRAM.run("train", config, "--set", f"run.directory={WORK / 'alone'}",
                        code=64).stderr
    assert "run.initial" in error, error
    train("from-import", "causal", f"run.initial={WORK / 'alone'}", "run.steps=1")


def check_tokenizers(run):
    """A tokenizer that is elsewhere is needed for text alone."""
    moved = WORK / "moved-tokenizer"
    (WORK / "tokenizer").rename(moved)
    (WORK / "ids.json").write_text("[5, 6, 7]")
    PROGRAM.generate(run, "--ids", WORK / "ids.json", "--max-new-tokens", 3)
    error = PROGRAM.run("generate", run, "--prompt", "x", code=65).stderr
    assert "--tokenizer" in error, error
    PROGRAM.run("generate", run, "--prompt", "x", "--tokenizer", moved, "--max-new-tokens", 3)
    PROGRAM.run("export", run, "--output", WORK / "without", code=65)
    PROGRAM.run("export", run, "--output", WORK / "without", "--tokenizer", moved, "--dtype", "fp16")
    assert load(WORK / "without") is not None
    moved.rename(WORK / "tokenizer")


def check_exported_generation(exported):
    """generation_config.json, as transformers reads it: the published folders' ends of a text."""
    tokenizer = AutoTokenizer.from_pretrained(exported)
    config = GenerationConfig.from_pretrained(exported)
    names = ["<|endoftext|>", "<|user|>", "<|observation|>"]
    assert config.eos_token_id == tokenizer.convert_tokens_to_ids(names), config
    assert config.pad_token_id == config.eos_token_id[0], config
    assert not config.do_sample and config.max_length in (None, 20), config


def check_tokenizer_files(exported):
    """A folder that transformers saved, tokenizer and chat template too: import and export give
    these files back byte for byte."""
    folder = WORK / "saved"
    load(exported).save_pretrained(folder)
    AutoTokenizer.from_pretrained(exported).save_pretrained(folder)
    (folder / "special_tokens_map.json").write_text('{"eos_token": "<|endoftext|>"}')
    names = ["chat_template.jinja", "special_tokens_map.json", "tokenizer.json",
             "tokenizer_config.json"]
    assert (folder / names[0]).read_text() == CHAT
    PROGRAM.run("import", folder, "--output", WORK / "saved-run")
    again = export(WORK / "saved-run", "saved-again")
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name
    assert tensors(again) == tensors(folder)


def check_tied():
    """A GLM-4 block with a tied head: two pipeline stages train what one does."""
    runs = [train(f"tied-{ranks}", "causal", "model.tie_word_embeddings=true", *settings,
                  ranks=ranks)
            for ranks, settings in ((0, ()), (2, ("parallel.pipeline=2",)))]
    one, two = (tensors(export(run, run.name + "-export")) for run in runs)
    assert one == two and "lm_head.weight" not in one
    assert load(WORK / "tied-0-export").lm_head.weight.shape == (401, 32)


def main():
    torch.set_num_threads(1)
    make_data()
    causal = train("causal", "causal")
    causal_export = export(causal, "causal-export")
    lengths = [check_text(causal, causal_export)]
    check_exported_generation(causal_export)
    check_tokenizer_files(causal_export)
    blank = train("blank", "blank_infilling", "parallel.tensor=2", ranks=2)
    blank_export = export(blank, "blank-export")
    lengths.append(check_text(blank, blank_export))
    assert max(lengths) == 64, f"both continuations end early: {lengths}"
    check_blanks(blank, blank_export)
    check_sampling(blank)
    check_streaming(blank)
    check_tokenizers(causal)
    check_initial(causal)
    check_tied()
    # The 2021 block has no class in transformers; it is scored and filled all the same.
    old = train("old", "blank_infilling", "model.family=glm2021", "model.num_key_value_heads=4",
                "model.head_dim=8")
    PROGRAM.run("export", old, "--output", WORK / "no", code=64)
    one = PROGRAM.score(old, list(range(2, 60)), WORK / "old.safetensors")[0]
    two = PROGRAM.score(old, list(range(2, 60)), WORK / "old.safetensors", ranks=2)[0]
    assert torch.allclose(one, two, atol=1e-5) and one.isfinite().all()
    fills = [PROGRAM.generate(old, "--prompt", "The [MASK] fox and [sMASK]", "--max-new-tokens", 9,
                              ranks=ranks)["ids"] for ranks in (0, 2)]
    assert fills[0] == fills[1], fills
    shutil.rmtree(WORK)
    print("trained runs agree with transformers")


if __name__ == "__main__":
    main()
