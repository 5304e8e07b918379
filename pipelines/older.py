"""Older corpora that a new one is compared with: what they have stored, read where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import chain, dataset, files
from corpus.config import Dedupe
from corpus.dedup import removals
from corpus.dedup.removals import Fate
from corpus.dedup.spans import LOST
from corpus.dedup.store import document_numbers
from corpus.errors import DatasetError
from corpus.schema import GRAMS, PARAGRAPHS, SPANS, Kind
from pipelines import handover, settling

_DEDUPE = "dedupe"
_NAMES_PARTS = 8  # the version of dedupe whose spans name the part of the document that keeps them


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of older corpora, one after the other, and what each corpus decided of them.

    `grams` and `paragraphs` are the files that newer corpora can use as they are, "" where there is none.
    """

    names: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    grams: tuple[str, ...] = ()
    paragraphs: tuple[str, ...] = ()
    fates: tuple[tuple[str, Fate], ...] = ()  # with the folder of dedupe
    text_bytes: int = 0  # of all documents
    inputs: tuple[dataset.Input, ...] = ()


def parts(settings: Dedupe) -> Parts:
    """Return the parts of `settings.against`, builds; DatasetError where one is not finished."""
    found = [_parts(corpus, settings) for corpus in settings.against]

    def together(name: str) -> tuple[Any, ...]:
        return tuple(value for each in found for value in getattr(each, name))

    tuples = {field.name: together(field.name) for field in fields(Parts) if field.name != "text_bytes"}
    return Parts(**tuples, text_bytes=sum(each.text_bytes for each in found))


def _parts(corpus: str, settings: Dedupe) -> Parts:
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
    made = dataset.load(decided)
    if made.version < _NAMES_PARTS and made.files(SPANS.name):
        raise DatasetError(
            f"dedupe.against: version {made.version} of dedupe has made {decided}, which does not tell where "
            f"the passages stand that it removed; run the build there again"
        )
    # A fate's digest does not name the parts that keep its spans.
    kept = {file.path: file.sha256 for file in made.files(SPANS.name)}
    given = {key: value for key, value in made.settings.items() if key in Dedupe.model_fields}
    was = Dedupe.model_validate(given)
    same = was.substrings.length == settings.substrings.length
    enough = was.paragraphs.most and was.paragraphs.length <= settings.paragraphs.length
    return Parts(
        names=tuple(names),
        signatures=tuple(files.join(home, signed[name].path) for name in names),
        texts=tuple(files.join(home, documents[name].path) for name in names),
        rows=tuple(signed[name].rows for name in names),
        grams=_stored(made, decided, GRAMS, names) if same else ("",) * len(names),
        paragraphs=_stored(made, decided, PARAGRAPHS, names) if enough else ("",) * len(names),
        fates=tuple((decided, fates[name]) for name in names),
        text_bytes=sum(unit.counts.noted.get("text", {}).get("bytes", 0) for unit in manifest.units),
        inputs=tuple(
            dataset.Input(
                name=f"older {signed[name].path}",
                checksum=f"{signed[name].sha256} {fates[name].digest} {kept.get(fates[name].spans.path, '')}",
            )
            for name in names
        ),
    )


def _stored(made: dataset.Manifest, home: str, kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    paths = {file.path.split("-")[1]: files.join(home, file.path) for file in made.files(kind.name)}
    return tuple(paths.get(name, "") for name in names)


def save_gone(folder: str, known: Parts, together: handover.Parts) -> None:
    """Save for each run of older parts what their corpus removed: documents, and bytes that are LOST."""
    for number, run in enumerate(together.runs()):
        if run.start >= together.older:
            break
        gone, lost = [], [np.empty(0, LOST)]
        for part in run:
            home, fate = known.fates[part]
            rows = np.sort(removals.read(home, fate.removed, ["row"])["row"])
            gone.append(document_numbers(part, rows))
            spans = removals.batches(home, fate.spans, ["row", "start", "end", "kept_part"])
            lost += [_lost(part, batch, known.names) for batch in spans]
        settling.save_older(folder, number, np.concatenate(gone), np.concatenate(lost))


def _lost(part: int, spans: pa.RecordBatch, known: Sequence[str]) -> NDArray[np.void]:
    """Return the spans that are kept in none of the parts that are known."""
    spans = spans.filter(pc.invert(pc.is_in(spans["kept_part"], value_set=pa.array(known, pa.string()))))
    found = np.empty(spans.num_rows, LOST)
    found["document"] = document_numbers(part, spans["row"].to_numpy())
    found["start"], found["end"] = spans["start"].to_numpy(), spans["end"].to_numpy()
    return found
