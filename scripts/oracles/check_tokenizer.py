"""Compares `cloze tokenizer encode` with Hugging Face tokenizers, token by token, and has
`cloze tokenizer decode` turn the ids back into the bytes.

    .venv/bin/python scripts/oracles/check_tokenizer.py DIR [FILE...]
        [--binary build/release/cloze] [--code-points] [--fuzz COUNT] [--seed S] [--transformers]

DIR holds tokenizer.json. Each FILE is a text (.gz too), or with .jsonl a text a line, under "text".
All are encoded with special tokens read as text and as tokens; --code-points adds texts with every
code point of Unicode in the places a split pattern tells apart; --fuzz adds random texts of hard
characters; --transformers also compares with transformers.AutoTokenizer. Prints counts; exits 1 on
any difference, after showing the first.
"""

import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

FILES_PER_CALL = 2000
END = "<|endoftext|>"  # Between the texts that are decoded together.
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CODE_POINTS_PER_TEXT = 2048
# Around {}: after and before letters, digits, blanks, newlines, punctuation, apostrophes.
CONTEXTS = "a{}a {} {}1{}{} .{}. \n{}\n\t{}'{}s'{} \r{}  {}x  {}"
HARD = (
    list("abzAZ019 \t\r\n'’.,!?-_/\\\"<>|[](){}#@$%^&*~`") + ["  ", "   ", "\r\n", "\n\n", "\0", "\x7f"]
    + ["'s", "'S", "'ſ", "'re", "'VE", "'ll", "'lL", "'d", "'m", "'t", "'re'", "''s"]
    + list("éßñøıſK中文字，。！？「」、０９一二三あいうアイウ한국어кириллицаαβγעבריתعربيहिन्दीไทย①②½²Ⅷ")
    + ["e\u0301", "\u0301", "\u200d", "\u200b", "\ufeff", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e"]
    + ["👩\u200d👩\u200d👧", "🇨🇳", "👍🏽", "🤖", "\U0001D54F", "\U00020000", "\U000323AF", "\ufffd", "\U0010FFFF"]
    + ["123456789012345", "hello", "Hello", "你好", "世界", "https://", "    def f(x):\n", "==="]
    + ["<|endoftext|>", "<sop>", "[MASK]", "[gMASK]", "<|user|>", "<|user|", "<sop", "[MASK"]
)


def texts_of(arguments) -> list[tuple[str, str]]:
    """Name and content of all that is to be compared."""
    texts = []
    for path in arguments.files:
        data = pathlib.Path(path).read_bytes()
        content = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
        if path.endswith(".jsonl"):
            lines = content.split("\n")  # splitlines() would cut at U+2028 too.
            texts += [(f"{path}:{number}", json.loads(line)["text"])
                      for number, line in enumerate(lines, 1) if line]
        else:
            texts.append((path, content))
    if arguments.code_points:
        for start in range(0, len(CODE_POINTS), CODE_POINTS_PER_TEXT):
            block = CODE_POINTS[start : start + CODE_POINTS_PER_TEXT]
            content = "".join(CONTEXTS.replace("{}", chr(c)) for c in block)
            texts.append((f"code points from U+{block[0]:04X}", content))
    choose = random.Random(arguments.seed)
    for number in range(arguments.fuzz):
        pieces = choose.choices(HARD, k=choose.randrange(1, 400))
        texts.append((f"fuzz {number}", "".join(pieces)))
    return texts


def encode_ours(arguments, texts: list[tuple[str, str]], parse_special: bool) -> list[list[int]]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(texts), FILES_PER_CALL):
            paths = []
            for number, (_, content) in enumerate(texts[start : start + FILES_PER_CALL]):
                path = pathlib.Path(folder) / f"{number}.txt"
                path.write_bytes(content.encode())
                paths.append(str(path))
            command = [arguments.binary, "tokenizer", "encode", "--tokenizer", arguments.folder]
            command += ["--parse-special"] if parse_special else []
            result = subprocess.run(
                command + ["--input", *paths], check=True, stdout=subprocess.PIPE, text=True
            )
            lines = result.stdout.split("\n")[:-1]
            found += [[int(id) for id in line.split()] for line in lines]
    return found


def decode_ours(arguments, every_ids: list[list[int]], end: int) -> bytes:
    """Our text of all ids, with END after each text."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "ids"
        path.write_text("".join(" ".join(map(str, [*ids, end])) + "\n" for ids in every_ids))
        command = [arguments.binary, "tokenizer", "decode", "--tokenizer", arguments.folder]
        return subprocess.run(
            command + ["--input", str(path)], check=True, stdout=subprocess.PIPE
        ).stdout


def show_difference(name: str, ours: list[int], theirs: list[int], tokenizer: Tokenizer) -> None:
    at = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs))
    )
    print(f"DIFFERENT {name}: token {at} of {len(theirs)}")
    for who, ids in (("ours  ", ours), ("theirs", theirs)):
        part = ids[max(0, at - 2) : at + 8]
        print(f"  {who} {part} {[tokenizer.id_to_token(i) for i in part]}")


def load_automatic(folder: str):
    from transformers import AutoTokenizer  # Slow to import, so only when asked for.

    automatic = AutoTokenizer.from_pretrained(folder)
    print(f"AutoTokenizer: {len(automatic)} tokens, {len(automatic.all_special_tokens)} special")
    return automatic


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--binary", default="build/release/cloze")
    parser.add_argument("--code-points", action="store_true")
    parser.add_argument("--fuzz", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--transformers", action="store_true")
    arguments = parser.parse_args()

    texts = texts_of(arguments)
    tokenizer = Tokenizer.from_file(str(pathlib.Path(arguments.folder) / "tokenizer.json"))
    automatic = load_automatic(arguments.folder) if arguments.transformers else None
    num_different = 0
    for parse_special in (False, True):
        tokenizer.encode_special_tokens = not parse_special
        num_tokens = num_bytes = 0
        every_ours = encode_ours(arguments, texts, parse_special)
        decoded = decode_ours(arguments, every_ours, tokenizer.token_to_id(END))
        expected = b"".join(content.encode() + END.encode() for _, content in texts)
        if decoded != expected:
            at = next(
                (i for i, (a, b) in enumerate(zip(decoded, expected)) if a != b),
                min(len(decoded), len(expected)),
            )
            num_different += 1
            print(f"DIFFERENT: our decoder gives {decoded[at - 20 : at + 20]} at byte {at}, not "
                  f"{expected[at - 20 : at + 20]}")
        for (name, content), ours in zip(texts, every_ours, strict=True):
            theirs = tokenizer.encode(content, add_special_tokens=False).ids
            num_tokens += len(theirs)
            num_bytes += len(content.encode())
            if ours != theirs:
                num_different += 1
                if num_different <= 5:
                    show_difference(name, ours, theirs, tokenizer)
            elif tokenizer.decode(theirs, skip_special_tokens=False) != content:
                num_different += 1
                print(f"DIFFERENT {name}: its ids do not decode to it")
            if parse_special and automatic is not None:
                theirs = automatic(content, add_special_tokens=False)["input_ids"]
                if ours != theirs:
                    num_different += 1
                    show_difference(f"{name}, by AutoTokenizer", ours, theirs, tokenizer)
        kind = "special tokens read" if parse_special else "special tokens as text"
        print(f"{kind}: {len(texts)} texts, {num_bytes} bytes, {num_tokens} tokens compared, and "
              "decoded again")
    print(f"{num_different} differences")
    return 1 if num_different else 0


if __name__ == "__main__":
    sys.exit(main())
