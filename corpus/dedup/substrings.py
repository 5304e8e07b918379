"""Passages that stand twice: grams of every text by winnowing, and which place of a passage is kept.

Winnowing (Schleimer, Wilkerson and Aiken 2003) takes of each window of grams the one with the smallest hash.
Two texts that share a passage of `length` bytes share a window and so the gram that it takes: none is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

FINGERPRINT = np.dtype(
    [("hash", "<u8"), ("document", "<u8"), ("at", "<u4"), ("before", "<u2"), ("after", "<u2")]
)
"""A gram that was taken, by its hash, and the byte at which it starts.

It was taken of the passages of `length` bytes that start from `before` bytes before it to `after` before it.
"""

COPIED = np.dtype(
    [("document", "<u8"), ("start", "<u4"), ("end", "<u4"), ("kept", "<u8"), ("kept_start", "<u4")]
)
"""Bytes of a document, all in passages of `length` bytes whose kept place is in document `kept`."""

SPAN = np.dtype([("document", "<u8"), ("start", "<u4"), ("end", "<u4"), ("kept", "<u8")])
"""Bytes that are removed from a document, and the document that keeps most of them."""

LONGEST_WORD = 100
"""Bytes in which a border of words is looked for; a longer word is cut between two characters."""

_GRAM, _PASSAGE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)
"""Odd factors of the rolling hashes modulo 2⁶⁴."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Fingerprints, and the bytes of the passages that each was taken of, one after the other."""

    fingerprints: NDArray[np.void]  # FINGERPRINT
    text: NDArray[np.uint8]

    def pack(self) -> bytes:
        """Return both as bytes for `unpacked`."""
        return (
            self.fingerprints.size.to_bytes(8, "little") + self.fingerprints.tobytes() + self.text.tobytes()
        )

    @classmethod
    def unpacked(cls, blocks: Iterable[bytes]) -> Segments:
        """Return together what `pack` packed."""
        found, texts = [np.empty(0, FINGERPRINT)], [np.empty(0, np.uint8)]
        for block in blocks:
            size = int.from_bytes(block[:8], "little")
            found.append(np.frombuffer(block, FINGERPRINT, size, 8))
            texts.append(np.frombuffer(block, np.uint8, offset=8 + size * FINGERPRINT.itemsize))
        return cls(np.concatenate(found), np.concatenate(texts))

    @classmethod
    def together(cls, segments: Sequence[Segments]) -> Segments:
        """Return some segments as one."""
        return cls(
            np.concatenate([each.fingerprints for each in segments]),
            np.concatenate([each.text for each in segments]),
        )

    @classmethod
    def cut(cls, fingerprints: NDArray[np.void], texts: Texts, length: int) -> Segments:
        """Cut them out of the texts of documents; KeyError where the text of one is missing."""
        number = np.searchsorted(texts.docs, fingerprints["document"])
        starts = texts.starts[number] + fingerprints["at"] - fingerprints["before"].astype(np.int64)
        return cls(fingerprints, _gathered(texts.text, starts, sizes(fingerprints, length)))


@dataclass(frozen=True, slots=True)
class Texts:
    """The UTF-8 bytes of documents, one after the other."""

    docs: NDArray[np.uint64]  # sorted
    starts: NDArray[np.int64]  # of each document, and the end of the last
    text: NDArray[np.uint8]

    @classmethod
    def of(cls, docs: NDArray[np.uint64], texts: Iterable[str]) -> Texts:
        """Return the texts of `docs` as bytes."""
        encoded = [text.encode() for text in texts]
        starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(docs, starts, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def of_column(cls, docs: NDArray[np.uint64], column: pa.StringArray) -> Texts:
        """Return the texts of a column without a copy."""
        _, offsets, data = column.buffers()
        starts = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset).astype(np.int64)
        return cls(docs, starts, np.frombuffer(data or b"", np.uint8))


def gram_of(length: int) -> int:
    """Return the bytes of a gram: of passages of 500 bytes 200, so that a window has 301 of them."""
    return 2 * length // 5


