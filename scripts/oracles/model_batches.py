"""Small batches of the shape of data/batch.h: packed documents, and documents with blanks."""

import torch

VOCAB = 61  # Odd: it divides over no number of tensor ranks.
MASK, GMASK, SMASK, SOP, EOP, EOS = 55, 56, 57, 58, 59, 60


def causal_piece(text):
    """A whole document: every token predicts the next one, the last predicts eos."""
    length = len(text)
    return [
        dict(token=text[i], target=text[i + 1] if i + 1 < length else EOS, counts=1, position=i,
             block_position=0, rotary_position=i, lo=0, hi=i + 1)
        for i in range(length)
    ]


def infilling_piece(text, spans, mask_token):
    """Part A with one mask token a span, then part B: the spans in the order given."""
    part_a, places, i = [], {}, 0
    starts = {first: last for first, last in spans}
    while i < len(text):
        if i in starts:
            places[i] = len(part_a)
            part_a.append(mask_token)
            i = starts[i]
        else:
            part_a.append(text[i])
            i += 1
    separator = len(part_a)
    # Part A sees all of itself and nothing of part B.
    piece = [
        dict(token=token, target=0, counts=0, position=position, block_position=0,
             rotary_position=position, lo=0, hi=separator)
        for position, token in enumerate(part_a)
    ]
    for first, last in spans:
        inputs, targets = [SOP] + text[first:last], text[first:last] + [EOP]
        for k, (token, target) in enumerate(zip(inputs, targets)):
            position, block = places[first], k + 1
            piece.append(dict(
                token=token, target=target, counts=1, position=position, block_position=block,
                rotary_position=position + (block if mask_token == GMASK else 0), lo=0,
                hi=len(piece) + 1))
    return piece


def batch_of(rows):
    """Rows of pieces -> tensors; intervals count from the batch's first token."""
    tokens, length = [], None
    for row in rows:
        first_of_row = len(tokens)
        for piece in row:
            start = len(tokens)
            tokens += [dict(t, lo=t["lo"] + start, hi=t["hi"] + start) for t in piece]
        assert length in (None, len(tokens) - first_of_row), len(tokens) - first_of_row
        length = len(tokens) - first_of_row
    column = lambda key: torch.tensor([t[key] for t in tokens], dtype=torch.int32)
    return {
        "tokens": column("token"), "targets": column("target"),
        "loss_mask": column("counts").to(torch.uint8), "position": column("position"),
        "block_position": column("block_position"), "rotary_position": column("rotary_position"),
        "lo": column("lo"), "hi": column("hi"),
    }, {"rows": len(rows), "seq_length": length}


def words(generator, count):
    return torch.randint(0, MASK, (count,), generator=generator).tolist()


def causal_batch(seed):
    g = torch.Generator().manual_seed(seed)
    rows = [[causal_piece(words(g, 5)), causal_piece(words(g, 8))], [causal_piece(words(g, 13))]]
    batch, shape = batch_of(rows)
    # A loss on a part of the tokens: the mean is over what counts.
    batch["loss_mask"][[2, 9]] = 0
    batch["targets"][[2, 9]] = 0
    return batch, shape


def infilling_batch(seed):
    g = torch.Generator().manual_seed(seed)
    # Spans are in part B's order, which is not the text's.
    rows = [
        [infilling_piece(words(g, 8), [(4, 6), (2, 3)], MASK)],  # 5 + 2 + 3 + 2 = 12
        [infilling_piece(words(g, 3), [(1, 2)], SMASK),  # 3 + 2 = 5
         infilling_piece(words(g, 5), [(2, 5)], GMASK)],  # 3 + 4 = 7
    ]
    return batch_of(rows)
