"""What a model learns from a batch: the next token, parts of texts that are filled in, or masked tokens.

An objective is a pure function: tokens, starts of documents and a key per row become inputs, targets and the
kind of attention. Everything drawn comes from the row's key, which the order makes from the seed and the
window, so a run resumes exactly and any number of ranks sees the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import MASK, MIDDLE, PREFIX, SUFFIX
from trainer import config, words
from trainer.attention import Documents
from trainer.loss import IGNORED

if TYPE_CHECKING:
    from trainer.loader import Batch

_SHORTEST = 8  # tokens of a text that is worth cutting into three parts
_MASKED, _RANDOM = 0.8, 0.1  # shares of the chosen tokens: replaced by the mask, by any token (1810.04805)


@dataclass(frozen=True, slots=True)
class Objective:
    """What is learned, with the ids of the control pieces that it writes.

    `share`: of documents that are cut for filling in, or of tokens that are masked. `bos` and `eos` keep
    their places (-1: the tokenizer has none); `vocabulary` is the range of random tokens. With `words`, the
    kinds of pieces (`words.kinds`), whole words are masked.
    """

    name: Literal["causal", "fill-in-the-middle", "masked"] = "causal"
    share: float = 0.0
    pieces: tuple[int, ...] = ()
    bos: int = -1
    eos: int = -1
    vocabulary: int = 0
    words: Tensor | None = field(default=None, compare=False)

    @property
    def causal(self) -> bool:
        """Return whether a token sees only those before it, so that the loss can be bits per byte."""
        return self.name != "masked"

    def targets(self, batch: Batch) -> int:
        """Return the number of targets of a batch, from what is known on the host."""
        if self.causal:
            return batch.targets
        if self.words is None:
            return int(_masked_counts(batch.lengths, self.share).sum())
        rows, width = batch.tokens.shape
        tokens, documents = batch.tokens[:, :-1].long(), Documents.of(batch.cu_seqlens, rows, width - 1)
        return int(_chosen(tokens, documents, batch.lengths, batch.keys, self).sum())

    def attended(self, batch: Batch) -> int:
        """Return the pairs of query and key: Σ n (n + 1) / 2 over documents, or Σ n² in both directions."""
        return batch.attended if self.causal else 2 * batch.attended - int(batch.lengths.sum())


CAUSAL = Objective()
"""Predict each token from those before it in its document."""


def objective(settings: config.Objective, tokenizer: Tokenizer) -> Objective:
    """Return the configured objective; ConfigError if the tokenizer has no pieces for it."""
    if settings.name == "causal":
        return CAUSAL
    names = (MASK,) if settings.name == "masked" else (PREFIX, SUFFIX, MIDDLE)
    pieces = [tokenizer.control(name) for name in names]
    if None in pieces:
        raise ConfigError(
            f'objective.name = "{settings.name}": the tokenizer has no {names[pieces.index(None)]}; '
            "`derlem tokenizer train` makes one with the pieces that this needs"
        )
    return Objective(
        settings.name,
        settings.share,
        tuple(piece for piece in pieces if piece is not None),
        tokenizer.bos,
        tokenizer.eos,
        tokenizer.vocabulary,
        words.kinds(tokenizer) if settings.words else None,
    )


def unpack(
    batch: Batch, device: torch.device | str, learned: Objective = CAUSAL
) -> tuple[Tensor, Tensor, Documents]:
    """Copy a batch to a device: inputs and targets, int64 [rows, length], and the documents of the inputs.

    Tokens are transferred as they are stored. Targets are IGNORED if they are padding or the first token of
    a document, which has no token of its own document before it. Shapes are constant, there is no device
    sync, and the result shares no memory with the batch.
    """
    tokens, starts, lengths, ends, keys = (
        tensor.to(device, non_blocking=True, copy=True)
        for tensor in (batch.tokens, batch.cu_seqlens, batch.lengths, batch.ends, batch.keys)
    )
    tokens = tokens.long()
    rows, length = tokens.shape[0], tokens.shape[1] - 1
    documents = Documents.of(starts, rows, length, causal=learned.causal)
    if learned.name == "masked":
        return *_masked(tokens[:, :-1], documents, lengths, keys, learned), documents
    if learned.name == "fill-in-the-middle":
        tokens = _filled_in(tokens, documents, lengths, ends, keys, learned)
    starting = torch.zeros(rows * length + 1, dtype=torch.bool, device=starts.device)
    starting[starts.long()] = True
    last = (lengths - 1)[:, None]
    column = torch.arange(length, device=starts.device)
    # Padding counts as a start: a row's last target is the first token of a document only if `ends`.
    heads = torch.where(column == last, ends[:, None], starting[1:].view(rows, length))
    targets = tokens[:, 1:].masked_fill(heads | (column > last), IGNORED)
    return tokens[:, :-1].contiguous(), targets, documents


def _filled_in(
    tokens: Tensor, documents: Documents, lengths: Tensor, ends: Tensor, keys: Tensor, learned: Objective
) -> Tensor:
    """Cut a share of the documents' stretches into prefix, suffix and middle, in this order (2207.14255).

    A stretch is what a window [rows, length + 1] holds of a document, its last target included. BOS and EOS
    stay where they are; three tokens at the end of the stretch's text make room for the three pieces, so no
    number of tokens or targets changes.
    """
    rows, width = tokens.shape
    column = torch.arange(width, device=tokens.device).expand(rows, width)
    first = column[:, :-1] - documents.positions
    first = torch.cat([first, first[:, -1:]], dim=1)
    last = lengths.long()[:, None]
    # The last target is where padding starts, or after the inputs; it belongs to the stretch before it.
    first = torch.where(column == last, first.gather(1, (last - 1).clamp(min=0)), first)
    text = (column < last) | ((column == last) & ~ends[:, None])
    count = torch.zeros_like(tokens).scatter_add_(1, first, text.long()).gather(1, first)
    head = (tokens.gather(1, first) == learned.bos).long()
    tail = (tokens.gather(1, (first + count - 1).clamp(min=0)) == learned.eos).long()
    begin = first + head
    size = count - head - tail
    place = column - begin
    room = size - 3
    chance = [_uniform(keys[:, None], 4 * first + number) for number in range(3)]
    one, other = (((room + 1) * each).long().clamp(min=0) for each in chance[1:])
    cut, end = torch.minimum(one, other), torch.maximum(one, other)  # the middle is [cut, end)
    after = cut + 2 + room - end  # the place of the last of the three pieces
    source = torch.where(place <= cut, place - 1, end + place - cut - 2)
    source = torch.where(place > after, cut + place - after - 1, source)
    moved = tokens.gather(1, (begin + source).clamp(0, width - 1))
    for at, piece in zip((torch.zeros_like(cut), cut + 1, after), learned.pieces, strict=True):
        moved = torch.where(place == at, piece, moved)
    chosen = text & (size >= _SHORTEST) & (chance[0] < learned.share) & (place >= 0) & (place < size)
    return torch.where(chosen, moved, tokens)


def _masked(
    tokens: Tensor, documents: Documents, lengths: Tensor, keys: Tensor, learned: Objective
) -> tuple[Tensor, Tensor]:
    """Choose a share of each row's tokens; return the inputs, changed there, and the chosen as targets.

    Of the chosen, 80 % become the mask, 10 % a random token, 10 % stay (1810.04805).
    """
    column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    chosen = _chosen(tokens, documents, lengths, keys, learned)
    kind, other = (_uniform(keys[:, None], 4 * column + number) for number in (1, 2))
    inputs = torch.where(chosen & (kind < _MASKED), learned.pieces[0], tokens)
    drawn = (other * learned.vocabulary).long()
    inputs = torch.where(chosen & (kind >= _MASKED) & (kind < _MASKED + _RANDOM), drawn, inputs)
    return inputs, tokens.masked_fill(~chosen, IGNORED)


def _chosen(
    tokens: Tensor, documents: Documents, lengths: Tensor, keys: Tensor, learned: Objective
) -> Tensor:
    """Return which tokens of each row are chosen, bool [rows, length]: words in random order, to the share.

    Without `words` every token is a word, and each row has a fixed number of targets. Whole words miss it by
    at most half of the last word, to either side. BOS and EOS are chosen only where nothing else is left.
    """
    column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    first = column
    if learned.words is not None:
        heads = words.starts(tokens, documents.positions == 0, learned.words)
        first = torch.where(heads, column, 0).cummax(1).values
    size = torch.zeros_like(tokens).scatter_add_(1, first, torch.ones_like(tokens)).gather(1, first)
    order = _uniform(keys[:, None], 4 * first)
    order = order + ((tokens == learned.bos) | (tokens == learned.eos)) + 2 * (column >= lengths[:, None])
    before = order.argsort(dim=1, stable=True).argsort(1).gather(1, first)  # tokens of the words before it
    enough = 2 * before + size > 2 * _masked_counts(lengths, learned.share)[:, None]
    return (column < lengths[:, None]) & (~enough | (before == 0))


def _masked_counts(lengths: Tensor, share: float) -> Tensor:
    """Return how many tokens of rows of these lengths are chosen: at least one of each."""
    return torch.minimum((lengths.double() * share).round().long().clamp(min=1), lengths.long())


def _uniform(keys: Tensor, numbers: Tensor) -> Tensor:
    """Return float64 in [0, 1) for keys and numbers, the same on every device: SplitMix64's mixing."""
    x = keys + (numbers + 1) * _signed(0x9E3779B97F4A7C15)
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(0x94D049BB133111EB)
    x = x ^ ((x >> 31) & ((1 << 33) - 1))
    return ((x >> 11) & ((1 << 53) - 1)).double() * 2.0**-53


def _signed(number: int) -> int:
    """Return a 64-bit number as torch stores it: its products wrap around as unsigned ones do."""
    return number - (1 << 64) if number >> 63 else number
