"""The filter stage: the extracted texts of a unit become a part with its signatures."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from corpus import dataset, filters
from corpus.config import Filter
from corpus.counts import Counts
from corpus.filtering import Document, Filtering
from corpus.rows import UnitFiles
from corpus.schema import DOCUMENTS, DROPPED, EXTRACTED, PERMUTATIONS, SIGNATURES
from corpus.settings import changed
from corpus.url import url_hash
from pipelines.errors import StageError
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit

NAME = "filter"
VERSION = 2

_EMPTY = np.full(PERMUTATIONS, 0xFFFFFFFF, dtype=np.uint32)
_BATCH = 64  # texts that go through the filters together
_NAMED = 10  # rules that a message names


def plan(context: Context) -> Stage:
    """Plan the stage: a unit for each unit of extract; DatasetError where its manifest is missing."""
    config = context.config
    home = context.input_of(NAME, EXTRACTED.name)
    settings = _settings(config.filter)
    units = []
    for unit in dataset.load(home).units:
        for file in (file for file in unit.files if file.kind == EXTRACTED.name):
            inputs = (dataset.Input(name=file.path, checksum=file.sha256),)
            units.append(plan_unit(NAME, VERSION, settings, unit.name, inputs, file, file.bytes))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings=settings,
        units=tuple(units),
        work=partial(filter_unit, config.filter, home),
        rules=_rules(config.filter),
        check=_check_stage,
        worker_bytes=8 << 20,
    )


def _settings(settings: Filter) -> dict[str, object]:
    """Return all that filtering reads: the configuration, and the presets that it names by content."""
    chosen = {*settings.presets.values(), settings.default}
    return {
        **changed(settings),
        "preset_limits": {name: filters.load(name).model_dump(mode="json") for name in sorted(chosen)},
    }


def _rules(settings: Filter) -> tuple[str, ...]:
    """Return the families of rules that these settings put to work."""
    chosen = [filters.load(name) for name in (*settings.presets.values(), settings.default)]
    at_work = {
        "url": bool(settings.blocked_hosts or settings.blocked_url_words),
        "gopher": any(preset.gopher_quality or preset.gopher_repetition for preset in chosen),
        "c4": any(preset.c4 for preset in chosen),
        "fineweb": any(preset.fineweb for preset in chosen),
    }
    return ("language", *(family for family, works in at_work.items() if works))


def filter_unit(settings: Filter, home: str, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Filter every text of a unit and write its part."""
    file: dataset.File = unit.task
    filtering = Filtering(settings)
    counts = Counts()
    with UnitFiles(folder, unit.fingerprint) as written:
        part = written.open(DOCUMENTS)
        # Uncompressed, so that dedupe can map it and read a signature by its row.
        signatures = written.open(SIGNATURES, compression=None)
        dropped = written.open(DROPPED)
        for batch in dataset.batches(home, file.path):
            for first in range(0, batch.num_rows, _BATCH):
                for document in filtering.filter(batch.slice(first, _BATCH).to_pylist()):
                    counts.seen += 1
                    row = document_row(document)
                    if drop := document.drop:
                        counts.drop(drop.rule)
                        dropped.add({**row, "rule": drop.rule, "value": drop.value, "limit": drop.limit})
                        continue
                    counts.kept += 1
                    part.add(row)
                    signatures.add(_signature_row(document, row))
                    _note(counts, document, row)
                beat(counts.seen, counts.kept, counts.seen / file.rows)
    return Outcome(written.files, counts, filtering.seconds)


def document_row(document: Document) -> dict[str, Any]:
    """Return a document's columns (`corpus.schema.DOCUMENTS`)."""
    return {
        **document.row,
        "id": document.id,
        "text": document.text,
        "bytes": len(document.text.encode("utf-8")),
        "words": document.words,
        "redactions": sum(document.redacted.values()),
    }


def _signature_row(document: Document, row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "exact": document.exact,
        "url": url_hash(row["url"]),
        "signature": _EMPTY if document.signature is None else document.signature,
    }


def _note(counts: Counts, document: Document, row: dict[str, Any]) -> None:
    """Count what a kept document is made of, and what was done to it."""
    counts.note("text", "bytes", row["bytes"])
    counts.note("text", "words", row["words"])
    if lost := document.text.count("\ufffd"):
        counts.note("text", "replacement_characters", lost)  # bytes that no encoding could read
    for topic, names in (("lines", document.lines), ("redacted", document.redacted)):
        for kind, times in names.items():
            counts.note(topic, kind, times)


def _check_stage(manifest: dataset.Manifest) -> None:
    """Raise StageError where nothing was kept."""
    counts = manifest.counts()
    if counts.kept:
        return
    fates = sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0]))
    words = ", ".join(f"{number:,} dropped by {rule}" for rule, number in fates[:_NAMED])
    raise StageError(f"nothing was kept: of {counts.seen:,} documents, {words}")
