"""Writes the goldens of the tokenizer's tests, from Hugging Face tokenizers alone.

    .venv/bin/python scripts/oracles/tokenizer_oracle.py tests/golden/tokenizer

glm/tokenizer.json      trained on TRAINING_TEXT with GLM-4's split pattern and special tokens
foreign/tokenizer.json  GPT-2's split, merges written as "a b", no ignore_merges, and added tokens
                        that are not special, overlap, or are sought late
cases.json              the training text; for either tokenizer texts with their ids, with special
                        tokens read as text (ids) and as tokens (ids_special)
"""

import json
import pathlib
import random
import sys

from check_tokenizer import HARD
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

GLM_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GLM_SPECIALS = [
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>",
    "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
]  # fmt: skip
NUM_PIECES = 600

TRAINING_TEXT = """\
A language model is trained to continue a text, or to fill in what was taken out of it. In the
second way some spans are cut from the text; each leaves a mask in its place, and the model writes
the spans again, one after another, in a shuffled order. It's simple, and it doesn't need labels:
we'll say that the text is its own teacher. You've seen it, they're used to it, I'm sure he'd agree.

The model reads the text with the masks from both sides, and the spans from left to right. So one
model learns to understand and to generate. The spans' lengths are drawn from a Poisson law with a
mean of 3; together they make 15% of the text. For long texts one span of 50% to 100% is cut.

语言模型的训练目标是续写文本，或者把被挖去的部分重新填上。在第二种做法里，文本中的若干片段被遮盖，
每个片段原来的位置留下一个掩码，模型再按照打乱的顺序把这些片段一个一个地写出来。这种方法很简单，也不需要
标注：文本就是自己的老师。模型从两个方向阅读带有掩码的文本，从左到右生成被遮盖的片段，所以同一个模型既能
理解文本，也能生成文本。模型很大的时候，训练要用很多机器，每台机器只保存模型的一部分。

The parts of a large model are spread over many machines. Each machine keeps one part of every
matrix, or some of the layers, or its own share of the batch; the parts of a matrix are added up by
all machines of a group, the layers hand their results to the machines of the next stage, and the
gradients of the shares are averaged. When a machine is lost the training starts again from the
last checkpoint, which every machine has written in part, and goes on as if nothing had happened.
The checkpoint can be read by another number of machines, because it knows what it holds.

A tokenizer turns text into numbers. It begins with bytes, and again and again it joins the two
neighbours that are most often side by side, until there are as many pieces as were asked for. So
common words are one piece, and rare words are several; no text is without pieces.

大模型的各个部分分布在很多机器上。每台机器保存矩阵的一部分，或者若干层，或者一批文本中自己的那一份；
同一组的机器把矩阵的各个部分加起来，各层把结果交给下一个阶段的机器，各份的梯度再取平均。如果一台机器
出了问题，训练就从最后一个检查点重新开始，每台机器都写了检查点的一部分，所以训练可以继续，就像什么都没有
发生过一样。检查点也可以由另外一些机器来读，因为检查点知道自己保存的是什么。分词器把文本变成数字：它从字节
开始，一次又一次地把最常相邻的两个部分合并起来，直到有了所要求的那么多片段。

for (int i = 0; i < 1024; ++i) {\r
    total += values[i] * 3.14159;  // 2048, 4096, 65536\r
}\r
\tif (total > 1000000) { return "too large"; }

Die Größe des Modells ist nicht alles; le modèle apprend aussi l'ordre des mots, даже порядок слов.
モデルは文章の続きを書く。모델은 글을 이어 쓴다。 1, 2, 3 ... 10, 20, 30 ... 100, 200, 300! 🙂 👍🏽 🙂
"""

WRITTEN = [
    "", " ", "  ", "\n", "\r\n", "\r", "\t", "a", " a", "  a", "a ", "a  ", "   a   b   ", "\0", "a\0b",
    "Hello, world!", "it's IT'S It'S they'RE we'LL I'M he'D you'Ve can'T", "'ſ 'ſs 'S's ''s 's' 'l 'r 'v",
    "0 00 000 0000 00000 000000 1234567890 12a34", "①②③④ ½¼ Ⅷ ٠١٢٣ ০১২৩", "x1y22z333w4444",
    "语言模型的训练目标是续写文本", "训练 2048 个 token，用时 3.14 秒。", "“引号”、（括号）……", "全角　空格",
    "e\u0301 cafe\u0301 \u0301\u0302", "👩\u200d👩\u200d👧\u200d👦 🇨🇳🇩🇪 👍🏽", "a\u200bb\ufeffc\u00adz", "\ufffd\uffff\U0010FFFF",
    "line\n\nline\r\n\r\nline \n line\n  line\t\n\t", "trailing  \n  ", "\n \n \n", " \r \n", "\u2028a\u2029b\u0085c\u00a0d",
    "(a) [b] {c} <d> !!! ??? ... --- === ///\n///", "!\n\n!", " !\r\n", ".\n.", "@user #tag $5 50% a&b a*b a_b __init__",
    "<sop>", "a<sop>b", "<sop><eop>", "[MASK] [gMASK][sMASK]", "<|user|>\nhi<|assistant|>\nyes<|endoftext|>",
    "<|user|", "<<sop>>", "<|endoftext|", "|>", "[gMASK", "<SOP>", " <sop> ", "<think>a</think>", "<think><thinking>late text",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "ﬀ ﬁ ß ẞ İ ı ſ K Å", "हिन्दी ไทย العربية עברית ქართული", "\U00020000\U000323AF\U0002A6DF",
    "a" * 300, "的" * 100, " " * 200, "1" * 100, "ab" * 100 + " " + "的文本" * 60, "\n" * 50 + "x", "🙂" * 40,
]  # fmt: skip


def texts() -> list[str]:
    choose = random.Random(7)
    mixed = ["".join(choose.choices(HARD, k=choose.randrange(2, 60))) for _ in range(80)]
    return WRITTEN + mixed


def train(pre_tokenizer, ignore_merges: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NUM_PIECES,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
    return tokenizer


def make_glm() -> Tokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(GLM_PATTERN), "isolated")
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level]), ignore_merges=True)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in GLM_SPECIALS])
    return tokenizer


def make_foreign() -> Tokenizer:
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=False), ignore_merges=False)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in GLM_SPECIALS[:6]])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "<thinking>", "<s")])
    tokenizer.add_tokens([AddedToken(t, normalized=True) for t in ("late text", "think")])
    return tokenizer


def cases_of(tokenizer: Tokenizer) -> list[dict]:
    cases = []
    for text in texts():
        case = {"text": text}
        for key, as_text in (("ids", True), ("ids_special", False)):
            tokenizer.encode_special_tokens = as_text
            case[key] = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        case["text_without_special"] = tokenizer.decode(case["ids_special"])
        for key, same in (("ids_special", "ids"), ("text_without_special", "text")):
            if case[key] == case[same]:
                del case[key]
        cases.append(case)
    return cases


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    golden = {"training_text": TRAINING_TEXT}
    for name, tokenizer in (("glm", make_glm()), ("foreign", make_foreign())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        content = json.loads(tokenizer.to_str())
        if name == "foreign":  # As files were written before tokenizers 0.20.
            content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
        text = json.dumps(content, ensure_ascii=False)
        (folder / name / "tokenizer.json").write_text(text + "\n")
        golden[name] = cases_of(Tokenizer.from_str(text))
    (folder / "cases.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