def sizes(fingerprints: NDArray[np.void], length: int) -> NDArray[np.int64]:
    """Return how many bytes the passages of each fingerprint cover."""
    covered: NDArray[np.int64] = _passages(fingerprints) + (length - 1)
    return covered


def _passages(fingerprints: NDArray[np.void]) -> NDArray[np.int64]:
    number: NDArray[np.int64] = fingerprints["before"].astype(np.int64) - fingerprints["after"] + 1
    return number


def fingerprints(texts: Texts, length: int) -> NDArray[np.void]:
    """Return the FINGERPRINTs of texts; none of a text that is shorter than `length` bytes.

    Every passage of `length` bytes has exactly one, the same wherever it stands.
    """
    numbers, hashes, at, first, last = _winnowed(texts.text, texts.starts, length, gram_of(length))
    found = np.empty(numbers.size, FINGERPRINT)
    found["document"], found["hash"], found["at"] = texts.docs[numbers], hashes, at
    found["before"], found["after"] = at - first, at - last
    return found


def repeated(found: NDArray[np.void]) -> NDArray[np.void]:
    """Return the fingerprints whose hash stands twice or more, sorted by it."""
    found = found[np.argsort(found["hash"], kind="stable")]
    same = np.zeros(found.size + 1, dtype=bool)
    same[1:-1] = found["hash"][1:] == found["hash"][:-1]
    return found[same[1:] | same[:-1]]


def groups(found: NDArray[np.void], most: int) -> Iterator[NDArray[np.void]]:
    """Cut sorted fingerprints into groups of about `most`, no hash in two of them."""
    starts = np.flatnonzero(np.diff(found["hash"], prepend=~found["hash"][:1]))
    cuts = np.unique(starts[np.searchsorted(starts, np.arange(most, found.size, most), side="right") - 1])
    return (group for group in np.split(found, cuts) if group.size)


def copied(segments: Segments, rank: NDArray[np.int64], length: int) -> NDArray[np.void]:
    """Return which bytes stand in passages of which a better place is kept: COPIED, whole buckets of grams.

    `rank` is the place of each fingerprint's document in the order of preference; within a document the
    earlier place is kept. Passages are compared byte by byte, so that no hash decides.
    """
    found = segments.fingerprints
    ends = np.cumsum(sizes(found, length))
    order = np.lexsort((found["at"], rank, found["hash"]))
    starts = (ends - sizes(found, length))[order]
    found = found[order]
    bounds = np.append(np.flatnonzero(np.diff(found["hash"], prepend=~found["hash"][:1])), found.size)
    of, offset, number, kept, kept_offset = _first_places(
        segments.text, starts, _passages(found), bounds, length
    )
    rows = np.empty(of.size, COPIED)
    begin = found["at"].astype(np.int64) - found["before"]
    rows["document"], rows["kept"] = found["document"][of], found["document"][kept]
    rows["start"], rows["kept_start"] = begin[of] + offset, begin[kept] + kept_offset
    rows["end"] = rows["start"] + number + (length - 1)
    return rows


def spans(
    text: NDArray[np.uint8], rows: NDArray[np.void], needed: NDArray[np.void], fill: float, length: int
) -> NDArray[np.void]:
    """Return what is removed from a document, SPAN: from border to border of words, in order.

    `rows` are its own COPIED; `needed` those whose kept place it is. A gap between two spans goes with them
    where they are at least `fill` of the whole, and nothing in it is kept for others.
    """
    rows = np.sort(rows, order=["start", "end", "kept", "kept_start"])
    bounds = _united(rows["start"], rows["end"])
    bounds = _at_borders(text, bounds)
    kept_starts = np.sort(needed["kept_start"].astype(np.int64))
    kept_ends = np.sort((needed["kept_start"] + (needed["end"] - needed["start"])).astype(np.int64))
    bounds = _filled(bounds, kept_starts, kept_ends, fill)
    found = np.empty(len(bounds), SPAN)
    found["document"] = rows["document"][0]
    found["start"], found["end"] = bounds[:, 0], bounds[:, 1]
    number = rows["end"].astype(np.int64) - rows["start"] - (length - 1)
    for span in found:
        inside = (rows["start"] < span["end"]) & (rows["end"] > span["start"])
        kept, which = np.unique(rows["kept"][inside], return_inverse=True)
        span["kept"] = kept[np.argmax(np.bincount(which, number[inside]))]
    return found


