"""Held-out documents that have a copy in the training text of a corpus, found by id and by signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup.bands import band_hashes
from corpus.dedup.signature import estimate_jaccard
from corpus.dedup.store import signature_matrix
from corpus.errors import NotThereError
from corpus.inspect.build import open_build
from corpus.schema import SIGNATURES
from trainer.tokens import Tokens, by_stream

THRESHOLD = 0.75
"""Estimated Jaccard similarity of a copy, the default of `dedupe.threshold`."""


@dataclass(frozen=True)
class Leaks:
    """`copied` names, for each corpus, the ids of held-out documents with a copy in its training text.

    `by_id` names corpora and held-out sets without stored signatures, where only equal ids were compared.
    """

    copied: Mapping[str, frozenset[str]]
    by_id: tuple[str, ...]

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all such documents."""
        return frozenset().union(*self.copied.values())


def find(corpora: Mapping[str, tuple[str, Tokens]], sets: Mapping[str, tuple[str, frozenset[str]]]) -> Leaks:
    """Compare held-out documents with the training documents of every corpus.

    `corpora` holds each build's folder and its token shards, `sets` each held-out set's folder and ids.
    Signatures are those that the filter stage stored; they are read batch by batch.
    """
    ids: list[str] = []
    rows: list[NDArray[np.uint32]] = []
    by_id = []
    for name, (folder, wanted) in sets.items():
        held = list(_signatures(folder))
        if not held:
            by_id.append(name)
        for names, signatures in held:
            inside = np.flatnonzero(pc.is_in(names, pa.array(sorted(wanted))).to_numpy(False))
            ids += names.take(pa.array(inside)).to_pylist()
            rows.append(signatures[inside])
    every = frozenset().union(*(wanted for _, wanted in sets.values()))
    signed = np.concatenate(rows) if rows else np.empty((0, 112), np.uint32)
    copied = {}
    for name, (folder, opened) in corpora.items():
        pairs = {(each, each) for each in every} | set(_alike(folder, np.array(ids), signed))
        trained = _trained(opened, {train for train, _ in pairs})
        copied[name] = frozenset(held for train, held in pairs if train in trained)
        if name not in by_id and not any(True for _ in _signatures(folder)):
            by_id.append(name)
    return Leaks(copied, tuple(by_id))


def _signatures(folder: str) -> Iterator[tuple[pa.Array, NDArray[np.uint32]]]:
    """Yield ids and signatures that a build stored, batch by batch; nothing where it stored none."""
    try:
        build = open_build(folder)
        for batch in build.batches(SIGNATURES.name, ["id", "signature"]):
            if batch.num_rows:
                yield batch["id"], signature_matrix(batch)
    except NotThereError:
        return


def _alike(folder: str, ids: NDArray[np.str_], signed: NDArray[np.uint32]) -> Iterator[tuple[str, str]]:
    """Yield the id of each document of a build that shares a band with a held-out one and is its copy."""
    if not ids.size:
        return
    bands = band_hashes(signed)
    for names, signatures in _signatures(folder):
        shared = np.zeros(len(signatures), bool)
        for band, hashes in enumerate(band_hashes(signatures).T):
            shared |= np.isin(hashes, bands[:, band])
        for row in np.flatnonzero(shared).tolist():
            for held in np.flatnonzero(estimate_jaccard(signed, signatures[row]) >= THRESHOLD).tolist():
                yield names[row].as_py(), str(ids[held])


def _trained(opened: Tokens, ids: set[str]) -> set[str]:
    """Return which of these ids are in the training split of token shards."""
    wanted, found = pa.array(sorted(ids), pa.string()), set()
    for files in by_stream(opened).values():
        for file in files:
            for batch in dataset.batches(opened.folder, file.path, ["id"]):
                found.update(batch["id"].filter(pc.is_in(batch["id"], wanted)).to_pylist())
    return found
