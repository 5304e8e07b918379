"""The shard stage: a group of parts is read once and distributed to the shards that it fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset, files, spill, temporary
from corpus.assignment import Assignment, Target, assign, groups, validation_share
from corpus.config import Shard as Settings
from corpus.counts import Counts
from corpus.dedup import removals
from corpus.dedup.removals import Fate
from corpus.dedup.spans import without
from corpus.errors import DatasetError
from corpus.schema import DOCUMENTS, Kind, shard_with
from corpus.settings import changed
from corpus.text.view import view
from pipelines.progress import Beat
from pipelines.stage import Context, Outcome, Planned, Stage, plan_unit
from pipelines.sweep import UNITS

NAME = "shard"
VERSION = 8

Rows = list[NDArray[np.int64]]  # surviving rows, part by part
Copies = list[NDArray[np.uint32]]  # their cluster sizes
Spans = dict[str, NDArray[np.int64]]  # of one part: row, start, end of each passage that is removed

_MIB = 1 << 20
_SPILL_FILES = 64  # scratch files that are open at a time
_BATCH_BYTES = 4 << 20  # text in one record batch: what a reader holds to show one document


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its file, the file of its signatures, and which of its documents dedupe removed."""

    documents: dataset.File
    signatures: dataset.File
    fate: Fate


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker needs: the folders, and the parts of its group, whose name is in those of its shards."""

    parts_folder: str
    dedupe: str
    group: str
    parts: tuple[Part, ...]


def plan(context: Context) -> Stage:
    """Plan the stage from the manifests of the parts and of dedupe; DatasetError where one is missing.

    A unit is named by its parts and by what dedupe decided of them alone: it stays as it is when other parts
    come or go.
    """
    config = context.config
    home, dedupe = context.input_of(NAME, "documents"), context.input_of(NAME, "removed")
    shard = config.shard
    if shard.validation is None:
        survivors = sum(unit.counts.kept for unit in dataset.load(dedupe).units)
        shard = shard.model_copy(update={"validation": validation_share(survivors)})
    settings = changed(shard)
    sizes, parts = _parts(home, dedupe)
    units = []
    for group, names in groups(sizes, shard.seed, shard.group_mb * _MIB):
        mine = tuple(parts[name] for name in names)
        inputs = tuple(
            dataset.Input(name=part.documents.path, checksum=f"{part.documents.sha256} {part.fate.digest}")
            for part in mine
        )
        weight = sum(part.documents.bytes for part in mine)
        task = Task(home, dedupe, group, mine)
        units.append(plan_unit(NAME, VERSION, settings, f"group {group}", inputs, task, weight))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=context.folder(NAME),
        settings=settings,
        units=tuple(units),
        work=partial(shard_unit, shard),
        worker_bytes=64 << 20,  # it writes 30 MB a second
    )


def _parts(home: str, dedupe: str) -> tuple[dict[str, int], dict[str, Part]]:
    """Return the bytes of text of each part and the part, by fingerprint."""
    manifest = dataset.load(home)
    fates = removals.read_index(dedupe)
    documents, signatures = manifest.by_unit("documents"), manifest.by_unit("signatures")
    if documents.keys() != fates.keys():
        raise DatasetError(
            f"{dedupe} was not made from the {len(documents):,} parts in {home}: "
            f"{len(fates.keys() - documents.keys()):,} of its parts are gone, "
            f"{len(documents.keys() - fates.keys()):,} are new; run the build again"
        )
    sizes = {
        unit.fingerprint: unit.counts.noted.get("text", {}).get("bytes", 0)
        for unit in manifest.units
        if unit.fingerprint in documents
    }
    return sizes, {name: Part(documents[name], signatures[name], fates[name]) for name in sizes}


def shard_unit(settings: Settings, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Write the shards of one group: assign the survivors, spill each part's rows by shard, sort."""
    task: Task = unit.task
    spans = [removals.read(task.dedupe, part.fate.spans, ["row", "start", "end"]) for part in task.parts]
    rows, copies, placed = _plan_rows(task, settings, spans)
    counts, kind = Counts(seen=len(placed.target)), _kind(task)
    home = Path(files.filesystem(folder)[1]) / UNITS if files.is_local(folder) else None
    written: list[dataset.File] = []
    # A scratch file holds the rows of neighbouring shards, so that open files do not grow with the shards.
    shards = max(1, -(-len(placed.targets) // _SPILL_FILES))
    with temporary.folder("spill", home) as spilled:
        _spill(task, kind, rows, copies, spans, placed.target // shards, spilled)
        for first in range(0, len(placed.targets), shards):
            with spill.read(spilled, first // shards) as reader:
                for number, batches in _shards(reader, placed, first, shards):
                    written.append(_write(task, unit, kind, folder, placed.targets[number], batches))
                    counts.kept += written[-1].rows
                    counts.note(written[-1].split, written[-1].language, written[-1].rows)
                    beat(counts.seen, counts.kept, (number + 1) / len(placed.targets))
    return Outcome(written, counts)


def _kind(task: Task) -> Kind:
    """Return the kind of the group's shards: with the columns of its parts for values of models."""
    first = task.parts[0].documents
    with dataset.open_arrow(task.parts_folder, first.path, size=first.bytes) as reader:
        return shard_with(reader.schema)


def _write(
    task: Task, unit: Planned, kind: Kind, folder: str, target: Target, batches: Iterator[pa.Table]
) -> dataset.File:
    """Write one shard."""
    path = f"{target.language}/{target.split}-{task.group}-{target.number:04d}-{unit.fingerprint}.arrow"
    with dataset.create(
        folder, path, kind, unit.fingerprint, language=target.language, split=target.split
    ) as slot:
        for batch in batches:
            slot.arrow.write(batch)
    assert slot.file is not None
    return slot.file


def _plan_rows(task: Task, settings: Settings, spans: list[Spans]) -> tuple[Rows, Copies, Assignment]:
    """Return each part's surviving rows, their cluster sizes, and where all of them go, in part order."""
    rows: Rows = []
    copies: Copies = []
    ids: list[str] = []
    languages: list[str] = []
    sizes: list[NDArray[np.int64]] = []
    for part, removed in zip(task.parts, spans, strict=True):
        file = part.signatures
        table = dataset.table(task.parts_folder, file.path, ["id", "language", "bytes"], file.bytes)
        stays = np.ones(table.num_rows, dtype=bool)
        size = np.ones(table.num_rows, dtype=np.uint32)
        stays[removals.read(task.dedupe, part.fate.removed, ["row"])["row"]] = False
        found = removals.read(task.dedupe, part.fate.survivors, ["row", "copies"])
        size[found["row"]] = found["copies"]
        rows.append(np.flatnonzero(stays))
        copies.append(size[stays])
        kept = table.filter(pa.array(stays))
        ids += kept["id"].to_pylist()
        languages += kept["language"].to_pylist()
        lost = np.bincount(removed["row"], removed["end"] - removed["start"], table.num_rows)[stays]
        sizes.append(kept["bytes"].to_numpy().astype(np.int64) - lost.astype(np.int64))
    target_bytes = int(settings.target_mb * _MIB)
    assert settings.validation is not None  # `plan` chose it
    all_sizes = np.concatenate([np.empty(0, np.int64), *sizes])
    return rows, copies, assign(ids, languages, all_sizes, settings.seed, settings.validation, target_bytes)


def _spill(
    task: Task,
    kind: Kind,
    rows: Rows,
    copies: Copies,
    spans: list[Spans],
    numbers: NDArray[np.int64],
    folder: Path,
) -> None:
    """Read every part once and append each surviving row to the scratch file of its number."""
    schema, own = kind.schema(), len(DOCUMENTS.columns)
    with spill.create(folder, int(numbers.max(initial=-1)) + 1, schema) as writer:
        at = 0  # documents of the group read so far
        for part, stays, sizes, removed in zip(task.parts, rows, copies, spans, strict=True):
            first = 0  # row of the part at which the batch starts
            for batch in dataset.batches(task.parts_folder, part.documents.path, size=part.documents.bytes):
                low, high = np.searchsorted(stays, [first, first + batch.num_rows])
                chosen, cut = _without(
                    batch.take(pa.array(stays[low:high] - first)), stays[low:high], removed
                )
                added = [pa.array(each, pa.uint32()) for each in (sizes[low:high], cut)]
                columns = [*chosen.columns[:own], *added, *chosen.columns[own:]]
                survivors = pa.RecordBatch.from_arrays(columns, schema=schema)
                writer.write(survivors, numbers[at : at + survivors.num_rows])
                at += survivors.num_rows
                first += batch.num_rows


def _without(
    batch: pa.RecordBatch, rows: NDArray[np.int64], spans: Spans
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Return documents, whose rows are `rows`, without their spans, and the number of spans of each."""
    first, last = np.searchsorted(spans["row"], rows), np.searchsorted(spans["row"], rows, side="right")
    if not np.any(first < last):
        return batch, last - first
    columns = {name: batch.column(name).to_pylist() for name in ("text", "bytes", "words")}
    for at in np.flatnonzero(first < last).tolist():
        inside = slice(first[at], last[at])
        text = without(
            columns["text"][at].encode(), spans["start"][inside].tolist(), spans["end"][inside].tolist()
        )
        columns["text"][at], columns["bytes"][at] = text.decode(), len(text)
        columns["words"][at] = view(columns["text"][at]).words
    for name, values in columns.items():
        number = batch.schema.get_field_index(name)
        batch = batch.set_column(
            number, batch.schema.field(name), pa.array(values, batch.schema.field(name).type)
        )
    return batch, last - first


def _shards(
    reader: spill.Reader, placed: Assignment, first: int, shards: int
) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Yield the shards of one scratch file: their numbers, and their rows in order."""
    inside = np.flatnonzero((placed.target >= first) & (placed.target < first + shards))
    places = placed.place[inside]
    for number, rows in spill.groups(placed.target[inside]):
        yield number, _ordered(reader, rows[np.argsort(places[rows])])


def _ordered(reader: spill.Reader, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Read rows of a scratch file in batches of about `_BATCH_BYTES` of text."""
    ends = np.cumsum(reader.bytes[rows])
    cuts = np.searchsorted(ends, np.arange(_BATCH_BYTES, int(ends[-1]) + _BATCH_BYTES, _BATCH_BYTES))
    for piece in np.split(rows, cuts[:-1]):
        if piece.size:
            yield reader.take(piece)
