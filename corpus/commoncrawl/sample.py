"""The choice of captures: all that match, or a seeded draw from pieces all over the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import xxhash

from corpus.commoncrawl import cdx, index
from corpus.commoncrawl.config import Selection
from corpus.commoncrawl.ranges import in_order
from corpus.commoncrawl.store import Store
from corpus.schema import HITS

T = TypeVar("T")

_FOOTERS_AHEAD = 8


def take(pieces: Iterable[pa.Table], selection: Selection) -> pa.Table:
    """Return the chosen captures of pieces of the index; pieces are read in their drawn order, as needed.

    With a limit, each piece contributes its share, so that `spread` of them are mixed; if all together have
    too few, those with more than their share contribute the rest. The captures of a piece are chosen by the
    seed and their places, not by their order. The result is sorted by file and offset, without duplicates.
    """
    taken, over = HITS.schema().empty_table(), HITS.schema().empty_table()
    share = -(-selection.limit // selection.spread) if selection.limit else 0
    if not selection.limit:
        return _in_place(pa.concat_tables([taken, *pieces]))
    for piece in pieces:
        drawn = piece.take(_drawn(piece, selection.seed)[: selection.limit])
        wanted = min(share, selection.limit - taken.num_rows)
        taken = pa.concat_tables([taken, drawn.slice(0, wanted)])
        over = pa.concat_tables([over, drawn.slice(wanted)]).slice(0, selection.limit)
        if taken.num_rows == selection.limit:
            break
    return _in_place(pa.concat_tables([taken, over.slice(0, selection.limit - taken.num_rows)]))


def _drawn(table: pa.Table, seed: int) -> pa.Array:
    """Return the row numbers in an order that depends on the seed."""
    names = zip(table["file"].to_pylist(), table["offset"].to_pylist(), strict=True)
    keys = [xxhash.xxh3_64_intdigest(f"{file}:{offset}".encode(), seed=seed) for file, offset in names]
    return pa.array(np.argsort(np.array(keys, np.uint64), kind="stable"))


def _in_place(table: pa.Table) -> pa.Table:
    """Return the rows sorted by file and offset, without duplicates: places may overlap."""
    table = table.sort_by([("file", "ascending"), ("offset", "ascending")])
    if not table.num_rows:
        return table
    file, offset = table["file"].to_numpy(zero_copy_only=False), table["offset"].to_numpy()
    new = np.ones(table.num_rows, bool)
    new[1:] = (file[1:] != file[:-1]) | (offset[1:] != offset[:-1])
    return table.filter(pa.array(new))


def in_seeded_order(items: Sequence[T], name: Callable[[T], str], seed: int) -> list[T]:
    """Return items in an order that depends on the seed and their names."""
    return sorted(items, key=lambda item: xxhash.xxh3_64_intdigest(name(item).encode(), seed=seed))


def columnar(store: Store, selection: Selection, pool: Executor) -> Iterator[pa.Table]:
    """Yield the matching captures of the columnar index, a row group at a time.

    With a limit, files come in a drawn order and contribute one drawn row group each, then a second, and so
    on, so that no more footers are read than needed.
    """
    paths = index.paths(store, selection.crawl)
    if selection.limit:
        paths = in_seeded_order(paths, str, selection.seed)
    found: list[tuple[index.Footer, list[int]]] = []
    turn = 0
    for _, footer in in_order(pool, partial(index.footer, store), paths, _FOOTERS_AHEAD):
        groups = index.groups(footer, selection)
        if selection.limit:
            groups = in_seeded_order(groups, f"{footer.path} {{}}".format, selection.seed)
        found.append((footer, groups))
        for group in groups[:1] if selection.limit else groups:
            yield index.hits(store, footer, group, selection, pool)
    while selection.limit and any(len(groups) > turn + 1 for _, groups in found):
        turn += 1
        for footer, groups in found:
            if turn < len(groups):
                yield index.hits(store, footer, groups[turn], selection, pool)


def from_cdx(store: Store, selection: Selection) -> Iterator[pa.Table]:
    """Yield the matching captures of the CDX API, a page at a time, with a limit in a drawn order."""
    pages = [
        (place, page)
        for place in cdx.places(selection)
        for page in range(cdx.pages(store, selection.crawl, place, selection))
    ]
    if selection.limit:
        pages = in_seeded_order(pages, str, selection.seed)
    for place, page in pages:
        yield cdx.hits(store, selection.crawl, place, page, selection)
