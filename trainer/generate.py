"""Generate text from a model, to look at a checkpoint: in batches, with a cache of keys and values.

For generation at scale use `derlem export` and `transformers`, or a program that reads its format.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from trainer.model import Transformer
from trainer.sampling import Sampling, draw, draws, penalise, truncate
from trainer.sentencepiece_file import CONTROL, UNKNOWN, read


@dataclass(frozen=True, slots=True)
class Generated:
    """The generated ids, without prompt and EOS; `finished`: ended by EOS, not by the limit."""

    ids: tuple[int, ...]
    finished: bool


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    eos: int,
    never: Collection[int] = (),
) -> list[Generated]:
    """Continue each prompt until EOS or the limit; prompts may differ in length.

    The result for a prompt does not depend on the others (except for rounding: a matrix product of another
    size may round differently). Ids in `never` are never generated. Raises ConfigError for an empty prompt
    and for ids that the model does not have.
    """
    if not prompts:
        return []
    if sampling.method == "beam":
        return _beam(model, prompts, sampling, eos, never)
    made: list[list[int]] = [[] for _ in prompts]
    for step in steps(model, prompts, sampling, eos=eos, never=never):
        for number, id in step:
            made[number].append(id)
    return [Generated(tuple(id for id in ids if id != eos), eos in ids) for ids in made]


def complete(
    model: Transformer, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling, bos: bool
) -> list[str]:
    """Return the continuations of prompts, without the prompts; `bos` as the model was trained.

    Raises ConfigError for an empty prompt if there is no BOS.
    """
    ids = [_ids(tokenizer, prompt, bos) for prompt in prompts]
    made = generate(model, ids, sampling, eos=tokenizer.eos, never=controls(tokenizer))
    return [_tail(tokenizer, before, after.ids) for before, after in zip(ids, made, strict=True)]


def stream(
    model: Transformer, tokenizer: Tokenizer, prompt: str, sampling: Sampling, bos: bool
) -> Iterator[str]:
    """Yield the result of `complete` for one prompt, piece by piece; with beam search all at the end."""
    if sampling.method == "beam":
        yield from complete(model, tokenizer, [prompt], sampling, bos)
        return
    before, made, shown = _ids(tokenizer, prompt, bos), [], ""
    never = controls(tokenizer)
    for step in steps(model, [before], sampling, eos=tokenizer.eos, never=never):
        made += [id for _, id in step if id != tokenizer.eos]
        # A letter may be several tokens of one byte each; an incomplete one decodes to U+FFFD.
        text = _tail(tokenizer, before, made).rstrip("\ufffd")
        if len(text) > len(shown):
            yield text[len(shown) :]
            shown = text
    rest = _tail(tokenizer, before, made)[len(shown) :]
    if rest:
        yield rest


def controls(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids that no text of the tokenizer has: unknown and control pieces, all but EOS."""
    kinds = enumerate(piece.kind for piece in read(tokenizer.model).pieces)
    written = {tokenizer.eos, *tokenizer.written}
    return tuple(id for id, kind in kinds if kind in (UNKNOWN, CONTROL) and id not in written)


