"""Rows of signatures for steps that map no files: asked for by document, sent by who reads the part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from corpus import temporary
from corpus.dedup.store import SentRows, pack
from pipelines import handover
from pipelines.shuffle import Grouped, Keyed


def ask(folder: str, key: int, docs: NDArray[np.uint64]) -> Iterator[Keyed]:
    """Yield to each run which of its documents the step of `key` needs; `docs` are distinct and sorted."""
    for run, inside in handover.by_run(folder, docs):
        yield run, np.concatenate([np.array([key], np.uint64), docs[inside]]).tobytes()


def read_ask(block: bytes) -> tuple[int, NDArray[np.uint64]]:
    """Return the key and the documents of a block that `ask` made."""
    return int.from_bytes(block[:8], "little"), np.frombuffer(block, np.uint64, offset=8)


def send(asked: Grouped, folder: str, columns: Callable[[int], Sequence[str]]) -> Iterator[Keyed]:
    """Yield to each who asked the rows of a run's documents; `columns(key)` names what it needs of them."""
    with handover.own_parts(folder) as store:
        for key, docs in map(read_ask, asked[1]):
            yield key, pack(docs, store, columns(key))


@contextmanager
def received(blocks: Iterable[bytes]) -> Iterator[SentRows]:
    """Put rows that were sent on this disk for the length of a block."""
    with temporary.folder("rows") as folder:
        yield SentRows(blocks, folder)
