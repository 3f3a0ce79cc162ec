#!/usr/bin/env python3
"""Makes a small bilingual corpus of real text from four Debian packages.

fortunes            English sayings, quotations, verses: one document each
fortunes-zh         Chinese poems and passages: one document each
debian-reference-*  a handbook in English and in Chinese: one document a section

Terminal colours go, wrapped lines of prose are joined, drawings and doubles are left out. About
two documents in a hundred, chosen by their digest, are for validation. The same packages give
the same bytes.

usage: extract_corpus.py OUTPUT_FOLDER      writes train.jsonl, validation.jsonl: {"text": ...}
"""

import collections
import gzip
import hashlib
import itertools
import json
import pathlib
import re
import sys

FORTUNES = pathlib.Path("/usr/share/games/fortunes")
CHINESE = ("chinese", "tang300", "song100")
# Drawings, and jokes about groups of people, which a model should not learn from.
LEFT_OUT = ("ascii-art", "drugs", "ethnic", "men-women")
HANDBOOK = "/usr/share/debian-reference/debian-reference.{language}.txt.gz"

COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
OVERSTRIKE = re.compile(r".\x08")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
SECTION = re.compile(r"^(第 \d+ 章 |Chapter \d+\. |\d+(\.\d+)*\. )")


def clean(text):
    text = COLOUR.sub("", text).replace("\r\n", "\n").replace("\t", "    ").replace("\u00a0", " ")
    text = CONTROL.sub("", OVERSTRIKE.sub("", text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def is_prose(text):
    """Long enough to say something, and not a drawing or a table of symbols."""
    visible = [c for c in text if not c.isspace()]
    strokes = sum(c in "|_/\\=+*#^~<>`" or "\u2190" <= c <= "\u2bff" for c in visible)
    return len(visible) >= 10 and strokes <= 0.15 * len(visible)


def fortunes(name):
    text = (FORTUNES / name).read_text(encoding="utf-8", errors="strict")
    for piece in re.split(r"^%$", text, flags=re.MULTILINE):
        # The handbook is read whole below; excerpts of other versions of it would repeat it.
        if "Debian 参考手册" not in piece and "Debian 参考卡片" not in piece:
            yield clean(piece)


def join_lines(paragraph):
    """One line of a wrapped paragraph; examples, tables and lists keep their lines."""
    lines = paragraph.split("\n")
    bodies = [line.strip() for line in lines]
    if any(re.match(r"[$#|+>*•-]|\w+[=:]", body) or "  " in body for body in bodies):
        return paragraph
    joined = " ".join(bodies)
    # Chinese has no spaces between words, so a line break inside it was none either.
    joined = re.sub(rf"(?<=[{WIDE}]) (?=[{WIDE}])", "", joined)
    return re.match(r" *", lines[0])[0] + joined


def handbook(language):
    with gzip.open(HANDBOOK.format(language=language), "rt", encoding="utf-8") as file:
        text = clean(file.read())
    # A title stands alone; in the table of contents another title follows at once.
    lines = text.split("\n")
    section, inside = [], False
    for number, line in enumerate(lines):
        title = SECTION.match(line) and number + 1 < len(lines) and not lines[number + 1]
        if title:
            if inside:
                yield "\n".join(section)
            section, inside = [], True
        section.append(line[4:] if line.startswith("    ") else line)
    if inside:
        yield "\n".join(section)


def documents():
    names = sorted(path.name for path in FORTUNES.iterdir()
                   if "." not in path.name and path.name not in LEFT_OUT and path.is_file())
    missing = set(CHINESE) - set(names)
    if missing:
        sys.exit(f"{FORTUNES} lacks {', '.join(sorted(missing))}: install fortunes-zh")
    for name in names:
        language = "Chinese" if name in CHINESE else "English"
        for text in fortunes(name):
            yield language, text
    for language, code in (("English", "en"), ("Chinese", "zh-cn")):
        for text in handbook(code):
            yield language, "\n\n".join(map(join_lines, clean(text).split("\n\n")))


def main():
    output = pathlib.Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    seen, counts = set(), collections.Counter()
    chosen = {"train": [], "validation": []}
    for language, text in documents():
        if not is_prose(text):
            counts["left out: no prose"] += 1
            continue
        digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
        if digest in seen:
            counts["left out: doubles"] += 1
            continue
        seen.add(digest)
        split = "validation" if digest[0] * 256 + digest[1] < 0.02 * 65536 else "train"
        chosen[split].append((digest, text))
        counts[f"{split}: {language} documents"] += 1
        counts[f"{split}: {language} characters"] += len(text)
    for split, language in itertools.product(chosen, ("English", "Chinese")):
        if not counts[f"{split}: {language} documents"]:
            sys.exit(f"no {language} text for {split}")
    for split, items in chosen.items():
        # In the order of their digests the languages and sources are mixed.
        lines = [json.dumps({"text": text}, ensure_ascii=False) for _, text in sorted(items)]
        path = output / f"{split}.jsonl"
        path.with_suffix(".tmp").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.with_suffix(".tmp").replace(path)
    for name in sorted(counts):
        print(f"{name}: {counts[name]}")


if __name__ == "__main__":
    main()
