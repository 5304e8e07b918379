"""The shard stage: a group of parts is read once and dealt out to the shards that it fills."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from numpy.typing import NDArray

from corpus import dataset, files
from corpus.config import Config
from corpus.config import Shard as Settings
from corpus.counts import Counts
from corpus.deal import Deal, deal
from corpus.schema import SHARD
from pipelines.progress import Beat
from pipelines.stage import Outcome, Planned, Stage, plan_unit
from pipelines.sweep import UNITS

NAME = "shard"
FOLDER = "shards"
VERSION = 1

Rows = list[NDArray[np.int64]]  # surviving rows, part by part
Copies = list[NDArray[np.uint32]]  # their cluster sizes

_MIB = 1 << 20
_BATCH_BYTES = 4 << 20  # text in one record batch: what a reader holds to show one document


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker needs: the folders, this group's parts by number, and the files that say who stays."""

    clean: str
    dedupe: str
    group: int
    parts: tuple[tuple[int, str, str], ...]  # part number, part file, signature file
    removed: tuple[str, ...]
    survivors: tuple[str, ...]


def plan(config: Config) -> Stage:
    """Plan the stage from the manifests of clean and dedupe; DatasetError where one is missing."""
    clean, dedupe = files.join(config.output, "clean"), files.join(config.output, "dedupe")
    cleaned, deduped = dataset.load(clean), dataset.load(dedupe)
    settings = config.shard.model_dump(mode="json")
    removed, survivors = deduped.files("removed"), deduped.files("survivors")
    who_stays = tuple(dataset.Input(name=f.path, checksum=f.sha256) for f in [*removed, *survivors])
    units = []
    for number, group in enumerate(_groups(cleaned, config.shard)):
        parts = [cleaned.files("documents")[part] for part in group]
        signatures = [cleaned.files("signatures")[part] for part in group]
        task = Task(
            clean,
            dedupe,
            number,
            tuple((p, d.path, s.path) for p, d, s in zip(group, parts, signatures, strict=True)),
            tuple(file.path for file in removed),
            tuple(file.path for file in survivors),
        )
        inputs = (*(dataset.Input(name=f.path, checksum=f.sha256) for f in parts), *who_stays)
        weight = sum(file.bytes for file in parts)
        units.append(plan_unit(NAME, VERSION, settings, f"group {number}", inputs, task, weight))
    return Stage(
        name=NAME,
        version=VERSION,
        folder=files.join(config.output, FOLDER),
        settings=settings,
        units=tuple(units),
        work=partial(shard_unit, config.shard),
    )


def _groups(cleaned: dataset.Manifest, settings: Settings) -> list[list[int]]:
    """Put parts, in a seeded order, into groups of about `group_mb` of text."""
    order = list(range(len(cleaned.units)))
    random.Random(settings.seed).shuffle(order)
    groups: list[list[int]] = []
    filled = 0.0
    for part in order:
        size = cleaned.units[part].counts.noted.get("text", {}).get("bytes", 0)
        if not groups or filled + size > settings.group_mb * _MIB:
            groups.append([])
            filled = 0.0
        groups[-1].append(part)
        filled += size
    return groups


def shard_unit(settings: Settings, unit: Planned, folder: str, beat: Beat) -> Outcome:
    """Write the shards of one group: find who stays, deal, spill each part's rows by shard, put in order."""
    task: Task = unit.task
    rows, copies, dealt = _plan_rows(task, settings)
    counts = Counts(seen=len(dealt.target))
    home = Path(files.filesystem(folder)[1]) / UNITS if files.is_local(folder) else None
    written: list[dataset.File] = []
    with files.scratch("spill", home) as spill:
        _spill(task, rows, copies, dealt, spill)
        for number, target in enumerate(dealt.targets):
            name = f"{target.split}-{task.group:03d}-{target.number:04d}-{unit.fingerprint}.arrow"
            with dataset.create(
                folder,
                f"{target.language}/{name}",
                SHARD,
                unit.fingerprint,
                language=target.language,
                split=target.split,
            ) as slot:
                for batch in _ordered(spill / f"{number}.arrow", dealt.place[dealt.target == number]):
                    slot.arrow.write(batch)
            assert slot.file is not None
            written.append(slot.file)
            counts.kept += slot.file.rows
            counts.note(target.split, target.language, slot.file.rows)
            beat(counts.seen, counts.kept, (number + 1) / len(dealt.targets))
    return Outcome(written, counts)


