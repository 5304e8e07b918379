"""Which window of tokens is row r of training step s: a pure function of token counts, phases and a seed.

A stream is the tokens of one source and language, batch after batch; only the batches' token counts are
needed here. Its targets are all its tokens except the first, which has no token before it. A window of
`length` targets reads length + 1 tokens and overlaps the next by one: the last target of one is the first
input of the next, so every target is read exactly once per epoch. Where a whole window does not fit, there
is a shorter one, which the loader pads: the last window of an epoch, and the first one after the window
length has changed in the middle of a longer window.

A stream's order does not depend on the curriculum: chunks of `chunk` tokens are permuted, with another
permutation for each epoch, and phases only cut the chunks into windows. (Windows shorter than a chunk
follow each other in their stream; blocks of the mixture spread them.) So a phase continues where the phase
before it stopped, and phases added later do not change the order of what came before. If a stream knows its
documents' lengths, each epoch joins its documents in another order and cuts them into chunks. These are
permuted all the same: else a batch would hold the windows of few documents.

The state of a run is one integer, the step. Ranks read slices of a step's batch, whatever their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.mixture import deal, dealt, mixture
from trainer.permutation import derive, mixed, permute

VERSION = 1
"""Part of the fingerprint: raise it when the same numbers give another order."""

WINDOW = np.dtype([("stream", np.int32), ("epoch", np.int64), ("start", np.int64), ("length", np.int64)])
"""A window reads the tokens start … start + length of its epoch; its targets are all but the first.

They are counted in the stream itself, or in the epoch's order of a stream whose documents are permuted."""

SPAN = np.dtype([("row", np.int64), ("stream", np.int32), ("start", np.int64), ("length", np.int64)])
"""The tokens start … start + length - 1 of a stream, read by a row; a row joins its spans."""

SEGMENT = np.dtype(
    [
        ("row", np.int64),
        ("stream", np.int32),
        ("batch", np.int64),
        ("offset", np.int64),
        ("length", np.int64),
    ]
)
"""The tokens offset … offset + length - 1 of a stream's batch, read by a row; a row joins its segments."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The tokens of one source and language: the number of tokens in each of its batches.

    With `documents`, the number of tokens of each, chunks are cut from permuted documents.
    """

    name: str
    tokens: NDArray[np.int64]
    documents: NDArray[np.int64] | None = None

    def first(self, count: int) -> Stream:
        """Return its first `count` tokens: the same batches, cut short or empty after those."""
        return Stream(
            self.name,
            _first(self.tokens, count),
            None if self.documents is None else _first(self.documents, count),
        )


