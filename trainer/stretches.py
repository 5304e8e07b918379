"""Stretches: what windows hold of each document, with the places of BOS, text and EOS in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.attention import Documents


@dataclass(frozen=True, eq=False)
class Stretches:
    """For each token of windows [rows, length + 1] the numbers of its stretch, its last target included.

    `first`: the stretch's first column; `begin`: that of its text, after BOS; `size`: the number of tokens of
    its text; `head` and `tail`: 1 if it starts with BOS, ends with EOS; `place`: the token's place in the
    text. `inside` (bool): the token belongs to a stretch, not to padding.
    """

    first: Tensor
    begin: Tensor
    size: Tensor
    head: Tensor
    tail: Tensor
    place: Tensor
    inside: Tensor

    @property
    def heads(self) -> Tensor:
        """Return whether a token is the first of its stretch."""
        return self.inside & (self.first == _columns(self.first))


def of(
    tokens: Tensor, documents: Documents, lengths: Tensor, ends: Tensor, *, bos: int, eos: int
) -> Stretches:
    """Find the stretches of windows; `lengths` and `ends` are those of a Batch."""
    column = _columns(tokens)
    first = column[:, :-1] - documents.positions
    first = torch.cat([first, first[:, -1:]], dim=1)
    last = lengths.long()[:, None]
    # The last target is where padding starts, or after the inputs; it belongs to the stretch before it.
    first = torch.where(column == last, first.gather(1, (last - 1).clamp(min=0)), first)
    inside = (column < last) | ((column == last) & ~ends[:, None])
    count = torch.zeros_like(tokens).scatter_add_(1, first, inside.long()).gather(1, first)
    head = (tokens.gather(1, first) == bos).long()
    tail = (tokens.gather(1, (first + count - 1).clamp(min=0)) == eos).long()
    begin = first + head
    return Stretches(first, begin, count - head - tail, head, tail, column - begin, inside)


def _columns(like: Tensor) -> Tensor:
    return torch.arange(like.shape[1], device=like.device).expand_as(like)
