"""Which training runs have read some documents: their orders followed, over the tokens of those documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus import dataset
from corpus.errors import ConfigError, DatasetError
from trainer import identity, status, tokens
from trainer.order import Order
from trainer.tokens import Tokens

_STEPS = 1_000  # whose windows are computed at a time
_OF_DATA = ("streams", "content")
"""Parts of a run's fingerprint that say whether it reads these tokens."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A run on a folder of token shards, and what its `steps` so far have read of some documents.

    `documents` were read at least in part, `first` is the step that read one first; both are None where the
    run was trained on tokens that are no longer in the folder, so that it cannot be told.
    """

    run: str
    steps: int
    documents: int | None
    first: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def runs_beside(corpus: Path) -> list[Path]:
    """Return the folders of runs beside a build's output folder, and of those in studies there."""
    found = [
        path.parent
        for depth in ("*", "*/*", "*/*/*")
        for path in corpus.parent.glob(f"{depth}/{identity.RUN}")
    ]
    return sorted(found)


def readers(runs: Iterable[Path], folder: str, ids: Set[str]) -> list[Reader]:
    """Return what runs on a folder of token shards have read of the documents with some ids.

    Runs on other corpora are skipped, and folders without a run.
    """
    opened = tokens.open(folder)
    spans: list[NDArray[np.int64]] | None = None
    found = []
    for run in runs:
        record = identity.read(run)
        if record is None or Path(record["corpus"]).resolve() != Path(opened.folder).resolve():
            continue
        reported = status.status(str(run))
        steps = reported.step if reported is not None else 0
        try:
            order = tokens.order(identity.config(run, record), opened)
            is_same = _of_data(record["data"]) == _of_data(tokens.fingerprint(opened, order, 0))
        except (ValueError, ConfigError, DatasetError):  # streams that it reads are gone
            is_same = False
        if not is_same:
            found.append(Reader(str(run), steps, None, None))
            continue
        spans = _spans(opened, ids) if spans is None else spans
        documents, first = _read(order, spans, steps)
        found.append(Reader(str(run), steps, documents, first))
    return found


def _of_data(fingerprint: str) -> list[str]:
    return [part for part in fingerprint.split() if part.startswith(tuple(f"{name}=" for name in _OF_DATA))]


def _spans(opened: Tokens, ids: Set[str]) -> list[NDArray[np.int64]]:
    """Return where the documents are in each stream of the train split: [documents, 2], first and end."""
    found = []
    for places in tokens.places(opened):
        start, spans = 0, []
        for file, number in places:
            with dataset.open_arrow(opened.folder, file.path) as reader:
                batch = reader.get_batch(number)
            bounds = batch["tokens"].offsets.to_numpy().astype(np.int64)
            bounds = bounds - bounds[0] + start
            inside = [row for row, id in enumerate(batch["id"].to_pylist()) if id in ids]
            spans += [(bounds[row], bounds[row + 1]) for row in inside]
            start = int(bounds[-1])
        found.append(np.array(spans, np.int64).reshape(-1, 2))
    return found


def _read(order: Order, spans: list[NDArray[np.int64]], steps: int) -> tuple[int, int | None]:
    """Return how many documents were read at least in part, and the first step that read one."""
    seen: set[tuple[int, int]] = set()
    first: int | None = None
    for start, count in _runs_of_steps(order, steps):
        windows = order.windows(start, steps=count)
        rows = len(windows) // count
        read = order.spans(windows)
        for stream in np.flatnonzero([len(each) for each in spans]).tolist():
            mine = read[read["stream"] == stream]
            begins, ends = mine["start"], mine["start"] + mine["length"]
            low = np.searchsorted(spans[stream][:, 1], begins, side="right")
            high = np.searchsorted(spans[stream][:, 0], ends, side="left")
            for at in np.flatnonzero(high > low).tolist():
                seen |= {(stream, document) for document in range(int(low[at]), int(high[at]))}
                step = start + int(mine["row"][at]) // rows
                first = step if first is None else min(first, step)
    return len(seen), first


def _runs_of_steps(order: Order, steps: int) -> Iterator[tuple[int, int]]:
    """Yield the first step and the number of steps of pieces of a run, each within one phase."""
    start = 0
    while start < steps:
        phase, samples = order.locate(start)
        done = samples // order.phases[phase].batch
        is_last = phase == len(order.phases) - 1
        left = steps - start if is_last else order.phases[phase].steps - done
        count = min(_STEPS, steps - start, left)
        yield start, count
        start += count
