"""Bits-per-byte of a fixed list of whole validation documents, the same windows for every model.

Bits are those of all tokens of a document, including EOS; bytes are those of its text, whatever the
tokenizer. So models with other tokenizers, windows, batches and numbers of ranks can be compared, document
by document.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor, nn

from corpus import dataset
from corpus.assignment import VALIDATION
from corpus.errors import DatasetError
from trainer.attention import Documents
from trainer.tokens import HOLD_OUT, Tokens, places
from trainer.world import World

FORWARD_TOKENS = 1 << 15
"""Tokens per forward pass if no number of rows is set."""

WINDOW = np.dtype([("document", np.int64), ("start", np.int64), ("length", np.int64), ("first", np.int64)])
"""Reads `length` tokens of a document from `start` on and scores the token after each, from `first` on."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A validation document: its tokens as the shard has them (BOS if the corpus has it, EOS at the end),
    and the UTF-8 bytes of its text."""

    language: str
    source: str
    id: str
    bytes: int
    tokens: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """The documents by which models are compared, sorted by language, source and the hash of their ids.

    `exact`: whether the tokenizer lost nothing of the corpus that they come from.
    """

    documents: tuple[Document, ...]
    vocabulary: int
    bos: bool
    exact: bool = True

    @cached_property
    def digest(self) -> str:
        """Return a hash of the list: 32 hexadecimal digits, equal for the same texts under any tokenizer."""
        digest = hashlib.blake2b(b"derlem validation 1", digest_size=16)
        for document in self.documents:
            digest.update(f"\n{document.language}/{document.source} {document.id} {document.bytes}".encode())
        return digest.hexdigest()

    @cached_property
    def bytes(self) -> NDArray[np.int64]:
        """Return the bytes of each document."""
        return np.array([document.bytes for document in self.documents], np.int64)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """Return the number of scored tokens of each document: all but BOS, which is not text."""
        return np.array([document.tokens.size - self.bos for document in self.documents], np.int64)


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model predicts some documents; `language` and `source` are empty if all are included.

    `nll` is in nats over all tokens; `standard_error` is that of bits_per_byte over documents (NaN for one);
    `loss` is the mean nll per token and `perplexity` its exponential: these two depend on the tokenizer. If
    the tokenizer lost text, `exact` is false and bits_per_byte is too low, because lost text costs nothing.
    """

    language: str
    source: str
    documents: int
    tokens: int
    bytes: int
    nll: float
    bits_per_byte: float
    standard_error: float
    loss: float
    perplexity: float
    exact: bool

    @property
    def name(self) -> str:
        """Return "tur_Latn/books", "tur_Latn", "*/books" or "all"."""
        if not self.source:
            return self.language or "all"
        return f"{self.language or '*'}/{self.source}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The nats of each document of a sample (float64[documents]) and the scores computed from them."""

    sample: Sample
    nll: NDArray[np.float64]
    scores: tuple[Score, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(_scores(self.sample, self.nll)))

    @property
    def total(self) -> Score:
        """Return the score of all documents together."""
        return self.scores[0]

    def records(self) -> Iterator[dict[str, object]]:
        """Yield every document's own numbers, so that models can be compared in pairs."""
        for document, tokens, nll in zip(self.sample.documents, self.sample.tokens, self.nll, strict=True):
            yield {
                "language": document.language,
                "source": document.source,
                "id": document.id,
                "bytes": document.bytes,
                "tokens": int(tokens),
                "bits": float(nll) / math.log(2),
            }


_Place = tuple[int, str, int, int]  # hash of the id, the id, number of the batch, row in the batch


def choose(tokens: Tokens, per_stream: int, seed: int = 0, split: str = VALIDATION) -> Sample:
    """Choose `per_stream` documents of each language and source, or all if fewer, by the hash of their ids.

    The choice depends only on the documents, not on their files and batches; a larger choice contains a
    smaller one. Raises DatasetError if the split has no documents.
    """
    best: dict[tuple[str, str], list[_Place]] = {}
    shards = [place for stream in places(tokens, split) for place in stream]
    for number, (file, batch) in enumerate(shards):
        if batch:
            continue
        columns = dataset.batches(tokens.folder, file.path, ["id", "source"])
        for offset, held in enumerate(columns):
            found: dict[str, list[_Place]] = {}
            pairs = zip(held["id"].to_pylist(), held["source"].to_pylist(), strict=True)
            for row, (name, source) in enumerate(pairs):
                key = xxhash.xxh3_64_intdigest(name.encode(), seed & (1 << 64) - 1)
                found.setdefault(source, []).append((key, name, number + offset, row))
            for source, rows in found.items():
                stream = (file.language, source)
                best[stream] = heapq.nsmallest(per_stream, [*best.get(stream, []), *rows])
    wanted = [(stream, chosen) for stream in sorted(best) for chosen in best[stream]]
    if not wanted:
        raise DatasetError(
            f"{tokens.folder} has no documents of split {split!r} for the evaluation: {HOLD_OUT}"
        )
    documents: dict[int, Document] = {}
    for place in sorted({chosen[2] for _, chosen in wanted}):
        held = dataset.read_batch(tokens.folder, *shards[place])
        for position, ((language, source), (_, name, where, row)) in enumerate(wanted):
            if where == place:
                ids = held["tokens"][row].values.to_numpy().astype(np.int64)
                size = held["bytes"][row].as_py()
                documents[position] = Document(language, source, name, size, ids)
    ordered = tuple(documents[position] for position in range(len(wanted)))
    return Sample(ordered, tokens.vocabulary, tokens.bos is not None, tokens.lost.nothing)


