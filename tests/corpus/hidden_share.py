"""How much of a text [MASK] samples hide, against the rule of docs/objective.md: span lengths are
drawn until their sum is at least ceil(mask_ratio n), so a sample hides that or a little more.
"""

import math
import sys

MASK_RATIO = 0.15
SPAN_MEAN, SPAN_MAX = 3.0, 39
TOLERANCE = 0.02  # Of the mean: some four standard deviations of the samples that are looked at.
FEW_TOKENS = 40  # Shorter pieces draw again when their spans do not fit, which changes the mean.


def span_shares():
    """Poisson(SPAN_MEAN) on 1 .. SPAN_MAX, normalised: [length - 1]."""
    weights = [SPAN_MEAN**length / math.factorial(length) for length in range(1, SPAN_MAX + 1)]
    return [weight / sum(weights) for weight in weights]


def mean_sums(largest):
    """[h]: the mean of the sum of lengths drawn until it is at least h."""
    shares, means = span_shares(), [0.0]
    for wanted in range(1, largest + 1):
        means.append(sum(share * (length + means[max(0, wanted - length)])
                         for length, share in enumerate(shares, 1)))
    return means


def wanted_of(tokens):
    return math.ceil(MASK_RATIO * tokens)


def count(samples, mask):
    """(tokens, hidden tokens) of each piece that has a blank."""
    counts = []
    for sample in samples:
        assert sample["objective"] == "mask", sample["objective"]
        blanks = sample["tokens"][: sample["separator"]].count(mask)
        # Each blank's target ends with an <eop>, which is no token of the text.
        hidden = sum(sample["loss_mask"]) - blanks
        assert hidden == len(sample["tokens"]) - sample["separator"] - blanks
        if blanks:
            counts.append((sample["separator"] - blanks + hidden, hidden))
        else:
            assert hidden == 0 and sample["separator"] == 1, "a piece of more tokens has no blank"
    return counts


def hidden_share(samples, mask):
    """Prints the shares and ends the program when one is not what the rule gives."""
    counts = count(samples, mask)
    for tokens, hidden in counts:
        least = min(wanted_of(tokens), tokens - 1)
        if not least <= hidden < wanted_of(tokens) + SPAN_MAX:
            sys.exit(f"{hidden} of {tokens} tokens are hidden, not at least {least}")
    tokens, hidden = (sum(column) for column in zip(*counts))
    print(f"[MASK] hides {hidden} of {tokens} tokens, {100 * hidden / tokens:.2f} %, in "
          f"{len(counts)} samples; each at least ceil({MASK_RATIO} n)")
    long = [(tokens, hidden) for tokens, hidden in counts if tokens >= FEW_TOKENS]
    means = mean_sums(wanted_of(max(tokens for tokens, _ in long)))
    expected = sum(means[wanted_of(tokens)] for tokens, _ in long)
    found = sum(hidden for _, hidden in long)
    text = sum(tokens for tokens, _ in long)
    print(f"   of {FEW_TOKENS} tokens and more: {100 * found / text:.2f} % in {len(long)} samples, "
          f"expected {100 * expected / text:.2f} %")
    if abs(found / expected - 1) > TOLERANCE:
        sys.exit(f"the share is more than {100 * TOLERANCE} % from what is expected")
