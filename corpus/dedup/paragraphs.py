"""Paragraphs that many documents have: hashes of lines in their normal form, and which places keep them.

CCNet (Wenzek and others 2020) removes every paragraph but its first, by the hash of a normal form without
case and digits. Here a stated number of places keep it, the preferred documents first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.removals import PARAGRAPHS
from corpus.dedup.spans import COPIED
from corpus.furniture import hashed, host_of, normal

PARAGRAPH = np.dtype(
    [("hash", "<u8"), ("host", "<u8"), ("document", "<u8"), ("start", "<u4"), ("end", "<u4")]
)
"""A paragraph, by the hash of its normal form and that of its document's host (0 where it has none).

Two of a billion different paragraphs have the same hash with probability .03.
"""

GRID = (1, 2, 5, 10, 20, 50, 100, 1_000)
"""Numbers of places for which the report says what would be cut."""


def paragraphs(
    docs: NDArray[np.uint64], texts: Iterable[str], urls: Iterable[str], length: int
) -> NDArray[np.void]:
    """Return the PARAGRAPHs, lines of at least `length` bytes with a letter, of documents."""
    found = [row for each in zip(docs.tolist(), texts, urls, strict=True) for row in _of(*each, length)]
    return np.array(found, PARAGRAPH)


def form(line: str) -> str:
    """Return a line as it is compared: `furniture.normal`, with i for I, İ and ı; "" without a letter."""
    return normal(line).replace("ı", "i").replace("i\u0307", "i")


def _of(document: int, text: str, url: str, length: int) -> Iterator[tuple[int, int, int, int, int]]:
    host = host_of(url)
    of_host, start = hashed(host) if host else 0, 0
    for line in text.encode().split(b"\n"):
        end = start + len(line)
        if len(line) >= length and (key := form(line.decode())):
            yield hashed(key), of_host, document, start, end
        start = end + 1


def places(rows: NDArray[np.void], by_host: bool) -> NDArray[np.uint64]:
    """Return what counts as the place of each row: its document, or its host where it has one."""
    if not by_host:
        found: NDArray[np.uint64] = rows["document"]
        return found
    return np.where(rows["host"] == 0, rows["document"], rows["host"])


def common(rows: NDArray[np.void], most: int, by_host: bool) -> tuple[NDArray[np.void], dict[int, int]]:
    """Return the rows whose paragraph has more than `most` places, sorted by hash.

    The second result has for each number of `GRID` the bytes, about, that it would cut: a mean of the lengths
    for each place too many.
    """
    place = places(rows, by_host)
    order = np.lexsort((place, rows["hash"]))
    rows, place = rows[order], place[order]
    starts = np.flatnonzero(np.diff(rows["hash"], prepend=~rows["hash"][:1]))
    number = np.diff(np.append(starts, rows.size))
    is_place = np.diff(place, prepend=~place[:1]) != 0
    is_place[starts] = True
    count = np.add.reduceat(is_place.astype(np.int64), starts) if starts.size else starts
    sizes = rows["end"].astype(np.int64) - rows["start"]
    mean = np.add.reduceat(sizes, starts) / count if starts.size else starts
    cut = {limit: int((np.maximum(count - limit, 0) * mean).sum()) for limit in GRID}
    return rows[np.repeat(count > most, number)], cut


def copied(rows: NDArray[np.void], rank: NDArray[np.int64], most: int, by_host: bool) -> NDArray[np.void]:
    """Return the paragraphs of all but the first `most` places as COPIED; their kept place is the first.

    `rank` is the place of each row's document in the order of preference. What stands twice at one place
    counts once.
    """
    order = np.lexsort((rows["start"], rank, rows["hash"]))
    rows = rows[order]
    place = places(rows, by_host)
    start = np.flatnonzero(np.diff(rows["hash"], prepend=~rows["hash"][:1]))
    bucket = np.repeat(np.arange(start.size), np.diff(np.append(start, rows.size)))
    # Rows by place within each bucket; the first of each place, in the order of preference, gives its turn.
    by_place = np.lexsort((place, bucket))
    is_first = np.ones(rows.size, dtype=bool)
    is_first[1:] = (np.diff(bucket[by_place]) != 0) | (np.diff(place[by_place]) != 0)
    firsts = by_place[is_first]
    in_order = np.sort(firsts)
    turn = np.searchsorted(in_order, firsts) - np.searchsorted(in_order, start)[bucket[firsts]]
    is_cut = np.empty(rows.size, dtype=bool)
    is_cut[by_place] = np.repeat(turn >= most, np.diff(np.append(np.flatnonzero(is_first), rows.size)))
    own, kept = rows[is_cut], rows[start[bucket[is_cut]]]
    found = np.empty(own.size, COPIED)
    for name in ("document", "start", "end"):
        found[name] = own[name]
    found["kept"], found["kept_start"], found["kept_end"] = kept["document"], kept["start"], kept["end"]
    found["kind"] = PARAGRAPHS
    return found
