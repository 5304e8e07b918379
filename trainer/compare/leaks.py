"""Held-out documents that have a copy or near copy in the training text of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset, tokenizer
from corpus.dedup.bands import band_hashes
from corpus.dedup.signature import EMPTY, estimate_jaccard
from corpus.dedup.store import signature_matrix
from corpus.inspect.build import open_build
from corpus.library import signature
from corpus.schema import PERMUTATIONS, SIGNATURES
from trainer import tokens
from trainer.evaluate import Sample
from trainer.tokens import Tokens, by_stream

THRESHOLD = 0.75
"""Estimated Jaccard similarity of a copy, the default of `dedupe.threshold`."""


@dataclass(frozen=True)
class Leaks:
    """`copied` names, for each corpus, the ids of held-out documents with a copy in its training text."""

    copied: Mapping[str, frozenset[str]]

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all such documents."""
        return frozenset().union(*self.copied.values())


def find(corpora: Mapping[str, tuple[str, Tokens]], samples: Mapping[str, Sample]) -> Leaks:
    """Compare held-out documents with the training documents of every corpus, batch by batch.

    `corpora` holds each build's folder and its token shards. A copy has the same id, or shares a band of the
    signature and has an estimated Jaccard similarity of `THRESHOLD` or more; it is found with the probability
    `corpus.dedup.signature.s_curve`. The signatures of a corpus are those that its filter stage stored, or
    where it stored none those of the decoded tokens, as for held-out documents.
    """
    pieces = tokens.model(next(iter(corpora.values()))[1])
    documents = [document for sample in samples.values() for document in sample.documents]
    ids = np.array([document.id for document in documents])
    signed = _signed(pieces, [document.tokens for document in documents])
    words = (signed != EMPTY).any(axis=1)
    copied = {}
    for name, (folder, opened) in corpora.items():
        signatures = _stored(folder) or _computed(opened, pieces)
        pairs = {(each, each) for each in ids.tolist()}
        pairs.update(_alike(signatures, ids[words], signed[words]))
        trained = _trained(opened, {train for train, _ in pairs})
        copied[name] = frozenset(held for train, held in pairs if train in trained)
    return Leaks(copied)


Signed = tuple[pa.Array, NDArray[np.uint32]]
"""Ids and signatures (uint32[documents, 112]) of some documents."""


def _stored(folder: str) -> Iterator[Signed] | None:
    """Return the signatures that a build stored, None where it stored none."""
    build = open_build(folder)
    if not build.holding(SIGNATURES.name):
        return None
    batches = build.batches(SIGNATURES.name, ["id", "signature"])
    return ((batch["id"], signature_matrix(batch)) for batch in batches if batch.num_rows)


def _computed(opened: Tokens, pieces: tokenizer.Tokenizer) -> Iterator[Signed]:
    """Yield the signatures of the training split's decoded documents."""
    for held in by_stream(opened).values():
        for file in held:
            for batch in dataset.batches(opened.folder, file.path, ["id", "tokens"]):
                yield batch["id"], _signed(pieces, [row.values.to_numpy() for row in batch["tokens"]])


def _signed(pieces: tokenizer.Tokenizer, documents: list[NDArray[np.integer[Any]]]) -> NDArray[np.uint32]:
    signatures = [signature(pieces.decode(tokens.tolist())) for tokens in documents]
    return np.array(signatures, np.uint32).reshape(-1, PERMUTATIONS)


def _alike(
    signatures: Iterator[Signed], ids: NDArray[np.str_], signed: NDArray[np.uint32]
) -> Iterator[tuple[str, str]]:
    """Yield the ids of each training document and of the held-out one that it is a copy of."""
    bands = band_hashes(signed)
    for names, found in signatures:
        shared = np.zeros(len(found), bool)
        for band, hashes in enumerate(band_hashes(found).T):
            shared |= np.isin(hashes, bands[:, band])
        for row in np.flatnonzero(shared).tolist():
            for held in np.flatnonzero(estimate_jaccard(signed, found[row]) >= THRESHOLD).tolist():
                yield names[row].as_py(), str(ids[held])


def _trained(opened: Tokens, ids: set[str]) -> set[str]:
    """Return which of these ids are in the training split of token shards."""
    wanted, found = pa.array(sorted(ids), pa.string()), set()
    for held in by_stream(opened).values():
        for file in held:
            for batch in dataset.batches(opened.folder, file.path, ["id"]):
                found.update(batch["id"].filter(pc.is_in(batch["id"], wanted)).to_pylist())
    return found
