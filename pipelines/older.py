"""Older corpora that a new one is compared with: signatures, texts and removals, read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus import chain, dataset, files
from corpus.dedup import removals
from corpus.dedup.removals import Place
from corpus.dedup.store import document_numbers
from corpus.errors import DatasetError
from pipelines import handover, settling

_DEDUPE = "dedupe"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of older corpora, one after the other, and where each corpus lists those it removed."""

    names: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    removed: tuple[tuple[str, Place], ...] = ()  # folder and place
    inputs: tuple[dataset.Input, ...] = ()


def parts(corpora: Sequence[str]) -> Parts:
    """Return the parts of builds, by their output folders; DatasetError where one is not finished."""
    found = [_parts(corpus) for corpus in corpora]
    return Parts(
        tuple(name for each in found for name in each.names),
        tuple(path for each in found for path in each.signatures),
        tuple(path for each in found for path in each.texts),
        tuple(number for each in found for number in each.rows),
        tuple(place for each in found for place in each.removed),
        tuple(given for each in found for given in each.inputs),
    )


def _parts(corpus: str) -> Parts:
    home = files.join(corpus, chain.upstream(_DEDUPE, "signatures").folder)
    decided = files.join(corpus, chain.find(_DEDUPE).folder)
    manifest, fates = dataset.load(home), removals.read_index(decided)
    signed, documents = manifest.by_unit("signatures"), manifest.by_unit("documents")
    if signed.keys() != fates.keys():
        raise DatasetError(
            f"dedupe.against: {decided} was not made from the {len(signed):,} parts in {home}; "
            f"finish the build there first"
        )
    names = sorted(signed)
    return Parts(
        names=tuple(names),
        signatures=tuple(files.join(home, signed[name].path) for name in names),
        texts=tuple(files.join(home, documents[name].path) for name in names),
        rows=tuple(signed[name].rows for name in names),
        removed=tuple((decided, fates[name].removed) for name in names),
        inputs=tuple(
            dataset.Input(
                name=f"older {signed[name].path}", checksum=f"{signed[name].sha256} {fates[name].digest}"
            )
            for name in names
        ),
    )


def save_gone(folder: str, known: Parts, together: handover.Parts) -> None:
    """Save for each run of older parts which of its documents their corpus removed."""
    for number, run in enumerate(together.runs()):
        if run.start >= together.older:
            break
        gone = [
            document_numbers(part, np.sort(removals.read(*known.removed[part], ["row"])["row"]))
            for part in run
        ]
        settling.save_older(folder, number, np.concatenate(gone))
