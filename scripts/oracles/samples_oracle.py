"""Writes tests/golden/samples.json: the rows of small corpora by a second implementation.

It follows docs/objective.md in plain Python and shares no code with data/. Run it from the
repository root, with any Python 3:  python scripts/oracles/samples_oracle.py
"""

import bisect
import json
import math

MASK32 = 0xFFFFFFFF
OBJECTIVE, SPANS, SPAN_ORDER, PERMUTATION = 4, 5, 6, 7
OBJECTIVES = ["mask", "sentence", "document", "causal"]
SPECIAL = {"eos": 1, "mask": 2, "sentence_mask": 3, "document_mask": 4, "sop": 5, "eop": 6}


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK32
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return [c0, c1, c2, c3]


def block(seed, domain, layer, site, ordinal, group):
    word1 = domain << 24 | (layer & 0xFFF) << 12 | (site & 0xFF) << 4 | (group >> 32) & 0xF
    word3 = (ordinal >> 32) & MASK32 ^ ((site >> 8) & 0xFF) << 24
    counter = (group & MASK32, word1, ordinal & MASK32, word3)
    return philox(counter, (seed & MASK32, seed >> 32))


def numbers(seed, domain, layer, site, ordinal, group=0):
    while True:
        yield from block(seed, domain, layer, site, ordinal, group)
        group += 1


def below(stream, bound):
    return next(stream) * bound >> 32


def shuffled(stream, values):
    values = list(values)
    for left in range(len(values), 1, -1):
        j = below(stream, left)
        values[left - 1], values[j] = values[j], values[left - 1]
    return values


def share(ratio, length):
    return math.ceil(ratio * length - 1e-9)


class SpanLengths:
    def __init__(self, mean, longest):
        mode = min(max(int(mean), 1), longest)
        weights = {mode: 1.0}
        for k in range(mode + 1, longest + 1):
            weights[k] = weights[k - 1] * mean / k
        for k in range(mode - 1, 0, -1):
            weights[k] = weights[k + 1] * (k + 1) / mean
        total = 0.0
        for k in range(1, longest + 1):
            total += weights[k]
        self.thresholds, cumulative, self.mean, square = [], 0.0, 0.0, 0.0
        for k in range(1, longest + 1):
            cumulative += weights[k]
            self.thresholds.append(int(cumulative / total * 2.0**32))
            self.mean += k * (weights[k] / total)
            square += float(k) * k * (weights[k] / total)
        self.thresholds[-1] = 2**32
        self.variance = max(0.0, square - self.mean * self.mean)

    def draw(self, stream):
        return bisect.bisect_right(self.thresholds, next(stream)) + 1


def window_length(options, lengths):
    seq_length = options["seq_length"]
    if options["causal"]:
        return seq_length

    def fits(n):
        most = n / 128
        if options["sentence_share"] > 0:
            most = max(most, n / 128 + share(options["sentence_ratio"], n) / 16)
        if options["span_share"] > 0:
            hidden = share(options["mask_ratio"], n)
            cube = lengths.mean * lengths.mean * lengths.mean
            deviation = math.sqrt(hidden * lengths.variance / cube)
            most = max(most, hidden / lengths.mean + 3 * deviation)
        return n + 2 * (1 + int(most)) <= seq_length

    return max(n for n in range(2, seq_length) if fits(n))


class Mixture:
    def __init__(self, weights):
        total = sum(weights)
        self.weights = [max(1, int(w / total * 2.0**32 + 0.5)) if w > 0 else 0 for w in weights]

    def place(self, n):
        first, last = 0, len(self.weights)
        while last - first > 1:
            middle = first + (last - first) // 2
            right, total = sum(self.weights[middle:last]), sum(self.weights[first:last])
            before, after = n * right // total, (n + 1) * right // total
            if after > before:
                first, n = middle, before
            else:
                last, n = middle, n - before
        return first, n


def permute(index, size, seed, source, epoch):
    bits = max(2, (size - 1).bit_length())
    left_bits, right_bits = bits // 2, bits - bits // 2
    value = index
    while True:
        left, right = value >> right_bits, value & (1 << right_bits) - 1
        for number in range(12):
            changing, other = (left, right) if number % 2 == 0 else (right, left)
            width = left_bits if number % 2 == 0 else right_bits
            changing ^= block(seed, PERMUTATION, number, source, epoch, other)[0] & (1 << width) - 1
            left, right = (changing, right) if number % 2 == 0 else (left, changing)
        value = left << right_bits | right
        if value < size:
            return value