def is_needed(found: NDArray[np.void], needed: NDArray[np.void]) -> bool:
    """Return whether a document keeps for others any byte outside its own spans."""
    for row in needed:
        start, end = int(row["kept_start"]), int(row["kept_start"]) + int(row["end"] - row["start"])
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


@njit(cache=True)
def _mixed(h):  # type: ignore[no-untyped-def]
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


@njit(cache=True)
def _power(factor, exponent):  # type: ignore[no-untyped-def]
    result = np.uint64(1)
    for _ in range(exponent):
        result *= factor
    return result


@njit(cache=True)
def _gram_hashes(text, start, end, gram, leaving, hashes):  # type: ignore[no-untyped-def]
    h = np.uint64(0)
    for i in range(start, start + gram):
        h = h * _GRAM + np.uint64(text[i]) + np.uint64(1)
    hashes[0] = _mixed(h)
    for i in range(start + gram, end):
        h = (h - (np.uint64(text[i - gram]) + np.uint64(1)) * leaving) * _GRAM
        h += np.uint64(text[i]) + np.uint64(1)
        hashes[i - gram - start + 1] = _mixed(h)


@njit(cache=True)
def _winnowed(text, starts, length, gram):  # type: ignore[no-untyped-def]
    window = length - gram + 1
    leaving = _power(_GRAM, gram - 1)
    longest = 0
    for number in range(starts.size - 1):
        longest = max(longest, starts[number + 1] - starts[number])
    hashes = np.empty(max(longest - gram + 1, 1), np.uint64)
    size = 1024
    out = np.empty((4, size), np.int64)
    keys = np.empty(size, np.uint64)
    count = 0
    for number in range(starts.size - 1):
        start, end = starts[number], starts[number + 1]
        if end - start < length:
            continue
        _gram_hashes(text, start, end, gram, leaving, hashes)
        best = -1
        for first in range(end - start - length + 1):
            taken = best
            if best < first:
                best = first
                for i in range(first + 1, first + window):
                    if hashes[i] <= hashes[best]:  # the last of equal ones, whatever stands before
                        best = i
            elif hashes[first + window - 1] <= hashes[best]:
                best = first + window - 1
            if best != taken:
                if count == size:
                    size *= 2
                    more = np.empty((4, size), np.int64)
                    more[:, :count] = out
                    out = more
                    more_keys = np.empty(size, np.uint64)
                    more_keys[:count] = keys
                    keys = more_keys
                out[0, count], out[1, count], out[2, count] = number, best, first
                keys[count] = hashes[best]
                count += 1
            out[3, count - 1] = first
    return out[0, :count], keys[:count], out[1, :count], out[2, :count], out[3, :count]


@njit(cache=True)
def _gathered(text, starts, lengths):  # type: ignore[no-untyped-def]
    result = np.empty(lengths.sum(), np.uint8)
    at = 0
    for i in range(starts.size):
        result[at : at + lengths[i]] = text[starts[i] : starts[i] + lengths[i]]
        at += lengths[i]
    return result


@njit(cache=True)
def _is_same(text, one, other, length):  # type: ignore[no-untyped-def]
    i = 0
    while i < length and text[one + i] == text[other + i]:
        i += 1
    return i == length


