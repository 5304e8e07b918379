"""What a model learns from a batch: the next token, parts that are filled in, masked tokens, or spans.

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
from corpus.tokenizer.reserved import MASK, MIDDLE, PREFIX, SENTINELS, SUFFIX
from trainer import config, sides, spans, stretches, words
from trainer.attention import Documents, Pair
from trainer.loss import IGNORED
from trainer.stretches import Stretches
from trainer.uniform import uniform

if TYPE_CHECKING:
    from trainer.loader import Batch

_PIECES = {
    "fill-in-the-middle": (PREFIX, SUFFIX, MIDDLE),
    "masked": (MASK,),
    "span-corruption": SENTINELS,
}
_SHORTEST = 8  # tokens of a text that is worth cutting into three parts
_MASKED, _RANDOM = 0.8, 0.1  # shares of the chosen tokens: replaced by the mask, by any token (1810.04805)


@dataclass(frozen=True, slots=True)
class Objective:
    """What is learned, with the ids of the control pieces that it writes.

    `share`: of documents that are cut for filling in, or of tokens that are masked or taken out, in spans of
    `span` tokens on average. `bos` and `eos` keep their places (-1: the tokenizer has none); `vocabulary` is
    the range of random tokens. With `words`, the kinds of pieces (`words.kinds`), whole words are masked.
    `paired`: an encoder reads the texts, and a decoder writes the spans. `mixed`: UL2's denoisers in place of
    `share` and `span`.
    """

    name: Literal["causal", "fill-in-the-middle", "masked", "span-corruption"] = "causal"
    share: float = 0.0
    pieces: tuple[int, ...] = ()
    bos: int = -1
    eos: int = -1
    vocabulary: int = 0
    span: float = 3.0
    words: Tensor | None = field(default=None, compare=False)
    paired: bool = False
    mixed: bool = False

    @property
    def scored_in_bits(self) -> bool:
        """Return whether each token is predicted from those before it, so that the loss can be bits."""
        return self.name in ("causal", "fill-in-the-middle")

    @property
    def rules(self) -> tuple[spans.Rule, ...]:
        """Return how spans are taken out, one of them for each text."""
        if self.mixed:
            return spans.mixture(self.pieces, room=not self.paired)
        return (spans.Rule(self.share, self.span, self.pieces),)

    def count(self, batch: Batch) -> Count:
        """Count what a batch gives to learn, on the host."""
        if self.name == "masked":
            return Count(
                tokens=int(batch.lengths.sum()),
                targets=_masked_targets(batch, self),
                attended=2 * batch.attended - int(batch.lengths.sum()),
            )
        if self.name != "span-corruption":
            return Count(batch.targets, batch.targets, batch.attended)
        held = _stretches(batch, self)
        rule = spans.drawn(self.rules, held, batch.keys)
        if self.paired:
            read, written = sides.lengths(rule, held)
            encoded, targets = int(read.sum()), int(written.sum())
            pairs = read * read + read * written + written * (written + 1) // 2
            return Count(encoded + targets, targets, int(pairs.sum()), encoded)
        inputs, _ = spans.lengths(rule, held.size, room=True)
        seen = torch.where(held.heads & (inputs > 0), inputs + held.head, 0)  # in both directions
        targets = batch.targets - int((seen - 1).clamp(min=0).sum())
        return Count(batch.targets, targets, batch.attended + int((seen * (seen - 1) // 2).sum()))


@dataclass(frozen=True, slots=True)
class Count:
    """The tokens that a model reads of a batch, the targets among them, and the pairs of query and key.

    Pairs are Σ n (n + 1) / 2 over documents, or Σ n² where they are seen in both directions. `encoded`: the
    tokens that an encoder-decoder's encoder reads.
    """

    tokens: int
    targets: int
    attended: int
    encoded: int = 0


CAUSAL = Objective()
"""Predict each token from those before it in its document."""


def objective(settings: config.Objective, tokenizer: Tokenizer, *, paired: bool = False) -> Objective:
    """Return the configured objective, `paired` for an encoder-decoder.

    ConfigError if the tokenizer has no pieces for it.
    """
    if settings.name == "causal":
        return CAUSAL
    names = _PIECES[settings.name]
    pieces = [tokenizer.control(name) for name in names]
    if None in pieces:
        raise ConfigError(
            f'objective.name = "{settings.name}": the tokenizer has no {names[pieces.index(None)]}; '
            "`derlem tokenizer train` makes one with the pieces that this needs"
        )
    if paired and tokenizer.bos < 0:
        raise ConfigError(
            'model.kind = "encoder-decoder": the tokenizer has no BOS, which comes before what is written; '
            "`derlem tokenizer train` makes one with it"
        )
    return Objective(
        settings.name,
        settings.share,
        tuple(piece for piece in pieces if piece is not None),
        tokenizer.bos,
        tokenizer.eos,
        tokenizer.vocabulary,
        settings.span,
        words.kinds(tokenizer) if settings.words else None,
        paired,
        settings.mixture,
    )


def unpack(
    batch: Batch, device: torch.device | str, learned: Objective = CAUSAL
) -> tuple[Tensor, Tensor, Documents | Pair]:
    """Copy a batch to a device: inputs and targets, int64 [rows, length], and the documents of the inputs.

    Of an encoder-decoder both sides have lengths of their own (`sides.sides`).

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
    documents = Documents.of(starts, rows, length, causal=learned.name != "masked")
    if learned.name == "masked":
        return *_masked(tokens[:, :-1], documents, lengths, keys, learned), documents
    given = torch.zeros_like(tokens, dtype=torch.bool)
    if learned.name in ("fill-in-the-middle", "span-corruption"):
        held = stretches.of(tokens, documents, lengths, ends, bos=learned.bos, eos=learned.eos)
        if learned.paired:
            bos, eos = learned.bos, learned.eos
            return sides.sides(tokens, held, keys, starts, learned.rules, bos=bos, eos=eos)
        if learned.name == "fill-in-the-middle":
            tokens = _filled_in(tokens, held, keys, learned)
        else:
            tokens, given = _corrupted(tokens, held, keys, learned)
            documents = documents.with_prefix(given[:, :-1])
    starting = torch.zeros(rows * length + 1, dtype=torch.bool, device=starts.device)
    starting[starts.long()] = True
    last = (lengths - 1)[:, None]
    column = torch.arange(length, device=starts.device)
    # Padding counts as a start: a row's last target is the first token of a document only if `ends`.
    heads = torch.where(column == last, ends[:, None], starting[1:].view(rows, length))
    targets = tokens[:, 1:].masked_fill(heads | (column > last) | given[:, 1:], IGNORED)
    return tokens[:, :-1].contiguous(), targets, documents