class Sampler:
    def __init__(self, options, streams, ends):
        self.options, self.streams, self.ends = options, streams, ends
        self.lengths = SpanLengths(options["span_mean"], options["span_max"])
        self.window = window_length(options, self.lengths)
        self.mixture = Mixture(options["weights"])

    def stream(self, domain, ordinal, piece, attempt, piece_attempt=0):
        site = attempt << 8 | piece_attempt
        layer, group = piece >> 18, (piece & (1 << 18) - 1) << 18
        return numbers(self.options["seed"], domain, layer, site, ordinal, group)

    def objective(self, ordinal):
        if self.options["causal"]:
            return "causal"
        draw = block(self.options["seed"], OBJECTIVE, 0, 0, ordinal, 0)[0] / 2**32
        spans, sentences = self.options["span_share"], self.options["sentence_share"]
        if draw < spans:
            return "mask"
        return "sentence" if draw < spans + sentences else "document"

    def spans(self, n, ordinal, piece, attempt):
        hidden = share(self.options["mask_ratio"], n)
        for piece_attempt in range(64):
            random = self.stream(SPANS, ordinal, piece, attempt, piece_attempt)
            drawn = []
            while sum(drawn) < hidden:
                drawn.append(self.lengths.draw(random))
            if sum(drawn) + len(drawn) > n:
                continue
            drawn = shuffled(random, drawn)
            room = n - sum(drawn) - (len(drawn) - 1) + 1
            places = sorted(below(random, room) for _ in drawn)
            blanks, before = [], 0
            for place, length in zip(places, drawn):
                blanks.append((place + before, length))
                before += length + 1
            return blanks
        random = self.stream(SPANS, ordinal, piece, attempt, 64)
        length = min(hidden, n - 1)
        return [(below(random, n - length + 1), length)]

    def sentences(self, ids, ordinal, piece, attempt):
        cuts = [0]
        for i in range(len(ids) - 1):
            following = ids[i + 1]
            if ids[i] in self.ends and following not in self.ends and following != SPECIAL["eos"]:
                cuts.append(i + 1)
        cuts.append(len(ids))
        left = [(a, b - a) for a, b in zip(cuts, cuts[1:])]
        random, taken = self.stream(SPANS, ordinal, piece, attempt), 0
        hidden, least = 0, share(self.options["sentence_ratio"], len(ids))
        while hidden < least:
            j = taken + below(random, len(left) - taken)
            left[taken], left[j] = left[j], left[taken]
            hidden += left[taken][1]
            taken += 1
        return sorted(left[:taken])

    def document(self, n, ordinal, piece, attempt):
        least = min(max(share(self.options["document_min_ratio"], n), 1), n - 1)
        random = self.stream(SPANS, ordinal, piece, attempt)
        hidden = least + below(random, n - least)
        return [(n - hidden, hidden)]

    def blanks(self, objective, ids, ordinal, piece, attempt):
        if len(ids) < 2:
            return []
        if objective == "mask":
            return self.spans(len(ids), ordinal, piece, attempt)
        if objective == "sentence":
            return self.sentences(ids, ordinal, piece, attempt)
        return self.document(len(ids), ordinal, piece, attempt)

    def corrupted(self, objective, ids, blanks, order, start):
        mask = SPECIAL[objective + "_mask" if objective != "mask" else "mask"]
        columns, starts_at = [], {}
        i = 0
        while i < len(ids):
            blank = next((b for b in range(len(blanks)) if blanks[b][0] == i), None)
            if blank is None:
                token, i = ids[i], i + 1
            else:
                token, i = mask, i + blanks[blank][1]
                starts_at[blank] = len(columns)
            columns.append([token, 0, 0, len(columns), 0, len(columns), start, None])
        separator = len(columns)
        for column in columns:
            column[7] = start + separator
        for blank in order:
            first, length = blanks[blank]
            text = ids[first:first + length]
            place = starts_at[blank]
            for j, (token, target) in enumerate(zip([SPECIAL["sop"]] + text,
                                                    text + [SPECIAL["eop"]])):
                rotary = place + j + 1 if objective == "document" else place
                columns.append([token, target, 1, place, j + 1, rotary, start,
                                start + len(columns) + 1])
        return columns, separator

    def row(self, ordinal):
        """[token, target, loss, row 0, row 1, rotary, lo, hi] of each token; bounds of samples."""
        seq_length, eos = self.options["seq_length"], SPECIAL["eos"]
        source, position = self.mixture.place(ordinal)
        stream = self.streams[source]
        windows = -(-len(stream) // self.window)
        number = permute(position % windows, windows, self.options["seed"], source,
                         position // windows)
        first = number * self.window
        window = stream[first:first + self.window]
        pieces = [[]]
        for token in window:
            pieces[-1].append(token)
            if token == eos:
                pieces.append([])
        pieces = [piece for piece in pieces if piece]
        objective = self.objective(ordinal)
        columns, bounds = [], []
        if objective == "causal":
            for piece in pieces:
                start = len(columns)
                following = stream[first + start + 1:first + start + len(piece) + 1]
                for j, token in enumerate(piece):
                    ends = token == eos or j >= len(following)
                    columns.append([token, 0 if ends else following[j], 0 if ends else 1, j, 0, j,
                                    start, start + j + 1])
                bounds.append([start, len(piece), 0])
        else:
            room = (seq_length - len(window)) // 2
            for attempt in range(16):
                blanks = [self.blanks(objective, ids, ordinal, piece, attempt)
                          for piece, ids in enumerate(pieces)]
                if sum(map(len, blanks)) <= room:
                    break
            else:
                count = sum(map(len, blanks))
                ranks = iter(shuffled(self.stream(SPAN_ORDER, ordinal, 0, 16), range(count)))
                blanks = [[b for b in of_piece if next(ranks) < room] for of_piece in blanks]
            for piece, ids in enumerate(pieces):
                order = shuffled(self.stream(SPAN_ORDER, ordinal, piece, attempt),
                                 range(len(blanks[piece])))
                start = len(columns)
                sample, separator = self.corrupted(objective, ids, blanks[piece], order, start)
                columns += sample
                bounds.append([start, len(sample), separator])
        while len(columns) < seq_length:
            columns.append([eos, 0, 0, 0, 0, 0, len(columns), len(columns)])
        return objective, columns, bounds


def corpus(number, documents, longest):
    """The same documents as sample_source_test.cc makes."""
    made = []
    for d in range(documents):
        length = 0 if d % 11 == 5 else 1 + (d * 7919 + number * 131) % longest
        ids = [10 + (d * 31 + j * 17 + j * j * 3 + number * 7) % 500 for j in range(length)]
        made.append(ids + [SPECIAL["eos"]] if d % 3 else ids)
    return made


def digest(values):
    value = 0xCBF29CE484222325
    for number in values:
        value = ((value ^ (number & MASK32)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


DEFAULTS = {"causal": False, "mask_ratio": 0.15, "span_mean": 3.0, "span_max": 39,
            "sentence_ratio": 0.15, "document_min_ratio": 0.5, "span_share": 0.5,
            "sentence_share": 0.2, "document_share": 0.3, "seq_length": 128,
            "seed": 0xFEDCBA9876543210, "weights": [1.0], "documents": 60, "longest": 97,
            "near": 180, "far": 20}
CASES = {
    "default": {"seq_length": 512, "documents": 200, "longest": 1409},
    "three sources": {"weights": [0.7, 0.2, 0.1], "seed": 7},
    "short documents": {"longest": 6, "seq_length": 64, "documents": 300},
    "long spans": {"span_mean": 12.5, "span_max": 50, "mask_ratio": 0.3, "seq_length": 96,
                   "span_share": 1.0, "sentence_share": 0.0, "document_share": 0.0},
    "sentences": {"sentence_share": 1.0, "span_share": 0.0, "document_share": 0.0},
    "documents": {"document_share": 1.0, "span_share": 0.0, "sentence_share": 0.0,
                  "document_min_ratio": 0.2},
    "causal": {"causal": True, "seq_length": 64, "weights": [1.0, 2.0]},
}


def main():
    cases = []
    for name, changes in CASES.items():
        options = {**DEFAULTS, **changes}
        eos = SPECIAL["eos"]
        streams = []
        for number in range(len(options["weights"])):
            stream = []
            for document in corpus(number, options["documents"], options["longest"]):
                stream += document if document and document[-1] == eos else document + [eos]
            streams.append(stream)
        sampler = Sampler(options, streams, {i for i in range(512) if i % 13 == 0})
        # Rows at the start and far out, where an index cache could not reach.
        ordinals = list(range(options["near"]))
        ordinals += [10**12 + i for i in range(options["far"])]
        digests = []
        for ordinal in ordinals:
            objective, columns, bounds = sampler.row(ordinal)
            flat = [OBJECTIVES.index(objective)]
            flat += [number for column in zip(*columns) for number in column]
            digests.append(digest(flat + [number for b in bounds for number in b]))
        full = [list(column) for column in zip(*sampler.row(0)[1])]
        cases.append({"name": name, "options": options, "window_length": sampler.window,
                      "first_row": full, "digests": digests})
    with open("tests/golden/samples.json", "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
                   + "\n]\n")


if __name__ == "__main__":
    main()