def windows(tokens: NDArray[np.int64], length: int) -> NDArray[np.void]:
    """Cut documents of these numbers of tokens into windows of at most `length` (WINDOW[windows]), in order.

    Every token but a document's first is scored once. If a document is longer than a window, the next window
    starts half a window later, so that each token has at least half a window before it, or all there are.
    """
    targets = np.maximum(tokens - 1, 0)
    stride = max(length // 2, 1)
    counts = np.where(targets > 0, 1 + -(-np.maximum(targets - length, 0) // stride), 0)
    made = np.empty(int(counts.sum()), WINDOW)
    made["document"] = np.repeat(np.arange(tokens.size), counts)
    number = np.arange(made.size) - np.repeat(np.cumsum(counts) - counts, counts)
    made["start"] = number * stride
    made["length"] = np.minimum(length, targets[made["document"]] - made["start"])
    made["first"] = np.where(number > 0, length - stride, 0)
    return made


def pack(lengths: NDArray[np.int64], capacity: int) -> list[list[int]]:
    """Put pieces of these lengths into rows of a capacity, longest first, each where least room remains.

    Raises ValueError for a piece that is longer than a row.
    """
    if lengths.size and int(lengths.max()) > capacity:
        raise ValueError(f"a piece of {int(lengths.max())} tokens does not fit a row of {capacity}")
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # remaining room of each row, sorted
    for piece in np.argsort(-lengths, kind="stable").tolist():
        size = int(lengths[piece])
        found = bisect_left(room, (size, -1))
        if found < len(room):
            left, row = room.pop(found)
        else:
            left, row = capacity, len(rows)
            rows.append([])
        rows[row].append(piece)
        insort(room, (left - size, row))
    return rows


@dataclass(frozen=True, eq=False)
class _Plan:
    """The windows that each row of `length` tokens holds; the same for every model and number of ranks."""

    sample: Sample
    length: int
    windows: NDArray[np.void]
    rows: list[list[int]]

    @cached_property
    def segments(self) -> int:
        """Return the largest number of segments of a row, including padding."""
        return max((len(row) for row in self.rows), default=0) + 1

    def batch(self, first: int, count: int) -> tuple[Tensor, Tensor, Tensor, NDArray[np.int64]]:
        """Return inputs and targets (int64[count, length]), cu_seqlens (int32, of one size for all batches),
        and each target's window (-1 if it is not scored). Rows after the last are padding."""
        inputs = np.zeros((count, self.length), np.int64)
        targets = np.full((count, self.length), -100, np.int64)
        owners = np.full((count, self.length), -1, np.int64)
        starts = []
        for row, held in enumerate(self.rows[first : first + count]):
            at = 0
            for number in held:
                document, start, size, scored = self.windows[number].tolist()
                tokens = self.sample.documents[document].tokens
                inputs[row, at : at + size] = tokens[start : start + size]
                targets[row, at + scored : at + size] = tokens[start + scored + 1 : start + size + 1]
                owners[row, at + scored : at + size] = number
                starts.append(row * self.length + at)
                at += size
            if at < self.length:
                starts.append(row * self.length + at)
        held_rows = len(self.rows[first : first + count])
        starts.extend(row * self.length for row in range(held_rows, count))
        bounds = np.full(count * self.segments + 1, count * self.length, np.int32)
        bounds[: len(starts)] = starts
        return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(bounds), owners


def plan(sample: Sample, length: int) -> _Plan:
    """Cut and pack a sample's documents into rows of `length` tokens; a window scores as many tokens."""
    cut = windows(np.array([document.tokens.size for document in sample.documents], np.int64), length)
    return _Plan(sample, length, cut, pack(cut["length"], length))


def evaluate(
    model: nn.Module,
    sample: Sample,
    length: int,
    device: torch.device,
    world: World | None = None,
    micro_batch: int = 0,
) -> Evaluation:
    """Score a sample in windows of `length` tokens, `micro_batch` rows at once (0: about 32,768 tokens).

    The model is called as in training, `model(inputs, documents, targets)`, without gradients and in
    evaluation mode. Every rank returns the same answer and calls the model as often as the others.

    If the corpus has BOS, a document's first token is predicted from it. If not, no model was trained to
    predict that token (its target is masked), so it costs log(vocabulary), the same for every model.
    """
    rank, size = (world.rank, world.size) if world is not None else (0, 1)
    planned = plan(sample, length)
    count = micro_batch or max(1, min(FORWARD_TOKENS // length, -(-len(planned.rows) // size)))
    scored, owners = [], []
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(planned.rows), count * size):
                inputs, targets, bounds, owner = planned.batch(first + rank * count, count)
                documents = Documents.of(bounds.to(device), count, length)
                _, nll = model(inputs.to(device), documents, targets.to(device))
                scored.append(nll)  # stays on the device, to avoid a sync
                owners.append(owner)
    finally:
        model.train(training)
    # A window is in one row of one rank. So each sum is made in one place in the order of its tokens, and
    # adding the ranks' sums adds zeros: the same bits for any number of ranks and rows at once.
    sums = np.zeros(planned.windows.size)
    for nll, owner in zip(scored, owners, strict=True):
        kept = owner >= 0
        sums += np.bincount(owner[kept], nll.double().cpu().numpy()[kept], planned.windows.size)
    if world is not None:
        sums = world.total(torch.from_numpy(sums)).numpy()
    nats = np.bincount(planned.windows["document"], sums, len(sample.documents)).astype(np.float64)
    return Evaluation(sample, nats if sample.bos else nats + math.log(sample.vocabulary))


def standard_error(
    bits: NDArray[np.float64], bytes: NDArray[np.int64], strata: NDArray[np.int64] | None = None
) -> float:
    """Return the standard error of sum(bits) / sum(bytes) over documents; NaN for fewer than two.

    The variance of the combined ratio estimate, linearised (Cochran, Sampling Techniques, 3rd edition 1977,
    chapter 6): bits and bytes of one document are correlated, and documents were drawn separately in each
    stratum. For a stratum of one document the deviation from the overall ratio is used. Bits may be
    differences of two models'.
    """
    total = bytes.sum()
    if bits.size < 2 or total == 0:
        return math.nan
    residual = bits - bits.sum() / total * bytes
    groups = np.zeros(bits.size, np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    sizes = np.bincount(groups)
    means = np.where(sizes > 1, np.bincount(groups, residual) / sizes, 0.0)
    squares = np.bincount(groups, (residual - means[groups]) ** 2)
    return float(
        np.sqrt(np.sum(squares * np.where(sizes > 1, sizes / np.maximum(sizes - 1, 1), 1.0))) / total
    )


def _scores(sample: Sample, nll: NDArray[np.float64]) -> Iterator[Score]:
    """Yield the score of all documents, of each language, each source, and each source of a language."""
    languages = np.array([document.language for document in sample.documents])
    sources = np.array([document.source for document in sample.documents])
    strata = np.unique(np.stack([languages, sources], 1), axis=0, return_inverse=True)[1].reshape(-1)
    everything = np.full(nll.size, True)
    yield _score("", "", sample, nll, strata, everything)
    for language in sorted(set(languages.tolist())):
        yield _score(language, "", sample, nll, strata, languages == language)
    for source in sorted(set(sources.tolist())):
        yield _score("", source, sample, nll, strata, sources == source)
    for language, source in sorted(set(zip(languages.tolist(), sources.tolist(), strict=True))):
        of = (languages == language) & (sources == source)
        yield _score(language, source, sample, nll, strata, of)


def _score(
    language: str,
    source: str,
    sample: Sample,
    nll: NDArray[np.float64],
    strata: NDArray[np.int64],
    of: NDArray[np.bool_],
) -> Score:
    nats, tokens, bytes = float(nll[of].sum()), int(sample.tokens[of].sum()), int(sample.bytes[of].sum())
    loss = nats / tokens if tokens else math.nan
    return Score(
        language=language,
        source=source,
        documents=int(of.sum()),
        tokens=tokens,
        bytes=bytes,
        nll=nats,
        bits_per_byte=nats / math.log(2) / bytes if bytes else math.nan,
        standard_error=standard_error(nll[of] / math.log(2), sample.bytes[of], strata[of]),
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        exact=sample.exact,
    )
