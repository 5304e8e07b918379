"""The plan of a fetch: its captures, written once, so that a resumed fetch does not read an index again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpus import dataset, files
from corpus.commoncrawl import cdx, sample
from corpus.commoncrawl.config import Access, CommonCrawl, Selection
from corpus.commoncrawl.records import Hit
from corpus.commoncrawl.store import opened
from corpus.errors import ConfigError
from corpus.schema import HITS
from corpus.settings import parse

_BATCH = 8192  # rows of a record batch, so that a unit reads few rows besides its own
_COLUMNS = ["url", "file", "offset", "length", "digest"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored plan: its crawl, its folder, and its number of captures."""

    crawl: str
    folder: str
    rows: int

    @property
    def path(self) -> str:
        return f"{self.crawl}.arrow"

    def hits(self, first: int, last: int) -> list[Hit]:
        """Read the captures `first` to `last` - 1."""
        table = self._rows(first, last, _COLUMNS)
        return [Hit(**row) for row in table.to_pylist()]

    def latest(self, first: int, last: int) -> Any:
        """Return the time of the latest of the captures `first` to `last` - 1, in UTC."""
        return max(self._rows(first, last, ["fetched"])["fetched"].to_pylist())

    def _rows(self, first: int, last: int, columns: list[str]) -> pa.Table:
        with dataset.open_arrow(self.folder, self.path, columns) as reader:
            numbers = range(first // _BATCH, (last - 1) // _BATCH + 1)
            table = pa.Table.from_batches([reader.get_batch(number) for number in numbers])
            return table.slice(first - numbers.start * _BATCH, last - first)

    def units(self, size: int) -> Iterator[Unit]:
        """Yield runs of captures whose records have about `size` bytes together."""
        table = dataset.table(self.folder, self.path, _COLUMNS)
        length = table["length"].to_numpy()
        number = (np.cumsum(length) - length) // size
        starts = np.flatnonzero(np.diff(number, prepend=-1.0)).tolist()
        for first, last in zip(starts, [*starts[1:], table.num_rows], strict=True):
            rows = table.slice(first, last - first)
            yield Unit(first, last, int(length[first:last].sum()), _checksum(rows))


@dataclass(frozen=True, slots=True)
class Unit:
    """A run of a plan's captures: `first` to `last` - 1, the bytes of their records, and their checksum."""

    first: int
    last: int
    bytes: int
    checksum: str


def _checksum(rows: pa.Table) -> str:
    """Return a hash of captures by their values, which does not depend on Arrow's bytes."""
    digest = xxhash.xxh3_128()
    for row in zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True):
        digest.update("\t".join(map(str, row)).encode() + b"\n")
    return f"xxh3:{digest.hexdigest()}"


def ensure(folder: str, config: CommonCrawl) -> tuple[Plan, str]:
    """Return the plan of a selection, which is the one in `folder` or a new one, and a line about it.

    A selection without a crawl takes the crawl of the existing plan, else the newest one. Raises ConfigError
    if the folder has another selection of the same crawl, and if no capture matches.
    """
    for name in [config.selection.crawl] if config.selection.crawl else _crawls(folder):
        selection = config.selection.model_copy(update={"crawl": name})
        written = files.read_json(folder, f"{name}.json")
        if written is None or files.size(folder, f"{name}.arrow") is None:
            continue
        stored = parse(Selection, written["selection"], f"{folder}/{name}.json")
        if stored == selection:
            return Plan(name, folder, written["hits"]), f"{written['hits']:,} captures of {name}, as planned"
        if config.selection.crawl:
            raise ConfigError(_other(folder, selection, stored))
    return _make(folder, config)


def _crawls(folder: str) -> list[str]:
    found = [name for name in files.names(folder) if name.endswith(".json")]
    return sorted((name.removesuffix(".json") for name in found), reverse=True)


def _other(folder: str, selection: Selection, stored: Selection) -> str:
    pairs = [(name, getattr(selection, name), getattr(stored, name)) for name in Selection.model_fields]
    changed = [f"{name} = {now!r} (stored: {before!r})" for name, now, before in pairs if now != before]
    return (
        f"{folder} has another selection of {selection.crawl}: now {', '.join(changed)}; the files fetched "
        f"for the stored one would be lost: name another output folder, or use the same selection"
    )


def _make(folder: str, config: CommonCrawl) -> tuple[Plan, str]:
    selection, access = config.selection, config.access
    if not selection.crawl:
        with opened(access, access.index_base) as store:
            selection = selection.model_copy(update={"crawl": cdx.newest(store)})
        if files.read_json(folder, f"{selection.crawl}.json") is not None:
            return ensure(folder, config.model_copy(update={"selection": selection}))
    table, said = _select(access, selection)
    if not table.num_rows:
        raise ConfigError(f"{selection.crawl}: no capture matches: {_described(selection)}; {said}")
    path = f"{selection.crawl}.arrow"
    fingerprint = files.fingerprint(selection.model_dump(mode="json"))
    with dataset.create(folder, path, HITS, fingerprint) as slot:
        for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH):
            slot.arrow.write(batch)
    written = {"selection": selection.model_dump(mode="json"), "hits": table.num_rows, "said": said}
    files.sweep(folder, lambda name: name == path)
    files.write_json(folder, f"{selection.crawl}.json", written, sweeps=True)
    return Plan(
        selection.crawl, folder, table.num_rows
    ), f"{table.num_rows:,} captures of {selection.crawl}; {said}"


def _select(access: Access, selection: Selection) -> tuple[pa.Table, str]:
    base = access.index_base if selection.via == "cdx" else access.base
    with ThreadPoolExecutor(access.connections) as pool, opened(access, base) as store:
        if selection.via == "cdx":
            pieces = sample.from_cdx(store, selection)
        else:
            pieces = sample.columnar(store, selection, pool)
        table = sample.take(pieces, selection)
        tally = store.tally
        said = f"read {tally.bytes / 1e6:,.1f} MB of the index in {tally.requests:,} requests"
        return table, said


def _described(selection: Selection) -> str:
    chosen = selection.model_dump(mode="json", exclude={"crawl", "limit", "spread", "seed", "via"})
    return ", ".join(f"{key} {value}" for key, value in chosen.items() if value)