@njit(cache=True)
def _first_places(text, starts, passages, bounds, length):  # type: ignore[no-untyped-def]
    """Look every passage of a bucket up among those of the better members, in a table of open addresses."""
    leaving = _power(_PASSAGE, length - 1)
    size = 1024
    who, where, keys = np.full(size, -1, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
    room = 1024
    out = np.empty((5, room), np.int64)
    count = 0
    for bucket in range(bounds.size - 1):
        low, high = bounds[bucket], bounds[bucket + 1]
        used = 1
        while used < 2 * passages[low:high].sum():
            used *= 2
        if used > size:
            size = used
            who, where, keys = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
        who[:used] = -1
        for member in range(low, high):
            h = np.uint64(0)
            for i in range(starts[member], starts[member] + length):
                h = h * _PASSAGE + np.uint64(text[i]) + np.uint64(1)
            last_who, last_where = -1, -1
            for offset in range(passages[member]):
                at = starts[member] + offset
                if offset:
                    h = (h - (np.uint64(text[at - 1]) + np.uint64(1)) * leaving) * _PASSAGE
                    h += np.uint64(text[at + length - 1]) + np.uint64(1)
                key = _mixed(h)
                slot = np.int64(key & np.uint64(used - 1))
                other, place = -1, -1
                while who[slot] >= 0:
                    if keys[slot] == key:
                        there = starts[who[slot]] + where[slot]
                        goes_on = who[slot] == last_who and where[slot] == last_where + 1
                        if goes_on:
                            same = text[at + length - 1] == text[there + length - 1]
                        else:
                            same = _is_same(text, at, there, length)
                        if same:
                            other, place = who[slot], where[slot]
                            break
                    slot = (slot + 1) & (used - 1)
                if other < 0:
                    who[slot], where[slot], keys[slot] = member, offset, key
                elif other == last_who and place == last_where + 1:
                    out[2, count - 1] += 1
                else:
                    if count == room:
                        room *= 2
                        more = np.empty((5, room), np.int64)
                        more[:, :count] = out
                        out = more
                    out[0, count], out[1, count], out[2, count] = member, offset, 1
                    out[3, count], out[4, count] = other, place
                    count += 1
                last_who, last_where = other, place
    return out[0, :count], out[1, :count], out[2, :count], out[3, :count], out[4, :count]


@njit(cache=True)
def _united(starts, ends):  # type: ignore[no-untyped-def]
    result = np.empty((starts.size, 2), np.int64)
    count = 0
    for i in range(starts.size):
        if count and starts[i] <= result[count - 1, 1]:
            result[count - 1, 1] = max(result[count - 1, 1], ends[i])
        else:
            result[count, 0], result[count, 1] = starts[i], ends[i]
            count += 1
    return result[:count]


@njit(cache=True)
def _is_border(text, at):  # type: ignore[no-untyped-def]
    if at == 0 or at == text.size:
        return True
    before, after = text[at - 1], text[at]
    return before == 32 or 9 <= before <= 13 or after == 32 or 9 <= after <= 13


@njit(cache=True)
def _at_borders(text, bounds):  # type: ignore[no-untyped-def]
    """Move the ends of spans inwards to the nearest border of words; spans without one vanish."""
    result = np.empty_like(bounds)
    count = 0
    for i in range(len(bounds)):
        start, end = bounds[i, 0], bounds[i, 1]
        first = start
        while first < min(end, start + LONGEST_WORD) and not _is_border(text, first):
            first += 1
        if not _is_border(text, first):
            first = start
            while first < end and text[first] & 0xC0 == 0x80:
                first += 1
        last = end
        while last > max(first, end - LONGEST_WORD) and not _is_border(text, last):
            last -= 1
        if not _is_border(text, last):
            last = end
            while last > first and text[last] & 0xC0 == 0x80:
                last -= 1
        if first < last:
            result[count, 0], result[count, 1] = first, last
            count += 1
    return result[:count]


@njit(cache=True)
def _filled(bounds, kept_starts, kept_ends, fill):  # type: ignore[no-untyped-def]
    """Join spans over small gaps of which no range is kept for others."""
    result = np.empty_like(bounds)
    count, removed = 0, 0
    for i in range(len(bounds)):
        start, end = bounds[i, 0], bounds[i, 1]
        if count:
            gap = result[count - 1, 1]
            # Of as many ranges as start before its end, as many have ended by its start.
            is_free = np.searchsorted(kept_starts, start) == np.searchsorted(kept_ends, gap, side="right")
            whole = end - result[count - 1, 0]
            if is_free and removed + end - start >= fill * whole:
                result[count - 1, 1] = end
                removed += end - start
                continue
        result[count, 0], result[count, 1] = start, end
        removed = end - start
        count += 1
    return result[:count]