@torch.inference_mode()
def steps(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    eos: int,
    never: Collection[int] = (),
) -> Iterator[list[tuple[int, int]]]:
    """Yield (number of the prompt, id) for all unfinished texts, step by step; EOS is a text's last id.

    For every method but beam search, which knows a text's first token only at the end.
    """
    reader = Reader(model, prompts, sampling, eos, never)
    if sampling.method == "contrastive":
        states = functional.normalize(reader.states.float(), dim=-1)
    uniform = torch.from_numpy(draws(prompts, sampling.seed, sampling.tokens)).to(reader.device)
    numbers = torch.arange(len(prompts), device=reader.device)
    for place in range(sampling.tokens):
        if sampling.method == "contrastive":
            reader, ids, states = _contrast(reader, states, sampling)
        else:
            logits = reader.logits()
            if sampling.method == "greedy":
                ids = logits.argmax(-1)
            else:
                kept = truncate(logits / sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
                ids = draw(kept, uniform[numbers, place])
        yield list(zip(numbers.tolist(), ids.tolist(), strict=True))
        on = (ids != eos).nonzero().flatten()
        if not len(on) or place + 1 == sampling.tokens:
            return
        if len(on) < len(ids):
            reader, numbers, ids = reader.select(on), numbers[on], ids[on]
            if sampling.method == "contrastive":
                states = states[on]
        if sampling.method != "contrastive":
            reader.read(ids)


class Reader:
    """Texts that a model has read so far, one per row, and its prediction of the next token."""

    def __init__(
        self,
        model: Transformer,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        eos: int,
        never: Collection[int],
    ) -> None:
        """Read the prompts; `states` [rows, longest, width] are those of the tokens that a decoder reads."""
        _check(model, prompts, sampling, eos, never)
        self.model = model
        self.device = model.embedding.weight.device
        self.penalty = sampling.repetition_penalty
        given, self.cache = model.begin(prompts, sampling.tokens)
        lengths = torch.tensor([len(text) for text in given], device=self.device)
        tokens = torch.zeros(len(given), max(map(len, given)), dtype=torch.int64)
        seen = torch.zeros(len(given), model.shape.rows, dtype=torch.bool)
        for row, text in enumerate(given):
            tokens[row, : len(text)] = torch.tensor(text)
            seen[row, list(text)] = True
        bias = torch.zeros(model.shape.rows)
        bias[list(sampling.bias)] = torch.tensor(list(sampling.bias.values()))
        bias[list(never)] = -torch.inf
        self.seen, self.bias = seen.to(self.device), bias.to(self.device)
        self.states = model.hidden(tokens.to(self.device), cache=self.cache)
        self.cache.trim(lengths)
        self.last = self.states[torch.arange(len(given), device=self.device), lengths - 1]

    def logits(self) -> Tensor:
        """Return the logits float32 [rows, vocabulary] of the next token, penalised and biased."""
        return penalise(self.model.logits(self.last), self.seen, self.penalty) + self.bias

    def read(self, ids: Tensor) -> None:
        """Read the next token of each row: int64 [rows]."""
        self.last = self.model.hidden(ids[:, None], cache=self.cache)[:, 0]
        self.seen = self.seen.scatter(1, ids[:, None], True)

    def select(self, index: Tensor) -> Reader:
        """Return a reader of these rows, int64 [n]; a row may be repeated."""
        chosen = copy.copy(self)
        chosen.cache, chosen.seen, chosen.last = self.cache.select(index), self.seen[index], self.last[index]
        return chosen


def _contrast(reader: Reader, states: Tensor, sampling: Sampling) -> tuple[Reader, Tensor, Tensor]:
    """Choose and read the next token [rows]: likely, and unlike what was read. Return reader, ids, states.

    Su et al. 2022 (arXiv:2202.06417, equation 5): of the likeliest candidates, the one with the greatest
    (1 - alpha) · probability - alpha · (largest cosine of its state with those of all tokens before it).
    `states` [rows, longest, width] have length 1; entries after the end of a shorter row are arbitrary.
    """
    rows, longest, width = states.shape
    likely, ids = reader.logits().softmax(-1).topk(min(sampling.candidates, reader.bias.shape[0]))
    tried = ids.shape[1]
    before = torch.arange(longest, device=reader.device) < reader.cache.lengths[:, None]
    each = torch.arange(rows, device=reader.device)
    wide = reader.select(each.repeat_interleave(tried))
    wide.read(ids.flatten())
    new = functional.normalize(wide.last.float(), dim=-1).view(rows, tried, width)
    cosines = (new @ states.transpose(1, 2)).masked_fill(~before[:, None], -torch.inf)
    score = (1 - sampling.alpha) * likely - sampling.alpha * cosines.amax(-1)
    best = score.masked_fill(likely == 0, -torch.inf).argmax(-1)
    states = torch.cat((states, torch.zeros_like(states[:, :1])), dim=1)
    states[each, reader.cache.lengths] = new[each, best]
    return wide.select(each * tried + best), ids[each, best], states


@torch.inference_mode()
def _beam(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    eos: int,
    never: Collection[int],
) -> list[Generated]:
    """Search the text with the greatest log-probability ÷ (number of tokens to the power of the penalty).

    As Sutskever et al. 2014 (arXiv:1409.3215, §3.2): a text that ends leaves the beam, which gets narrower.
    So one beam is greedy search, and a beam as wide as the number of texts finds the best. EOS counts as a
    token. At the limit, unfinished texts take part as they are.
    """
    beams = sampling.beams
    reader = Reader(model, prompts, sampling, eos, never)
    reader = reader.select(torch.arange(len(prompts), device=reader.device).repeat_interleave(beams))
    scores = torch.full((len(prompts), beams), -torch.inf, dtype=torch.float64, device=reader.device)
    scores[:, 0] = 0.0  # the others are copies
    width = torch.full((len(prompts), 1), beams, device=reader.device)
    texts: list[list[tuple[int, ...]]] = [[()] * beams for _ in prompts]
    best = [(-torch.inf, Generated((), False))] * len(prompts)
    ranks = torch.arange(beams, device=reader.device)
    for place in range(1, sampling.tokens + 1):
        coming = reader.logits().double().log_softmax(-1).view(len(prompts), beams, -1)
        vocabulary = coming.shape[-1]
        scores, index = (scores[:, :, None] + coming).flatten(1).topk(beams)
        scores = scores.masked_fill(ranks >= width, -torch.inf)
        parents, ids = index // vocabulary, index % vocabulary
        ended = (ids == eos) & scores.isfinite()
        last = place == sampling.tokens
        rows = zip(scores.tolist(), parents.tolist(), ids.tolist(), strict=True)
        for number, (row, origins, tokens) in enumerate(rows):
            before = texts[number]
            texts[number] = [(*before[p], id) for p, id in zip(origins, tokens, strict=True)]
            for score, text in zip(row, texts[number], strict=True):
                finished = text[-1] == eos
                if score > -torch.inf and (finished or last):
                    found = Generated(text[:-1] if finished else text, finished)
                    best[number] = max(
                        best[number],
                        (score / place**sampling.length_penalty, found),
                        key=lambda pair: pair[0],
                    )
        scores = scores.masked_fill(ended, -torch.inf)
        width = width - ended.sum(1, keepdim=True)
        if last or not bool(scores.isfinite().any()):
            break
        rows_before = torch.arange(len(prompts), device=reader.device)[:, None] * beams
        reader = reader.select((rows_before + parents).flatten())
        reader.read(ids.flatten())
    return [found for _, found in best]


def _ids(tokenizer: Tokenizer, prompt: str, bos: bool) -> list[int]:
    return [tokenizer.bos] * bos + tokenizer.encode(prompt)


def _tail(tokenizer: Tokenizer, before: Sequence[int], after: Sequence[int]) -> str:
    """Decode what comes after a prompt, together with it: a first blank may depend on the text before."""
    return tokenizer.decode([*before, *after])[len(tokenizer.decode([*before])) :]


def _check(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    eos: int,
    never: Collection[int],
) -> None:
    vocabulary = model.shape.vocabulary
    for number, prompt in enumerate(prompts):
        if not prompt:
            raise ConfigError(
                f"prompt {number} is empty, and there is no BOS to start with: give it at least one token"
            )
    named = {
        "a prompt": {id for prompt in prompts for id in prompt},
        "sampling.bias": set(sampling.bias),
        "the tokenizer's control pieces": {eos, *never},
    }
    for where, ids in named.items():
        outside = sorted(id for id in ids if not 0 <= id < vocabulary)
        if outside:
            raise ConfigError(
                f"{where}: id {outside[0]} is outside the model's range, 0 to {vocabulary - 1}; "
                "is this the tokenizer that the model was trained with?"
            )
