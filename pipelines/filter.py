"""The filter stage: the extracted texts of a unit become a part with its signatures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from corpus import dataset, filters
from corpus.config import Filter
from corpus.counts import Counts
from corpus.errors import StageError
from corpus.filtering import Document, Filtering, document_id, exact_hash
from corpus.filters import Drop, InForce
from corpus.furniture import clear, of_units, read
from corpus.rows import UnitFiles
from corpus.schema import DROPPED, EXTRACTED, PERMUTATIONS, SIGNATURES, documents_with, measured_with
from corpus.settings import changed
from corpus.text.view import view
from corpus.web.url import url_hash
from pipelines import furniture
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit

NAME = "filter"
VERSION = 9

_EMPTY = np.full(PERMUTATIONS, 0xFFFFFFFF, dtype=np.uint32)
_BATCH = 64  # texts of one batch
_NAMED = 10  # rules that a message names
_IN_FORCE = frozenset(
    {"presets", "default", "limits", "plugins", "quality", "contamination", "harm"}
)  # keys that come to `InForce.content`


@dataclass(frozen=True, slots=True)
class Task:
    """What the work needs: the extracted file, and the file of its hosts' furniture, "" for none."""

    file: dataset.File
    furniture: str


def plan(context: Context) -> Stage:
    """Plan the stage: a unit for each unit of extract; DatasetError where its manifest is missing."""
    settings = context.config.filter
    home = context.input_of(NAME, EXTRACTED.name)
    repeated = context.folder(furniture.NAME)
    removed = of_units(dataset.load(repeated))
    in_force = filters.in_force(settings, context.base)
    own: dict[str, object] = {**changed(settings, exclude=_IN_FORCE), "in_force": in_force.content()}
    units = []
    for unit in dataset.load(home).units:
        for file in (file for file in unit.files if file.kind == EXTRACTED.name):
            inputs = [dataset.Input(name=file.path, checksum=file.sha256)]
            path, digest = removed.get(unit.fingerprint, ("", ""))
            if path:
                inputs.append(dataset.Input(name=furniture.NAME, checksum=digest))
            task = Task(file, path)
            units.append(plan_unit(NAME, VERSION, own, unit.name, tuple(inputs), task, file.bytes))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings={**own, **in_force.as_settings(changed(settings))},
        units=tuple(units),
        work=partial(filter_unit, settings, in_force, home, repeated),
        rules=_rules(settings, in_force),
        check=partial(_check_stage, context.config.output),
        worker_bytes=8 << 20,
    )


def _rules(settings: Filter, in_force: InForce) -> tuple[str, ...]:
    """Return the families of rules that these settings use."""
    url = ("url",) if settings.blocked_hosts or settings.blocked_url_words else ()
    return (*url, "language", *in_force.families())


def filter_unit(
    settings: Filter, in_force: InForce, home: str, repeated: str, unit: Planned, folder: str, beat: Beat
) -> Outcome:
    """Filter every text of a unit and write its part, and what was measured of each."""
    task: Task = unit.task
    file = task.file
    removed = read(repeated, task.furniture) if task.furniture else {}
    filtering = Filtering(settings, in_force)
    names = filters.rule_names(in_force.default)
    counts = Counts()
    with UnitFiles(folder, unit.fingerprint) as written:
        part = written.open(documents_with(names))
        # Uncompressed, so that dedupe can map it and read a signature by its row.
        signatures = written.open(SIGNATURES, compression=None)
        dropped = written.open(DROPPED)
        measured = written.open(measured_with(names))
        for batch in dataset.batches(home, file.path, size=file.bytes):
            for first in range(0, batch.num_rows, _BATCH):
                rows = batch.slice(first, _BATCH).to_pylist()
                if removed:
                    counts.note(furniture.NAME, "lines removed", sum(clear(row, removed) for row in rows))
                for document in filtering.filter(rows):
                    counts.seen += 1
                    values = _measured_row(document, names)
                    measured.add(values)
                    if drop := document.drop:
                        counts.drop(drop.rule)
                        dropped.add(dropped_row(document.row, drop))
                        continue
                    counts.kept += 1
                    row = {**values, **_document_row(document)}
                    part.add(row)
                    signatures.add(_signature_row(document, row))
                    _note(counts, document, row)
                beat(counts.seen, counts.kept, counts.seen / file.rows)
    return Outcome(written.files, counts, filtering.seconds)


def _document_row(document: Document) -> dict[str, Any]:
    """Return the columns of a document that is kept (`corpus.schema.DOCUMENTS`)."""
    return {
        **document.row,
        "id": document_id(document.row["url"], document.text),
        "text": document.text,
        "bytes": len(document.text.encode("utf-8")),
        "words": document.words,
        "redactions": sum(document.redacted.values()),
    }


def dropped_row(row: dict[str, Any], drop: Drop) -> dict[str, Any]:
    """Return the columns of a document that is dropped (`corpus.schema.DROPPED`), its text as extracted."""
    return {
        **row,
        "id": document_id(row["url"], row["text"]),
        "words": view(row["text"]).words,
        "redactions": 0,
        "rule": drop.rule,
        "value": drop.value,
        "limit": drop.limit,
        "reason": drop.reason,
    }


def _measured_row(document: Document, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what was measured of a text (`corpus.schema.MEASURED`); null where a rule has no value."""
    assert document.values is not None
    values = [None if value != value else value for value in document.values.tolist()]
    return {
        **dict(zip(names, values, strict=True)),
        "source": document.row["source"],
        "language": document.row["language"],
        "language_score": document.row["language_score"],
        "words": document.words,
        "register": document.register.label if document.register else None,
        "register_score": document.register.score if document.register else None,
        "rule": document.drop.rule if document.drop else "",
    }


def _signature_row(document: Document, row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "exact": exact_hash(document.text),
        "url": url_hash(row["url"]),
        "signature": _EMPTY if document.signature is None else document.signature,
    }


def _note(counts: Counts, document: Document, row: dict[str, Any]) -> None:
    """Count the bytes and words of a kept document, and what was changed in it."""
    counts.note("text", "bytes", row["bytes"])
    counts.note("text", "words", row["words"])
    if lost := document.text.count("\ufffd"):
        counts.note("text", "replacement_characters", lost)  # bytes that no encoding could decode
    for topic, names in (("lines", document.lines), ("redacted", document.redacted)):
        for kind, times in names.items():
            counts.note(topic, kind, times)


def _check_stage(output: str, manifest: dataset.Manifest) -> None:
    """Raise StageError where nothing was kept."""
    counts = manifest.counts()
    if counts.kept:
        return
    fates = sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0]))
    words = ", ".join(f"{number:,} dropped by {rule}" for rule, number in fates[:_NAMED])
    raise StageError(
        f"nothing was kept: of {counts.seen:,} documents, {words}; "
        f"`derlem show {output} --dropped {fates[0][0]}` lists most of them, "
        f"and `derlem what-if {output}` tells what other limits keep"
    )
