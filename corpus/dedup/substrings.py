"""Passages that stand twice: grams of every text by winnowing, and which place of a passage is kept.

Winnowing (Schleimer, Wilkerson and Aiken 2003) takes of each window of grams the one with the smallest hash.
Two texts that share a passage of `length` bytes share a window and so the gram that it takes: none is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.dedup import passages
from corpus.dedup.removals import SUBSTRINGS
from corpus.dedup.spans import COPIED

FINGERPRINT = np.dtype(
    [("hash", "<u8"), ("document", "<u8"), ("at", "<u4"), ("before", "<u2"), ("after", "<u2")]
)
"""A gram that was taken, by its hash, and the byte at which it starts.

It was taken of the passages of `length` bytes that start from `before` bytes before it to `after` before it.
"""

_NO_BYTE = 0xFF  # in no UTF-8


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
        return cls(fingerprints, passages.gathered(texts.text, starts, sizes(fingerprints, length)))


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

    def without(self, lost: NDArray[np.void]) -> Texts:
        """Return the texts with a byte that none has in place of the bytes that are LOST."""
        lost = lost[np.isin(lost["document"], self.docs)]
        if not lost.size:
            return self
        text, first = self.text.copy(), self.starts[np.searchsorted(self.docs, lost["document"])]
        for start, end in zip(first + lost["start"], first + lost["end"], strict=True):
            text[start:end] = _NO_BYTE
        return Texts(self.docs, self.starts, text)


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
    numbers, hashes, at, first, last = passages.winnowed(texts.text, texts.starts, length, gram_of(length))
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
    of, offset, number, kept, kept_offset = passages.first_places(
        segments.text, starts, _passages(found), bounds, length
    )
    rows = np.empty(of.size, COPIED)
    begin = found["at"].astype(np.int64) - found["before"]
    rows["document"], rows["kept"] = found["document"][of], found["document"][kept]
    rows["start"], rows["kept_start"] = begin[of] + offset, begin[kept] + kept_offset
    rows["end"], rows["kept_end"] = (rows[name] + number + (length - 1) for name in ("start", "kept_start"))
    rows["kind"] = SUBSTRINGS
    return rows
