"""Every text of a build under one number, and where its columns, values and outcome are stored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import chain, dataset
from corpus.dataset import File, Unit
from corpus.inspect.build import Build, Stage
from corpus.inspect.overview import hosts_of

COLUMNS = ["url", "source", "language", "language_score", "bytes", "fetched"]


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of texts, the number of its first text, and the unit of `filter` that read it.

    `unit` is None where the file holds texts that a stage before `filter` dropped.
    """

    stage: Stage
    file: File
    first: int
    unit: Unit | None

    def of_unit(self, kind: str) -> File | None:
        """Return the file of a kind that the unit of `filter` wrote, None where it wrote none."""
        return next((file for file in self.unit.files if file.kind == kind), None) if self.unit else None


@dataclass(frozen=True, slots=True)
class Place:
    """A text's file and its row in it."""

    home: TextFile
    row: int


class Texts:
    """The texts of a build, numbered from 0 by the order of its manifests: first those that filter read."""

    def __init__(self, build: Build) -> None:
        """Number the texts; NotThereError where `filter` is not finished."""
        self.build = build
        self.filter = build.need("filter", "look at its documents")
        read = build.need(chain.upstream("filter", "extracted").name, "read the texts")
        paths = {file.path: file for file in read.manifest.files("extracted")}
        units = [(paths[unit.inputs[0].name], unit) for unit in self.filter.manifest.units]
        found: list[tuple[Stage, File, Unit | None]] = [(read, file, unit) for file, unit in units]
        for stage in build.holding("dropped"):
            if stage is not self.filter:
                found += [(stage, file, None) for file in stage.manifest.files("dropped")]
        self.files: list[TextFile] = []
        self.count = 0
        for stage, file, unit in found:
            self.files.append(TextFile(stage, file, self.count, unit))
            self.count += file.rows

    @cached_property
    def _firsts(self) -> list[int]:
        return [each.first for each in self.files]

    def place(self, number: int) -> Place:
        """Return the file and row of a text; IndexError where there is no such number."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        home = self.files[bisect_right(self._firsts, number) - 1]
        while not home.file.rows:  # an empty file has the first number of the next
            home = self.files[self.files.index(home) - 1]
        return Place(home, number - home.first)

    def facts(self) -> Iterator[pa.Table]:
        """Yield a table for each file: what is known of its texts without reading them.

        Columns: rule (empty where kept), source, language, host, words, bytes, score, fetched, copies,
        register, page_kind ("" where it is not known).
        """
        removed, survivors = self._of_dedupe("removed", "kind"), self._of_dedupe("survivors", "copies")
        for home in self.files:
            if home.file.rows:
                yield self._facts(home, removed, survivors)

    def _facts(self, home: TextFile, removed: _ByPart, survivors: _ByPart) -> pa.Table:
        folder, path = home.stage.folder, home.file.path
        # An earlier version stored neither register nor kind.
        later = [name for name in ("page_kind",) if name in _columns(folder, path)]
        own = dataset.table(folder, path, COLUMNS + later + ([] if home.unit else ["rule", "words"]))
        measured = own
        if file := home.of_unit("measured"):
            later = [name for name in ("register",) if name in _columns(self.filter.folder, file.path)]
            measured = dataset.table(self.filter.folder, file.path, ["words", "rule", *later])
        rule = np.array(measured["rule"].to_pylist(), dtype=object)
        copies = np.ones(rule.size, dtype=np.uint32)
        if home.unit is not None:
            kept = np.flatnonzero(rule == "")
            rows, kinds = removed.of(home.unit.fingerprint)
            rule[kept[rows]] = np.array([f"dedupe.{kind}" for kind in kinds.to_pylist()], dtype=object)
            rows, numbers = survivors.of(home.unit.fingerprint)
            copies[kept[rows]] = numbers.to_numpy(zero_copy_only=False)
        return pa.table(
            {
                "rule": pa.array(rule, pa.string()),
                "source": own["source"],
                "language": own["language"],
                "host": hosts_of(own["url"]),
                "words": measured["words"],
                "bytes": own["bytes"],
                "score": own["language_score"].cast(pa.float32()),
                "fetched": own["fetched"].cast(pa.timestamp("ms")),
                "copies": pa.array(copies),
                "register": _filled(measured, "register"),
                "page_kind": _filled(own, "page_kind"),
            }
        )

    def _of_dedupe(self, kind: str, column: str) -> _ByPart:
        stage = self.build.get("dedupe")
        files = stage.manifest.files(kind) if stage is not None else []
        columns = ["part", "row", column]
        tables = [dataset.table(stage.folder, file.path, columns) for file in files if stage is not None]
        return _ByPart(pa.concat_tables(tables) if tables else None, column)

    def identities(self, home: TextFile) -> tuple[pa.Table, list[str]]:
        """Return where the texts of a file are from (url, source, file, offset), and the id of each.

        The id is a hash of URL and text as `filter` left it, or as it was read where it is dropped.
        """
        table = dataset.table(home.stage.folder, home.file.path, ["url", "source", "file", "offset"])
        if home.unit is None:
            return table, dataset.table(home.stage.folder, home.file.path, ["id"])["id"].to_pylist()
        ids = {kind: iter(self._ids(home, kind)) for kind in ("documents", "dropped")}
        measured = home.of_unit("measured")
        rules = dataset.table(self.filter.folder, measured.path, ["rule"])["rule"] if measured else []
        return table, [next(ids["dropped" if rule.as_py() else "documents"]) for rule in rules]

    def _ids(self, home: TextFile, kind: str) -> list[str]:
        file = home.of_unit(kind)
        found: list[str] = (
            dataset.table(self.filter.folder, file.path, ["id"])["id"].to_pylist() if file else []
        )
        return found

    def values(self, rule: str) -> NDArray[np.float64]:
        """Return what a rule measured for every text in the order of their numbers, nan for nothing."""
        found = np.full(self.count, np.nan)
        for home in self.files:
            if file := home.of_unit("measured"):
                column = dataset.table(self.filter.folder, file.path, [rule])[rule]
                values = column.to_numpy() if column.num_chunks else np.empty(0)
                found[home.first : home.first + home.file.rows] = values
        return found

    def rules(self) -> list[str]:
        """Return the names of the rules whose values are stored, in their order."""
        file = next((file for home in self.files if (file := home.of_unit("measured"))), None)
        return [name for name in _columns(self.filter.folder, file.path) if "." in name] if file else []


def _columns(folder: str, path: str) -> list[str]:
    """Return the names of the columns of an Arrow file."""
    with dataset.open_arrow(folder, path) as reader:
        names: list[str] = reader.schema.names
    return names


def _filled(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """Return a column of text, "" where it is null, and everywhere where the table has none."""
    return pc.fill_null(table[name], "") if name in table.column_names else pa.repeat("", table.num_rows)


class _ByPart:
    """Rows of dedupe's files by the part that they name."""

    def __init__(self, table: pa.Table | None, column: str) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._table = table
        self._column = column
        if table is None or not table.num_rows:
            return
        self._table = table = table.sort_by([("part", "ascending"), ("row", "ascending")])
        runs = pc.run_end_encode(table["part"].combine_chunks())
        start = 0
        for part, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            self._places[part] = start, end
            start = end

    def of(self, part: str) -> tuple[NDArray[np.int64], pa.ChunkedArray]:
        """Return the rows that are named of a part, and their column."""
        start, end = self._places.get(part, (0, 0))
        if self._table is None or start == end:
            return np.empty(0, dtype=np.int64), pa.chunked_array([], pa.string())
        rows = self._table.slice(start, end - start)
        return rows["row"].to_numpy().astype(np.int64), rows[self._column]
