"""What is removed from texts that stay: from where stands elsewhere to spans, and texts without them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from corpus.dedup import passages
from corpus.dedup.removals import SUBSTRINGS

COPIED = np.dtype(
    [
        ("document", "<u8"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("kept", "<u8"),
        ("kept_start", "<u4"),
        ("kept_end", "<u4"),
        ("kind", "u1"),
    ]
)
"""Bytes of a document that stand at a better place: in document `kept`, from `kept_start` to `kept_end`.

The kind is SUBSTRINGS or PARAGRAPHS (`corpus.dedup.removals`). Both are found with one order of preference
(`Rows.ranks`), so that the best place of what is removed elsewhere stays.
"""

SPAN = np.dtype([("document", "<u8"), ("start", "<u4"), ("end", "<u4"), ("kept", "<u8"), ("kind", "u1")])
"""Bytes that are removed from a document, the document that keeps most of them, and the kind of most."""

LOST = np.dtype([("document", "<u8"), ("start", "<u4"), ("end", "<u4")])
"""Bytes of a document of an older corpus that no corpus holds which is compared with."""


def spans(
    text: NDArray[np.uint8], rows: NDArray[np.void], needed: NDArray[np.void], fill: float
) -> NDArray[np.void]:
    """Return what is removed from a document, SPAN: from border to border of words, in order.

    `rows` are its own COPIED; `needed` those whose kept place it is. A gap between two spans goes with them
    where they are at least `fill` of the whole, and nothing in it is kept for others.
    """
    rows = np.sort(rows, order=["start", "end", "kept", "kept_start"])
    bounds = _united(rows["start"].astype(np.int64), rows["end"].astype(np.int64))
    if (rows["kind"] == SUBSTRINGS).any():  # a paragraph ends where a word does
        bounds = passages.at_borders(text, bounds)
    if fill < 1:
        kept = (np.sort(needed[name].astype(np.int64)) for name in ("kept_start", "kept_end"))
        bounds = passages.filled(bounds, *kept, fill)
    found = np.empty(len(bounds), SPAN)
    found["document"] = rows["document"][0]
    found["start"], found["end"] = bounds[:, 0], bounds[:, 1]
    for span in found:
        inside = rows[(rows["start"] < span["end"]) & (rows["end"] > span["start"])]
        span["kind"] = most(inside, "kind")
        span["kept"] = most(inside[inside["kind"] == span["kind"]], "kept")
    return found


def _united(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ranges, sorted by start, as rows of starts and ends, those that touch as one."""
    ends = np.maximum.accumulate(ends)
    is_first = np.append(True, starts[1:] > ends[:-1])
    return np.stack([starts[is_first], ends[np.append(is_first[1:], True)]], axis=1)


def most(rows: NDArray[np.void], name: str) -> int:
    """Return the value of a field that rows with a `start` and an `end` have for most of their bytes."""
    values, which = np.unique(rows[name], return_inverse=True)
    return int(values[np.argmax(np.bincount(which, rows["end"].astype(np.int64) - rows["start"]))])


def is_needed(found: NDArray[np.void], needed: NDArray[np.void]) -> bool:
    """Return whether a document keeps for others any byte outside its own spans."""
    for row in needed:
        start, end = int(row["kept_start"]), int(row["kept_end"])
        for span in found:
            if span["start"] <= start < span["end"]:
                start = int(span["end"])
        if start < end:
            return True
    return False


def without(text: bytes, starts: Iterable[int], ends: Iterable[int]) -> bytes:
    """Return a text without spans, sorted: the pieces that are left, with a line end between them."""
    pieces, at = [], 0
    for start, end in zip(starts, ends, strict=True):
        pieces.append(text[at:start])
        at = end
    pieces.append(text[at:])
    return b"\n".join(piece for piece in map(bytes.strip, pieces) if piece)