def _filled_in(tokens: Tensor, held: Stretches, keys: Tensor, learned: Objective) -> Tensor:
    """Cut a share of the documents' stretches into prefix, suffix and middle, in this order (2207.14255).

    BOS and EOS stay where they are; three tokens at the end of the stretch's text make room for the three
    pieces, so no number of tokens or targets changes.
    """
    size, place = held.size, held.place
    room = size - 3
    chance = [uniform(keys[:, None], 4 * held.first + number) for number in range(3)]
    one, other = (((room + 1) * each).long().clamp(min=0) for each in chance[1:])
    cut, end = torch.minimum(one, other), torch.maximum(one, other)  # the middle is [cut, end)
    after = cut + 2 + room - end  # the place of the last of the three pieces
    source = torch.where(place <= cut, place - 1, end + place - cut - 2)
    source = torch.where(place > after, cut + place - after - 1, source)
    moved = tokens.gather(1, (held.begin + source).clamp(0, tokens.shape[1] - 1))
    for at, piece in zip((torch.zeros_like(cut), cut + 1, after), learned.pieces, strict=True):
        moved = torch.where(place == at, piece, moved)
    chosen = held.inside & (size >= _SHORTEST) & (chance[0] < learned.share) & (place >= 0) & (place < size)
    return torch.where(chosen, moved, tokens)


def _corrupted(tokens: Tensor, held: Stretches, keys: Tensor, learned: Objective) -> tuple[Tensor, Tensor]:
    """Write the spans of each stretch after its text; return the tokens, and which of them are input.

    As a prefix language model learns it (2205.05131): BOS, the text with sentinels, sentinels with their
    spans, EOS. The last tokens of a text make room for the sentinels, and for the piece of a mixture's mode
    after BOS.
    """
    rule = spans.drawn(learned.rules, held, keys)
    made = spans.corrupt(rule, held, keys, room=True)
    moved = tokens.gather(1, made.source.clamp(0, tokens.shape[1] - 1))
    after = held.begin + made.inputs + made.target
    out = spans.put_mode(tokens, held.begin, rule, held.heads & (made.inputs > 0))
    out = spans.put(out, held.begin + made.target, moved, made.kept)
    out = spans.put(out, after, moved, made.taken)
    out = spans.put(out, held.begin + made.gap, made.piece, made.starts)
    out = spans.put(out, after - 1, made.piece, made.starts)
    return out, held.inside & (made.inputs > 0) & (held.place < made.inputs)


def _masked(
    tokens: Tensor, documents: Documents, lengths: Tensor, keys: Tensor, learned: Objective
) -> tuple[Tensor, Tensor]:
    """Choose a share of each row's tokens; return the inputs, changed there, and the chosen as targets.

    Of the chosen, 80 % become the mask, 10 % a random token, 10 % stay (1810.04805).
    """
    column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    chosen = _chosen(tokens, documents, lengths, keys, learned)
    kind, other = (uniform(keys[:, None], 4 * column + number) for number in (1, 2))
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
    order = uniform(keys[:, None], 4 * first)
    order = order + ((tokens == learned.bos) | (tokens == learned.eos)) + 2 * (column >= lengths[:, None])
    before = order.argsort(dim=1, stable=True).argsort(1).gather(1, first)  # tokens of the words before it
    enough = 2 * before + size > 2 * _masked_counts(lengths, learned.share)[:, None]
    return (column < lengths[:, None]) & (~enough | (before == 0))


def _stretches(batch: Batch, learned: Objective) -> Stretches:
    """Find the stretches of a batch on the host."""
    rows, width = batch.tokens.shape
    documents = Documents.of(batch.cu_seqlens, rows, width - 1)
    bos, eos = learned.bos, learned.eos
    return stretches.of(batch.tokens.long(), documents, batch.lengths, batch.ends, bos=bos, eos=eos)


def _masked_targets(batch: Batch, learned: Objective) -> int:
    """Count the tokens that will be chosen; of whole words only their choice tells."""
    if learned.words is None:
        return int(_masked_counts(batch.lengths, learned.share).sum())
    rows, width = batch.tokens.shape
    tokens, documents = batch.tokens[:, :-1].long(), Documents.of(batch.cu_seqlens, rows, width - 1)
    return int(_chosen(tokens, documents, batch.lengths, batch.keys, learned).sum())


def _masked_counts(lengths: Tensor, share: float) -> Tensor:
    """Return how many tokens of rows of these lengths are chosen: at least one of each."""
    return torch.minimum((lengths.double() * share).round().long().clamp(min=1), lengths.long())
