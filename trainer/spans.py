"""Span corruption: spans of a text are taken out, marked by sentinels, and written after it (1910.10683).

A text of m tokens becomes an input, what is kept of it with sentinel s in place of span s, and a target,
each sentinel with its span after it. As in T5, the numbers of spans and of taken tokens follow from the
length alone, and their places are random: spans and what is between them are random compositions. Of a
mixture of denoisers (UL2, 2205.05131) each text has one, named by a piece before its input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from trainer.stretches import Stretches
from trainer.uniform import uniform

SHORTEST = 16
"""Texts of fewer tokens stay whole."""
_UL2 = (  # table 1: the mode (R, S, X), the share of tokens and the mean length of spans
    *((0, 0.15, 3.0), (0, 0.15, 8.0)),
    (1, 0.25, math.inf),  # one span, which is the end of the text
    *((2, 0.5, 3.0), (2, 0.5, 8.0), (2, 0.15, 64.0), (2, 0.5, 64.0)),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """The share of tokens that is taken out, the mean length of spans, and the ids of the sentinels.

    No text has more spans than there are sentinels: in long ones, spans are longer. `mode` is the piece
    before the text. Where every text has its own (`drawn`), these are tensors.
    """

    share: float | Tensor
    span: float | Tensor
    sentinels: tuple[int, ...]
    mode: int | Tensor | None = None

    @property
    def front(self) -> int:
        """Return the number of pieces before the text."""
        return int(self.mode is not None)

    def spans(self, size: Tensor) -> Tensor:
        """Return the number of spans of texts of these numbers of tokens; 0 where they stay whole."""
        wanted = (size.double() * self.share / self.span).round().long()
        # Five: two taken on average, one kept, two sentinels.
        most = ((size - self.front) // 5).clamp(max=len(self.sentinels))
        return torch.where(size >= SHORTEST, torch.minimum(wanted.clamp(min=1), most), 0)

    def taken(self, text: Tensor, spans: Tensor) -> Tensor:
        """Return the number of tokens that texts of this length lose: at least two for each span."""
        wanted = (text.double() * self.share).round().long()
        return torch.minimum(torch.maximum(wanted, 2 * spans), text - spans)


@dataclass(frozen=True, eq=False)
class Corrupted:
    """For each of a text's tokens, in two parts, first those kept and then those taken: where it goes.

    All are [rows, length + 1]. `kept` and `taken` (bool) name the part; `source` is the column that the token
    comes from, `target` its place in the input or the target of its text. Where `starts` (bool), a taken
    token is the first of its span: sentinel `piece` is at place `gap` of the input and at `target` - 1 of the
    target. `inputs` and `targets` are the lengths of both, 0 for texts that stay whole.
    """

    kept: Tensor
    taken: Tensor
    source: Tensor
    target: Tensor
    starts: Tensor
    gap: Tensor
    piece: Tensor
    inputs: Tensor
    targets: Tensor


def mixture(pieces: tuple[int, ...], *, room: bool) -> tuple[Rule, ...]:
    """Return UL2's denoisers: the last three pieces are those of their modes, the others sentinels.

    With `room` a text has fewer tokens than its size, by two for each span: spans are counted accordingly.
    """
    sentinels, modes = pieces[:-3], pieces[-3:]
    return tuple(Rule(share, span + 2 * share * room, sentinels, modes[mode]) for mode, share, span in _UL2)


def drawn(rules: tuple[Rule, ...], held: Stretches, keys: Tensor) -> Rule:
    """Return the rule of each token's text, drawn with equal chances by the keys, int64 [rows]."""
    if len(rules) == 1:
        return rules[0]
    which = (uniform(keys[:, None], 4 * held.first + 1) * len(rules)).long()
    share, span, mode = (
        _on(which.device, values, dtype)[which]
        for values, dtype in (
            (tuple(rule.share for rule in rules), torch.float64),
            (tuple(rule.span for rule in rules), torch.float64),
            (tuple(rule.mode for rule in rules), torch.int64),
        )
    )
    return Rule(share, span, rules[0].sentinels, mode)


