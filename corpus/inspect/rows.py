"""Some rows of many Arrow files: found by column, chosen in order or at random, read without the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset
from corpus.dataset import File
from corpus.errors import DatasetError

I64: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Condition:
    """What the values of one column must fulfil: `test` maps the array to an array of booleans."""

    column: str
    test: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of one file from which some are to be chosen: all of them, or those listed (ascending)."""

    folder: str
    file: File
    rows: I64 | None = None

    def __len__(self) -> int:
        return self.file.rows if self.rows is None else len(self.rows)

    def place(self, number: int) -> Place:
        """Return the place of the pool's row with this number."""
        return Place(self.folder, self.file, number if self.rows is None else int(self.rows[number]))


@dataclass(frozen=True, slots=True)
class Place:
    """One row of one file."""

    folder: str
    file: File
    row: int


def fulfils(batch: pa.RecordBatch | pa.Table, conditions: Sequence[Condition]) -> I64:
    """Return the row numbers of a batch at which all conditions hold."""
    mask = np.ones(batch.num_rows, dtype=bool)
    for condition in conditions:
        found = condition.test(batch.column(condition.column))
        mask &= np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)
    return np.flatnonzero(mask)


def matching(folder: str, file: File, conditions: Sequence[Condition]) -> Iterator[Pool]:
    """Yield the rows of a file at which all conditions hold, a pool for each record batch.

    Reads only the columns of the conditions, and nothing where there is no condition.
    """
    if not conditions:
        yield Pool(folder, file)
        return
    start = 0
    columns = list(dict.fromkeys(condition.column for condition in conditions))
    for batch in dataset.batches(folder, file.path, columns):
        yield Pool(folder, file, start + fulfils(batch, conditions))
        start += batch.num_rows


def first(pools: Iterable[Pool], limit: int) -> list[Place]:
    """Return the first rows; files after the last one needed are not opened."""
    places: list[Place] = []
    for pool in pools:
        places += [pool.place(n) for n in range(min(len(pool), limit - len(places)))]
        if len(places) >= limit:
            break
    return places


def draw(pools: Iterable[Pool], number: int, seed: int) -> list[Place]:
    """Draw rows without replacement, each equally likely whatever its file; the same for the same seed."""
    every = [pool for pool in pools if len(pool)]
    ends = np.cumsum([len(pool) for pool in every])
    total = int(ends[-1]) if every else 0
    places = []
    for drawn in random.Random(seed).sample(range(total), min(number, total)):
        index = int(np.searchsorted(ends, drawn, side="right"))
        places.append(every[index].place(drawn - int(ends[index]) + len(every[index])))
    return places


def take(folder: str, path: str, wanted: Sequence[int] | I64, columns: list[str] | None = None) -> pa.Table:
    """Read rows of a file by number, in the order asked for.

    The lengths of the record batches come from the narrowest look at them; only batches that hold a wanted
    row are then read in full. Raises DatasetError where the file has no such row.
    """
    rows = np.asarray(wanted, dtype=np.int64)
    with dataset.open_arrow(folder, path) as reader:
        schema = reader.schema
    narrow = next(field.name for field in schema if pa.types.is_integer(field.type))
    lengths = [batch.num_rows for batch in dataset.batches(folder, path, [narrow])]
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if lengths else 0
    if len(rows) and int(rows.max()) >= total:
        raise DatasetError(
            f"{folder}/{path} has {total:,} rows, row {int(rows.max()):,} was asked for: it is not the file "
            f"that the manifest names; run `derlem verify` on the folder"
        )
    order = np.argsort(rows, kind="stable")
    owners = np.searchsorted(ends, rows[order], side="right")
    pieces = []
    with dataset.open_arrow(folder, path, columns) as reader:
        for number in np.unique(owners):
            batch = reader.get_batch(int(number))
            batch = batch.select(columns) if columns is not None else batch
            inside = rows[order][owners == number] - (ends[number] - lengths[number])
            pieces.append(batch.take(pa.array(inside)))
        empty = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        gathered = pa.Table.from_batches(pieces, schema=pieces[0].schema if pieces else empty)
    back = np.empty(len(rows), dtype=np.int64)
    back[order] = np.arange(len(rows))
    return gathered.take(pa.array(back))


def read(places: Sequence[Place], columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Read rows of many files as dictionaries, in the order of the places; each file is opened once."""
    by_file: dict[tuple[str, str], list[int]] = {}
    for number, place in enumerate(places):
        by_file.setdefault((place.folder, place.file.path), []).append(number)
    values: list[dict[str, Any]] = [{} for _ in places]
    for (folder, path), numbers in by_file.items():
        found = take(folder, path, [places[n].row for n in numbers], columns).to_pylist()
        for number, row in zip(numbers, found, strict=True):
            values[number] = row
    return values
