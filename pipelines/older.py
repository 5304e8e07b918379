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
    names, signatures, texts, rows, removed, inputs = [], [], [], [], [], []
    for corpus in corpora:
        home = files.join(corpus, chain.upstream(_DEDUPE, "signatures").folder)
        decided = files.join(corpus, chain.find(_DEDUPE).folder)
        manifest, fates = dataset.load(home), removals.read_index(decided)
        signed, documents = manifest.by_unit("signatures"), manifest.by_unit("documents")
        if signed.keys() != fates.keys():
            raise DatasetError(
                f"dedupe.against: {decided} was not made from the {len(signed):,} parts in {home}; "
                f"finish the build there first"
            )
        for name in sorted(signed):
            file, fate = signed[name], fates[name]
            names.append(name)
            signatures.append(files.join(home, file.path))
            texts.append(files.join(home, documents[name].path))
            rows.append(file.rows)
            removed.append((decided, fate.removed))
            inputs.append(dataset.Input(name=f"older {file.path}", checksum=f"{file.sha256} {fate.digest}"))
    return Parts(*map(tuple, (names, signatures, texts, rows, removed, inputs)))


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