def lengths(rule: Rule, size: Tensor, *, room: bool) -> tuple[Tensor, Tensor]:
    """Return the lengths of input and target; with `room` they fill `size`, without what they displace."""
    spans = rule.spans(size)
    text = size - 2 * spans - rule.front if room else size
    taken = rule.taken(text, spans)
    whole = spans == 0
    return (rule.front + text - taken + spans).masked_fill(whole, 0), (taken + spans).masked_fill(whole, 0)


def corrupt(rule: Rule, held: Stretches, keys: Tensor, *, room: bool) -> Corrupted:
    """Take out spans of the stretches of windows with these keys, int64 [rows].

    With `room` the text's last tokens, as many as there are sentinels, are omitted.
    """
    inputs, targets = lengths(rule, held.size, room=room)
    spans = rule.spans(held.size)
    kept = inputs - spans - rule.front
    text = kept + targets - spans
    item = held.inside & (spans > 0) & (held.place >= 0) & (held.place < text)
    is_kept, is_taken = item & (held.place < kept), item & (held.place >= kept)
    column = held.begin + held.place
    # Both parts are composed of as many segments as there are spans: those start at a part's first token and
    # at random ones of the others.
    part = torch.where(is_kept, held.begin, torch.where(is_taken, held.begin + kept, column))
    order = part + torch.where(column == part, 0.0, uniform(keys[:, None], 4 * column))
    starts = item & (order.argsort(dim=1, stable=True).argsort(dim=1) - part < spans)
    number = starts.long().cumsum(1)
    number = (number - number.gather(1, part)).masked_fill(~item, 0)  # of the segment, in its part
    index = torch.where(is_kept, held.place, held.place - kept)  # in the part
    of_kept = _table(held.begin + number, index, is_kept & starts)
    of_taken = _table(held.begin + number, index, is_taken & starts)
    at = (held.begin + number).clamp(max=column.shape[1] - 1)
    before_kept = of_taken.gather(1, at)  # tokens taken before a kept segment
    following = of_kept.gather(1, (at + 1).clamp(max=column.shape[1] - 1))
    before_taken = torch.where(number + 1 < spans, following, kept)  # tokens kept before a span
    pieces = _on(column.device, rule.sentinels, torch.int64)
    return Corrupted(
        kept=is_kept,
        taken=is_taken,
        source=held.begin + index + torch.where(is_kept, before_kept, before_taken),
        target=index + number + torch.where(is_taken, 1, rule.front),
        starts=is_taken & starts,
        gap=before_taken + number + rule.front,
        piece=pieces[number.clamp(max=len(pieces) - 1)],
        inputs=inputs,
        targets=targets,
    )


def put_mode(out: Tensor, at: Tensor, rule: Rule, where: Tensor) -> Tensor:
    """Return `out` with the modes' pieces, if there are any, at columns `at`."""
    if rule.mode is None:
        return out
    return put(out, at, torch.as_tensor(rule.mode, device=out.device).expand_as(at), where)


def put(out: Tensor, at: Tensor, values: Tensor, where: Tensor) -> Tensor:
    """Return `out` [rows, width] with values at columns `at`, of the tokens `where` is true."""
    width = out.shape[1]
    wide = torch.cat([out, out[:, :1]], dim=1)  # the others are written into one more column
    return wide.scatter(1, torch.where(where, at, width), values)[:, :width]


@cache
def _on(device: torch.device, values: tuple[Any, ...], dtype: torch.dtype) -> Tensor:
    """Return constants on a device, copied once: a copy from the host waits for the device."""
    return torch.tensor(values, dtype=dtype, device=device)


def _table(at: Tensor, values: Tensor, where: Tensor) -> Tensor:
    return put(torch.zeros_like(at), at, values, where)