def _plan_rows(task: Task, settings: Settings) -> tuple[Rows, Copies, Deal]:
    """Give each part's surviving rows, their cluster sizes, and where all of them go, in part order."""
    removed = _by_part(task.dedupe, task.removed, ["part", "row"])
    clusters = _by_part(task.dedupe, task.survivors, ["part", "row", "copies"])
    rows: Rows = []
    copies: Copies = []
    ids: list[str] = []
    languages: list[str] = []
    sizes: list[NDArray[np.int64]] = []
    for part, _, signatures in task.parts:
        table = dataset.table(task.clean, signatures, ["id", "language", "bytes"])
        stays = np.ones(table.num_rows, dtype=bool)
        stays[removed["row"][removed["part"] == part]] = False
        size = np.ones(table.num_rows, dtype=np.uint32)
        mine = clusters["part"] == part
        size[clusters["row"][mine]] = clusters["copies"][mine]
        rows.append(np.flatnonzero(stays))
        copies.append(size[stays])
        kept = table.filter(pa.array(stays))
        ids += kept["id"].to_pylist()
        languages += kept["language"].to_pylist()
        sizes.append(kept["bytes"].to_numpy().astype(np.int64))
    target_bytes = int(settings.target_mb * _MIB)
    all_sizes = np.concatenate([np.empty(0, np.int64), *sizes])
    return rows, copies, deal(ids, languages, all_sizes, settings.seed, settings.validation, target_bytes)


def _by_part(folder: str, paths: tuple[str, ...], columns: list[str]) -> dict[str, NDArray[np.int64]]:
    tables = [dataset.table(folder, path, columns) for path in paths]
    return {
        name: np.concatenate([np.empty(0, np.int64), *(t[name].to_numpy().astype(np.int64) for t in tables)])
        for name in columns
    }


def _spill(task: Task, rows: Rows, copies: Copies, dealt: Deal, spill: Path) -> None:
    """Read every part once and append its surviving rows to one scratch file a shard, in reading order."""
    schema = SHARD.schema()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(ipc.new_file(str(spill / f"{number}.arrow"), schema))
            for number in range(len(dealt.targets))
        ]
        at = 0  # documents of the group read so far
        for (_, path, _), stays, sizes in zip(task.parts, rows, copies, strict=True):
            first = 0  # row of the part at which the batch begins
            for batch in dataset.batches(task.clean, path):
                low, high = np.searchsorted(stays, [first, first + batch.num_rows])
                chosen = batch.take(pa.array(stays[low:high] - first))
                columns = [*chosen.columns, pa.array(sizes[low:high], pa.uint32())]
                survivors = pa.RecordBatch.from_arrays(columns, schema=schema)
                targets = dealt.target[at : at + survivors.num_rows]
                for number in np.unique(targets):
                    writers[number].write(survivors.take(pa.array(np.flatnonzero(targets == number))))
                at += survivors.num_rows
                first += batch.num_rows


def _ordered(path: Path, places: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Read one shard's scratch file and give its rows in their places, in batches of `_BATCH_BYTES`."""
    with pa.memory_map(str(path)) as source:
        table = ipc.open_file(source).read_all()
        order = np.argsort(places)
        ends = np.cumsum(table["bytes"].to_numpy()[order].astype(np.int64))
        cuts = np.searchsorted(ends, np.arange(_BATCH_BYTES, int(ends[-1]) + _BATCH_BYTES, _BATCH_BYTES))
        for rows in np.split(order, cuts[:-1]):
            if rows.size:
                yield from table.take(pa.array(rows)).combine_chunks().to_batches()
    path.unlink()