def _first(lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.diff(np.minimum(np.cumsum(lengths), count), prepend=0)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run: windows of `length` tokens, `batch` of them per step, streams drawn by weight.

    It has as many steps as its `tokens` need, rounded up; the last phase of a run never ends, whatever its
    tokens, because how long to train does not change the order. A stream without a weight is not read.
    """

    tokens: int
    weights: Mapping[str, float]
    length: int
    batch: int

    @property
    def steps(self) -> int:
        """Return the number of steps that its tokens need."""
        return -(-self.tokens // (self.length * self.batch))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far streams have been read: whole epochs, and targets of the next epoch, each int64[streams]."""

    epochs: NDArray[np.int64]
    targets: NDArray[np.int64]


def fingerprint(streams: Sequence[Stream]) -> str:
    """Return a hash of the numbers that decide an order; resume only if it is the same."""
    digest = hashlib.blake2b(f"order {VERSION}".encode(), digest_size=16)
    for stream in streams:
        digest.update(f"\n{len(stream.name)} {stream.name} {len(stream.tokens)}\n".encode())
        digest.update(np.ascontiguousarray(stream.tokens, "<i8").data)
        if stream.documents is not None:
            digest.update(b"\ndocuments\n")
            digest.update(np.ascontiguousarray(stream.documents, "<i8").data)
    return digest.hexdigest()


def rank_rows(batch: int, rank: int, world: int) -> range:
    """Return the rows of a global batch that one of `world` ranks reads: an even share, without overlap.

    Raises ValueError unless 0 ≤ rank < world.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of {world}: ranks count from 0 to {world - 1}")
    return range(batch * rank // world, batch * (rank + 1) // world)


class Order:
    """The order of a run: the streams' cumulative token counts, and where each phase starts.

    `chunk` (tokens) is the unit in which streams are permuted, a multiple of every phase's window length; by
    default the longest. Set it if a later branch may use longer windows than any phase of this run. Raises
    ValueError for streams or phases that cannot be read.
    """

    def __init__(
        self, streams: Sequence[Stream], phases: Sequence[Phase], seed: int, chunk: int | None = None
    ) -> None:
        if not phases:
            raise ValueError("no phase: a run has at least one")
        self.streams = tuple(streams)
        self.phases = tuple(phases)
        self.seed = seed
        self.chunk = max(phase.length for phase in phases) if chunk is None else chunk
        _check(self.streams, self.phases, self.chunk)
        counts = [np.asarray(stream.tokens, np.int64) for stream in streams]
        self._bounds = np.concatenate([[0], *counts])  # of batches, in tokens, over all streams
        np.cumsum(self._bounds, out=self._bounds)
        self._first_batch = np.cumsum([0, *(count.size for count in counts)])
        self._first_token = self._bounds[self._first_batch]
        self._targets = np.diff(self._first_token) - 1
        self._chunks = self._targets // self.chunk
        self._by_document = any(stream.documents is not None for stream in streams)
        self._layouts: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._keys = np.array([derive(seed, "stream", stream.name) for stream in streams], np.uint64)
        self._first_step = np.cumsum([0, *(phase.steps for phase in phases[:-1])])
        self._mixtures = [
            mixture(
                [phase.weights.get(stream.name, 0.0) for stream in streams], derive(seed, "mixture", number)
            )
            for number, phase in enumerate(phases)
        ]
        self._begins = [Progress(*np.zeros((2, len(counts)), np.int64))]
        for number, phase in enumerate(phases[:-1]):
            self._begins.append(self._after(number, phase.steps * phase.batch))

    @property
    def index_bytes(self) -> int:
        """Return the memory that grows with the number of batches."""
        return self._bounds.nbytes

    @property
    def steps(self) -> int:
        """Return the number of steps that the tokens of all phases need."""
        return int(self._first_step[-1]) + self.phases[-1].steps

    def tokens(self, step: int) -> int:
        """Return the number of targets in the windows before a step, counting short windows as whole ones."""
        number, samples = self.locate(step)
        before = self.phases[:number]
        return sum(p.steps * p.batch * p.length for p in before) + samples * self.phases[number].length

    def locate(self, step: int) -> tuple[int, int]:
        """Return the phase of a step and the number of that phase's samples before the step."""
        if step < 0:
            raise ValueError(f"step {step}: steps count from 0")
        number = int(np.searchsorted(self._first_step, step, side="right")) - 1
        return number, (step - int(self._first_step[number])) * self.phases[number].batch

    def progress(self, step: int) -> Progress:
        """Return how far each stream has been read when a step starts."""
        return self._after(*self.locate(step))

    def windows(self, step: int, rank: int = 0, world: int = 1, steps: int = 1) -> NDArray[np.void]:
        """Return the windows (WINDOW[rows]) of a step's global batch that a rank reads, row by row.

        With `steps`, also those of the steps after it, `steps` in all, as if its phase never ended: one call
        is faster than many.
        """
        number, first = self.locate(step)
        batch = self.phases[number].batch
        rows = rank_rows(batch, rank, world)
        mine = (np.arange(steps)[:, None] * batch + np.arange(rows.start, rows.stop)).ravel()
        return self.samples(number, first, steps * batch, mine)

    def samples(
        self, phase: int, first: int, count: int, mine: NDArray[np.int64] | None = None
    ) -> NDArray[np.void]:
        """Return the windows (WINDOW[count]) of a phase's samples from `first` on, as if it never ended.

        With `mine`, only the windows with these numbers.
        """
        length, begin = self.phases[phase].length, self._begins[phase]
        streams, numbers = deal(self._mixtures[phase], first, count)
        if mine is not None:
            streams, numbers, count = streams[mine], numbers[mine], mine.size
        targets, offset = self._targets[streams], begin.targets[streams]
        epochs, windows = np.divmod(offset // length + numbers, -(-targets // length))
        starts = windows * length
        ends = np.minimum(starts + length, targets)
        # The phase before may have read the first part of what is now the first window.
        starts = np.where(numbers == 0, offset, starts)
        made = np.empty(count, WINDOW)
        made["stream"] = streams
        made["epoch"] = begin.epochs[streams] + epochs
        made["length"] = ends - starts
        chunks, within = np.divmod(starts, self.chunk)
        # The rest after the last whole chunk stays at the end of the epoch.
        whole = np.flatnonzero(chunks < self._chunks[streams])
        mine = streams[whole]
        chunks[whole] = permute(chunks[whole], self._chunks[mine], self._keys[mine], made["epoch"][whole])
        made["start"] = chunks * self.chunk + within
        return made

    def keys(self, windows: NDArray[np.void]) -> NDArray[np.int64]:
        """Return a number for each window, int64, from the seed, its stream, epoch and start."""
        streams = mixed(self._keys[windows["stream"]], windows["epoch"])
        return mixed(streams, windows["start"]).view(np.int64)

    def spans(self, windows: NDArray[np.void]) -> NDArray[np.void]:
        """Return the tokens of streams that windows read (SPAN[spans]), in order of rows and tokens.

        A window reads one span, or one of each of its documents in a stream whose documents are permuted.
        """
        made = np.empty(windows.size, SPAN)
        made["row"] = np.arange(windows.size)
        made["stream"], made["start"] = windows["stream"], windows["start"]
        made["length"] = windows["length"] + 1
        if not self._by_document:
            return made
        parts = []
        for stream, epoch in np.unique(windows[["stream", "epoch"]]).tolist():
            mine = made[(windows["stream"] == stream) & (windows["epoch"] == epoch)]
            parts.append(mine if self.streams[stream].documents is None else self._cut(mine, stream, epoch))
        joined = np.concatenate([made[:0], *parts])
        return joined[np.argsort(joined["row"], kind="stable")]

    def _cut(self, spans: NDArray[np.void], stream: int, epoch: int) -> NDArray[np.void]:
        """Return the spans of the stream whose tokens are those of spans of an epoch's order."""
        starts, places = self._permuted(stream, epoch)
        first = np.searchsorted(starts, spans["start"], side="right") - 1
        end = spans["start"] + spans["length"]
        counts = np.searchsorted(starts, end, side="left") - first
        span = np.repeat(np.arange(spans.size), counts)
        document = first[span] + np.arange(span.size) - (np.cumsum(counts) - counts)[span]
        start = np.maximum(spans["start"][span], starts[document])
        made = spans[span]
        made["length"] = np.minimum(end[span], starts[document + 1]) - start
        made["start"] = places[document] + start - starts[document]
        return made[made["length"] > 0]  # a document may be cut to nothing

    def _permuted(self, stream: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where an epoch's documents start in its order, int64[documents + 1], and in the stream."""
        held = self._layouts.get((stream, epoch))
        if held is not None:
            return held
        lengths = self.streams[stream].documents
        assert lengths is not None
        key = derive(self.seed, "documents", self.streams[stream].name)
        drawn = permute(np.arange(lengths.size), lengths.size, key, epoch)
        places = np.cumsum(lengths) - lengths
        found = np.concatenate([[0], np.cumsum(lengths[drawn])]), places[drawn]
        # Replaced, not changed: threads share it. A loader reads in two epochs of a stream at most.
        recent = list(self._layouts.items())[-2 * len(self.streams) + 1 :]
        self._layouts = dict([*recent, ((stream, epoch), found)])
        return found

    def segments(self, windows: NDArray[np.void]) -> NDArray[np.void]:
        """Return the tokens of batches that windows read (SEGMENT[segments]), in order of rows and tokens."""
        spans = self.spans(windows)
        base = self._first_token[spans["stream"]] + spans["start"]
        end = base + spans["length"]
        first_batch = np.searchsorted(self._bounds, base, side="right") - 1
        batches = np.ones(spans.size, np.int64)
        crossing = np.flatnonzero(end > self._bounds[first_batch + 1])
        ends = np.searchsorted(self._bounds, end[crossing] - 1, side="right")
        batches[crossing] = ends - first_batch[crossing]
        span = np.repeat(np.arange(spans.size), batches)
        batch = first_batch[span] + np.arange(span.size) - (np.cumsum(batches) - batches)[span]
        start = np.maximum(base[span], self._bounds[batch])
        end = np.minimum(end[span], self._bounds[batch + 1])
        made = np.empty(span.size, SEGMENT)
        made["row"] = spans["row"][span]
        made["stream"] = spans["stream"][span]
        made["batch"] = batch - self._first_batch[made["stream"]]
        made["offset"] = start - self._bounds[batch]
        made["length"] = end - start
        whole: NDArray[np.void] = made[end > start]  # batches without tokens are inside a span too
        return whole

    def _after(self, phase: int, samples: int) -> Progress:
        """Return how far streams have been read after this many samples of a phase."""
        length, begin = self.phases[phase].length, self._begins[phase]
        count = dealt(self._mixtures[phase], samples)
        per_epoch = np.maximum(-(-self._targets // length), 1)  # a stream without targets is never read
        epochs, windows = np.divmod(begin.targets // length + count, per_epoch)
        return Progress(
            np.where(count > 0, begin.epochs + epochs, begin.epochs),
            np.where(count > 0, windows * length, begin.targets),
        )


def _check(streams: Sequence[Stream], phases: Sequence[Phase], chunk: int) -> None:
    """Raise ValueError for streams or phases that cannot be ordered, with what to change."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        raise ValueError(f"streams {names}: two have the same name; rename one")
    total = {}
    for stream in streams:
        if np.min(stream.tokens, initial=0) < 0:
            raise ValueError(f"stream {stream.name!r} has a batch of {np.min(stream.tokens)} tokens")
        total[stream.name] = int(np.sum(stream.tokens))
        if stream.documents is not None and int(np.sum(stream.documents)) != total[stream.name]:
            raise ValueError(
                f"stream {stream.name!r} has {total[stream.name]} tokens and documents of "
                f"{int(np.sum(stream.documents))}"
            )
    for number, phase in enumerate(phases, start=1):
        if min(phase.tokens, phase.length, phase.batch) < 1:
            raise ValueError(f"phase {number}: tokens, length and batch must be at least 1, got {phase}")
        if chunk % phase.length:
            raise ValueError(
                f"phase {number}: windows of {phase.length} tokens do not divide a chunk of {chunk}: choose "
                "window lengths that divide the chunk, which is the longest window unless given"
            )
        for name, weight in phase.weights.items():
            if name not in total:
                raise ValueError(f"phase {number}: no stream {name!r}; there are {', '.join(sorted(names))}")
            if weight > 0 and total[name] < 2:
                raise ValueError(
                    f"phase {number}: stream {name!r} has {total[name]} tokens and a window needs two: "
                    "give it no weight"
                )
