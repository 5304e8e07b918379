"""Span corruption: spans of a text are taken out, marked by sentinels, and written after it (1910.10683).

A text of m tokens becomes an input, what is kept of it with sentinel s in place of span s, and a target,
each sentinel with its span after it. As in T5, the numbers of spans and of taken tokens follow from the
length alone, and their places are random: spans and what is between them are random compositions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.stretches import Stretches
from trainer.uniform import uniform

SHORTEST = 16
"""Texts of fewer tokens stay whole."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The share of tokens that is taken out, the mean length of spans, and the ids of the sentinels.

    No text has more spans than there are sentinels: in long ones, spans are longer.
    """

    share: float
    span: float
    sentinels: tuple[int, ...]

    def spans(self, size: Tensor) -> Tensor:
        """Return the number of spans of texts of these numbers of tokens; 0 where they stay whole."""
        wanted = (size.double() * self.share / self.span).round().long()
        most = (size // 5).clamp(
            max=len(self.sentinels)
        )  # five: two taken on average, one kept, two sentinels
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


def lengths(rule: Rule, size: Tensor, *, room: bool) -> tuple[Tensor, Tensor]:
    """Return the lengths of input and target; with `room` they fill `size`, without what they displace."""
    spans = rule.spans(size)
    text = size - 2 * spans if room else size
    taken = rule.taken(text, spans)
    whole = spans == 0
    return (text - taken + spans).masked_fill(whole, 0), (taken + spans).masked_fill(whole, 0)


def corrupt(rule: Rule, held: Stretches, keys: Tensor, *, room: bool) -> Corrupted:
    """Take out spans of the stretches of windows with these keys, int64 [rows].

    With `room` the text's last tokens, as many as there are sentinels, are omitted.
    """
    inputs, targets = lengths(rule, held.size, room=room)
    spans = rule.spans(held.size)
    kept = inputs - spans
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
    pieces = torch.tensor(rule.sentinels, device=column.device)
    return Corrupted(
        kept=is_kept,
        taken=is_taken,
        source=held.begin + index + torch.where(is_kept, before_kept, before_taken),
        target=index + number + is_taken.long(),
        starts=is_taken & starts,
        gap=before_taken + number,
        piece=pieces[number.clamp(max=len(pieces) - 1)],
        inputs=inputs,
        targets=targets,
    )


def put(out: Tensor, at: Tensor, values: Tensor, where: Tensor) -> Tensor:
    """Return `out` [rows, width] with values at columns `at`, of the tokens `where` is true."""
    width = out.shape[1]
    wide = torch.cat([out, out[:, :1]], dim=1)  # the others are written into one more column
    return wide.scatter(1, torch.where(where, at, width), values)[:, :width]


def _table(at: Tensor, values: Tensor, where: Tensor) -> Tensor:
    return put(torch.zeros_like(at), at, values, where)
