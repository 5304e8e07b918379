"""What a finished corpus holds of an evaluation set: which of its texts, and in how many documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus import dataset
from corpus.decontaminate import overlap
from corpus.decontaminate.references import References
from corpus.decontaminate.stems import stems_of
from corpus.inspect.build import open_build

FOUND = 0.8
"""The score from which on a text counts as held."""


@dataclass(frozen=True, slots=True)
class Held:
    """A text that the corpus holds: its file, its row there, its first words, and the highest score."""

    file: str
    row: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Contamination:
    """What a corpus holds of an evaluation set."""

    texts: int
    too_short: int  # texts that are not looked for
    documents: int  # all of the corpus
    contaminated: int  # documents that hold a text
    held: list[Held]


def look(root: str, found: References, least: float = FOUND) -> Contamination:
    """Look for the texts of evaluation sets in the last stage of a build that has documents.

    Raises NotThereError where no stage has documents.
    """
    build = open_build(root)
    stage = build.last("shard") or build.need_last("documents", "read its texts")
    kind = "shard" if stage.manifest.files("shard") else "documents"
    if not found.pieces:
        return Contamination(
            found.texts, found.too_short, sum(f.rows for f in stage.manifest.files(kind)), 0, []
        )
    index = overlap.build(found.pieces)
    highest = np.zeros(len(found.pieces), np.float32)
    documents = contaminated = 0
    for file in stage.manifest.files(kind):
        for batch in dataset.batches(stage.folder, file.path, ["text"]):
            scores = [overlap.best(stems_of(text), index, highest)[0] for text in batch["text"].to_pylist()]
            documents += len(scores)
            contaminated += sum(score >= least for score in scores)
    rows: dict[tuple[str, int], Held] = {}
    for place in found.places:
        score = round(float(highest[place.piece]), 4)
        if highest[place.piece] >= np.float32(least):
            known = rows.get((place.file, place.row))
            if known is None or known.score < score:
                rows[place.file, place.row] = Held(place.file, place.row, place.text, score)
    return Contamination(found.texts, found.too_short, documents, contaminated, list(rows.values()))
