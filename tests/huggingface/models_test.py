#!/usr/bin/env python3
"""Folders of transformers and ours, both ways: the same logits, the same tokens, the same bytes.

usage: models_test.py REPOSITORY PROGRAM [SEED]

SEED draws the sizes of some of the folders.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GenerationConfig

from folders import (BASE, FOLDERS, Folder, Program, drawn_folders, load, row_difference, save,
                     tensors)

REPOSITORY, BINARY = sys.argv[1:3]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 22
NUM_DRAWN = 4
WORK = pathlib.Path(tempfile.mkdtemp(prefix="cloze-models-"))
PROGRAM = Program(BINARY, REPOSITORY)
LENGTH = 70  # Tokens of a scored text; more than a chunk of logits.
NEW_TOKENS = 64  # Of a greedy continuation, where no end of the text comes before.


def ranks_of(folder):
    """Two tensor ranks where heads and widths allow it, and alone."""
    sizes = {**BASE, **folder.config}
    even = sizes["num_attention_heads"] % 2 == 0 and sizes["intermediate_size"] % 2 == 0
    return [0, 2] if even and sizes["num_key_value_heads"] in (1, 2, 4) else [0]


def check_scores(folder, path, model):
    ids = torch.randint(0, 130, (LENGTH,), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        theirs = model(ids[None]).logits[0]
    expected = torch.log_softmax(theirs.double(), -1)[:-1].gather(1, ids[1:, None])[:, 0]
    for ranks in ranks_of(folder):
        logits, shares = PROGRAM.score(path, ids.tolist(), WORK / "scores.safetensors", ranks=ranks)
        assert logits.shape == theirs.shape and logits.dtype == torch.float32
        assert shares.shape == (LENGTH - 1,)
        worst = max(row_difference(logits, theirs), row_difference(shares, expected))
        print(f"   {folder.name}, {max(1, ranks)} ranks: a row of logits differs by {worst:.1e}")
        assert worst < 1e-4, worst
    return ids.tolist(), logits


def check_greedy(folder, path, model):
    """The tokens of a greedy continuation, without an end of the text; how many they are."""
    prompt = [5, 17, 99, 3, 64, 2]
    with torch.no_grad():
        theirs = model.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS,
                                do_sample=False)
    (WORK / "prompt.json").write_text(json.dumps(prompt))
    for ranks in ranks_of(folder):
        ours = PROGRAM.generate(path, "--ids", WORK / "prompt.json", "--max-new-tokens",
                                NEW_TOKENS, ranks=ranks)
        expected = theirs[0, len(prompt):].tolist()
        if expected[-1] == model.config.eos_token_id:
            expected.pop()
        assert ours["parts"][0]["ids"] == expected, (ours["parts"], expected)
    return len(expected)


def check_generation_config(before, after):
    """What transformers reads of the exported file is what it read of its own."""
    written = json.loads((after / "generation_config.json").read_text())
    assert sorted(written) == ["_from_model_config", "eos_token_id", "pad_token_id"], written
    theirs, ours = (
        {key: value for key, value in GenerationConfig.from_pretrained(path).to_dict().items()
         if value is not None and value is not False and key != "transformers_version"}
        for path in (before, after))
    assert theirs.pop("use_cache", True), theirs  # The default, which it writes out.
    assert theirs.pop("eos_token_id") == 130 and ours.pop("eos_token_id") == [130]
    assert ours == theirs == {"_from_model_config": True, "pad_token_id": 0}, (ours, theirs)


def check_round_trip(folder, path, ids, logits):
    run = WORK / "imported"
    PROGRAM.run("import", path, "--output", run, ranks=2)
    again = WORK / "exported"
    PROGRAM.run("export", run, "--output", again, "--no-tokenizer", "--max-shard-size", "10KB",
                ranks=2)
    assert tensors(again) == tensors(path), "a tensor has other bytes after import and export"
    files = sorted(file.name for file in again.glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors" and len(files) > 3
    for model in (run, again):
        same, _ = PROGRAM.score(model, ids, WORK / "again.safetensors")
        if folder.name in ("base", "tied"):
            one_rank, _ = PROGRAM.score(path, ids, WORK / "first.safetensors")
            assert torch.equal(same, one_rank), "other logits after import and export"
        assert row_difference(same, logits) < 1e-5
    kept = ("pad_token_id", "rms_norm_eps", "head_dim", "tie_word_embeddings", "attention_bias",
            "vocab_size", "hidden_size")
    before, after = (json.loads((where / "config.json").read_text()) for where in (path, again))
    assert after["eos_token_id"] == [before["eos_token_id"]], after
    assert all(before.get(key) == after.get(key) for key in kept), (before, after)
    # And transformers reads what we write, in the type that it is stored in.
    with torch.no_grad():
        loaded = AutoModelForCausalLM.from_pretrained(again)
        assert loaded.dtype == folder.dtype, loaded.dtype
        theirs = loaded.float()(torch.tensor([ids])).logits[0]
    assert row_difference(logits, theirs) < 1e-4
    check_generation_config(path, again)
    shutil.rmtree(run)
    shutil.rmtree(again)


def check_ranks():
    """Fewer key/value heads than ranks; ranks beyond --tensor; a text of one token."""
    path = WORK / "ranks"
    save(Folder("one kv head", dict(num_key_value_heads=1)), path)
    ids = list(range(1, 30))
    ids_file = WORK / "ids.json"
    one, _ = PROGRAM.score(path, ids, WORK / "one")
    for ranks, more in ((4, ()), (3, ("--tensor", 2)), (3, ("--tensor", 1))):
        ids_file.write_text(json.dumps(ids))
        PROGRAM.run("score", path, "--ids", ids_file, "--output", WORK / "y", *more, ranks=ranks)
        with safe_open(WORK / "y", "pt") as opened:
            assert row_difference(opened.get_tensor("logits"), one) < 1e-5
        PROGRAM.run("score", WORK / "nothing", "--ids", ids_file, "--output", WORK / "z", *more,
                    ranks=ranks, code=65)
    PROGRAM.run("score", path, "--ids", ids_file, "--output", WORK / "none/z", ranks=2, code=73)
    PROGRAM.run("score", path, "--ids", ids_file, "--output", WORK / "z", "--tensor", 3, ranks=2,
                code=64)
    logits, shares = PROGRAM.score(path, [7], WORK / "one")
    assert logits.shape == (1, 131) and shares.shape == (0,)
    assert not [left for left in WORK.iterdir() if ".tmp" in left.name], "files are left behind"


def check_bad_folders():
    good = WORK / "good"
    save(Folder("good", {}), good)
    (WORK / "ids.json").write_text("[1, 2, 3]")

    def refuse(change, *words):
        bad = WORK / "bad"
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        change(bad)
        for command in (("score", bad, "--ids", WORK / "ids.json", "--output", WORK / "x"),
                        ("import", bad, "--output", WORK / "never")):
            error = PROGRAM.run(*command, code=65).stderr
            assert error.startswith("FATAL ") and error.count("FATAL ") == 1, error
            for word in words:
                assert word in error, (word, error)
        assert not (WORK / "x").exists() and not (WORK / "never/checkpoints/step-00000000").exists()

    def config(**keys):
        def change(folder):
            json_file = folder / "config.json"
            json_file.write_text(json.dumps({**json.loads(json_file.read_text()), **keys}))
        return change

    def cut(folder):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-5])

    def index(name):
        def change(folder):
            (folder / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"lm_head.weight": name}}))
        return change

    refuse(config(model_type="llama"), "model_type", "llama")
    refuse(config(architectures=["GlmForSequenceClassification"]), "architectures")
    refuse(config(hidden_act="gelu"), "hidden_act", "gelu")
    refuse(lambda folder: (folder / "config.json").write_text(
        '{"model_type": "glm", "hidden_act": ' + "[" * 200_000 + "]" * 200_000 + "}"), "hidden_act")
    refuse(config(rope_scaling={"type": "yarn", "factor": 4}), "yarn")
    refuse(config(quantization_config={"bits": 4}), "quantized")
    refuse(config(hidden_size="48"), "hidden_size", "integer")
    refuse(config(hidden_size=-48), "hidden_size", "-48")
    refuse(config(num_key_value_heads=3), "num_key_value_heads 3")
    refuse(config(num_hidden_layers=3), "model.layers.2.", "missing")
    refuse(config(num_hidden_layers=1), "model.layers.1.", "no tensor of this model")
    refuse(config(intermediate_size=81), "gate_up_proj", "shape")
    refuse(config(auto_map={"AutoModel": "modeling_glm.Glm"}), "auto_map")
    refuse(cut, "model.safetensors")
    refuse(lambda folder: (folder / "config.json").write_text("{"), "not valid JSON")
    refuse(lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
           "save_pretrained")
    refuse(index("../good/model.safetensors"), "outside of the folder")
    refuse(index("absent.safetensors"), "absent.safetensors")
    # Defaults of the class stand for keys that are absent or null.
    for value in (config(rope_theta=None, hidden_act=None, rope_scaling=None),):
        value(good)
    PROGRAM.run("score", good, "--ids", WORK / "ids.json", "--output", WORK / "x")
    # What exists is not written over; a model that ranks cannot share is refused.
    PROGRAM.run("import", good, "--output", WORK / "run")
    PROGRAM.run("import", good, "--output", WORK / "run", code=73)
    PROGRAM.run("export", WORK / "run", "--output", good, "--no-tokenizer", code=73)
    PROGRAM.run("export", WORK / "run", "--output", WORK / "new", code=65)  # No tokenizer.
    assert not (WORK / "new").exists() and not (WORK / ".tmp-new").exists()
    error = PROGRAM.run("score", good, "--ids", WORK / "ids.json", "--output", WORK / "y",
                        ranks=3, code=64).stderr
    assert "num_attention_heads" in error, error
    PROGRAM.run("score", good, "--text", "hello", "--output", WORK / "y", code=65)
    deep = "[" * 200_000 + "]" * 200_000
    for ids in (deep, "[" + deep + "]", "[1, 131]", "[-1]", "[1.5]", "[]", "{}", "["):
        (WORK / "ids.json").write_text(ids)
        PROGRAM.run("score", good, "--ids", WORK / "ids.json", "--output", WORK / "y", code=65)
    PROGRAM.run("score", good, "--output", WORK / "y", code=64)
    PROGRAM.run("score", WORK / "nothing", "--ids", WORK / "ids.json", "--output", WORK / "y",
                code=65)


def main():
    torch.set_num_threads(1)
    print(f"   seed {SEED} draws {NUM_DRAWN} folders")
    folders = [*FOLDERS, *drawn_folders(SEED, NUM_DRAWN)]
    lengths = []
    for folder in folders:
        path = WORK / "model"
        shutil.rmtree(path, ignore_errors=True)
        save(folder, path)
        model = load(path)
        ids, logits = check_scores(folder, path, model)
        lengths.append(check_greedy(folder, path, model))
        check_round_trip(folder, path, ids, logits)
    assert lengths.count(NEW_TOKENS) >= len(folders) // 2, f"continuations end early: {lengths}"
    check_ranks()
    check_bad_folders()
    shutil.rmtree(WORK)
    print(f"{len(folders)} kinds of folders agree with transformers")


if __name__ == "__main__":
    main()
