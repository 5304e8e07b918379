"""The two sides of an encoder-decoder's batch: texts with sentinels to read, and their spans to write."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from trainer import spans
from trainer.attention import Documents, Pair
from trainer.loss import IGNORED
from trainer.spans import Rule
from trainer.stretches import Stretches

_MULTIPLE = 8  # of a side's tokens, the fastest for matrix products


@cache
def capacity(rules: tuple[Rule, ...], width: int) -> int:
    """Return how many tokens a decoder writes at most for texts of `width` tokens together."""
    size = torch.arange(spans.SHORTEST, max(width, spans.SHORTEST) + 1)
    written = torch.stack([spans.lengths(rule, size, room=False)[1] for rule in rules])
    most = float(((written + 1) / size).max()) * width  # each text's EOS too
    return -(-int(most + 1) // _MULTIPLE) * _MULTIPLE


def lengths(rule: Rule, held: Stretches) -> tuple[Tensor, Tensor]:
    """Return at the first token of each stretch the tokens of the encoder and of the decoder, elsewhere 0.

    The encoder reads BOS and the text with sentinels, the decoder writes the spans and EOS. Texts too short
    for spans are on no side.
    """
    inputs, written = spans.lengths(rule, held.size, room=False)
    used = held.heads & (inputs > 0)
    return torch.where(used, inputs + held.head, 0), torch.where(used, written + 1, 0)


def sides(
    tokens: Tensor,
    held: Stretches,
    keys: Tensor,
    starts: Tensor,
    rules: tuple[Rule, ...],
    *,
    bos: int,
    eos: int,
) -> tuple[Tensor, Tensor, Pair]:
    """Return the tokens of both sides, one after the other, the decoder's targets, and the documents.

    `tokens` are windows [rows, length + 1], `starts` the cu_seqlens of their documents. The encoder's side is
    as long as a window: a text with its sentinels is shorter than without. The decoder reads BOS, then what
    it has written.
    """
    rows, width = tokens.shape
    length, room = width - 1, capacity(rules, width)
    rule = spans.drawn(rules, held, keys)
    made = spans.corrupt(rule, held, keys, room=False)
    moved = tokens.gather(1, made.source.clamp(0, length))
    read, written = lengths(rule, held)
    (read_at, reads), (write_at, writes) = (_places(each, held.first) for each in (read, written))
    text = read_at + held.head
    inputs = torch.zeros_like(tokens[:, :-1])
    inputs = spans.put(inputs, read_at, tokens, (read > 0) & (held.head > 0))
    inputs = spans.put_mode(inputs, text, rule, read > 0)
    inputs = spans.put(inputs, text + made.target, moved, made.kept)
    inputs = spans.put(inputs, text + made.gap, made.piece, made.starts)
    targets = torch.full((rows, room), IGNORED, device=tokens.device)
    targets = spans.put(targets, write_at + made.target, moved, made.taken)
    targets = spans.put(targets, write_at + made.target - 1, made.piece, made.starts)
    targets = spans.put(targets, write_at + written - 1, torch.full_like(tokens, eos), written > 0)
    before = torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1].clamp(min=0)], dim=1)
    outputs = spans.put(before, write_at, torch.full_like(tokens, bos), written > 0)
    pair = Pair(
        Documents.of(_bounds(starts, read_at, reads, length), rows, length, causal=False),
        Documents.of(_bounds(starts, write_at, writes, room), rows, room),
    )
    return torch.cat([inputs, outputs], dim=1), targets, pair


def _places(sizes: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each token's stretch starts on a side, and the tokens [rows] that a row has there."""
    ends = sizes.cumsum(1)
    return (ends - sizes).gather(1, first), ends[:, -1]


def _bounds(starts: Tensor, places: Tensor, used: Tensor, length: int) -> Tensor:
    """Return cu_seqlens of rows of `length` tokens: documents at their places, then each row's padding.

    Documents and paddings have the same numbers on both sides, also where one has no token of them.
    """
    rows, window = places.shape[0], places.shape[1] - 1
    begins = starts[:-1].long()  # the tail is rows · window
    row = begins // window
    flat = places[:, :-1].flatten()
    at = row * length + flat[begins.clamp(max=rows * window - 1)].masked_fill(row == rows, 0)
    number = torch.arange(rows, device=starts.device)
    before = torch.searchsorted(begins, (number + 1) * window)  # documents up to the end of each row
    bounds = torch.full((len(begins) + rows + 1,), rows * length, device=starts.device)
    bounds[torch.arange(len(begins), device=starts.device) + row] = at
    bounds[before + number] = number * length + used
    return bounds.int()
