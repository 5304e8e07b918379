"""True similarities of documents: hashes of their shingles, read back from texts, compared in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus import dataset
from corpus.dedup.signature import shingle_hashes
from corpus.text.view import view


@dataclass(frozen=True, slots=True)
class Shingled:
    """The distinct shingles of documents, as sorted 32-bit hashes.

    Two different shingles have one hash with probability 2⁻³²: of two texts of a thousand words one shingle
    in common too many is counted in one pair of 4,000.
    """

    docs: NDArray[np.uint64]  # numbers of documents, sorted
    ends: NDArray[np.int64]  # where in `hashes` those of each end
    hashes: NDArray[np.uint32]

    @classmethod
    def of(cls, docs: NDArray[np.uint64], texts: Iterable[str]) -> Shingled:
        """Return the shingles of texts, one for each of `docs`."""
        found = [_hashes(text) for text in texts]
        ends = np.cumsum([each.size for each in found], dtype=np.int64)
        return cls(docs, ends, np.concatenate([np.empty(0, np.uint32), *found]))


def _hashes(text: str) -> NDArray[np.uint32]:
    seen = view(text)
    return np.unique(shingle_hashes(seen.folded, seen.word_starts, seen.word_ends))


def texts_of(path: str, rows: NDArray[np.int64]) -> Iterator[str]:
    """Yield the texts of rows, sorted and distinct, of a file of documents; no other batches are read."""
    folder, _, name = path.rpartition("/")
    with dataset.open_arrow(folder, name, ["text"]) as reader:
        first = at = 0
        for number in range(reader.num_record_batches):
            if at == rows.size:
                return
            batch = reader.get_batch(number)
            end = int(np.searchsorted(rows, first + batch.num_rows))
            yield from batch.column("text").take(rows[at:end] - first).to_pylist()
            first, at = first + batch.num_rows, end


def pack(shingled: Shingled, docs: NDArray[np.uint64]) -> bytes:
    """Return the shingles of some documents as bytes for `packed_shingles`; `docs` are sorted."""
    at = np.searchsorted(shingled.docs, docs)
    starts = np.where(at > 0, shingled.ends[at - 1], 0)
    ends = shingled.ends[at]
    hashes = [shingled.hashes[start:end] for start, end in zip(starts, ends, strict=True)]
    head = np.concatenate([np.array([docs.size], np.uint64), docs, (ends - starts).astype(np.uint64)])
    return head.tobytes() + np.concatenate([np.empty(0, np.uint32), *hashes]).tobytes()


def packed_shingles(blocks: Iterable[bytes]) -> Shingled:
    """Return what `pack` packed, no document in two blocks."""
    docs, counts, hashes = [], [], []
    for block in blocks:
        size = int(np.frombuffer(block, np.uint64, 1)[0])
        docs.append(np.frombuffer(block, np.uint64, size, 8))
        counts.append(np.frombuffer(block, np.uint64, size, 8 + 8 * size))
        hashes.append((docs[-1], counts[-1], np.frombuffer(block, np.uint32, offset=8 + 16 * size)))
    # Blocks are of ranges of documents, so that to sort the blocks sorts the documents.
    hashes.sort(key=lambda each: int(each[0][0]))
    ends = np.cumsum(np.concatenate([np.empty(0, np.uint64), *(each[1] for each in hashes)]))
    return Shingled(
        np.concatenate([np.empty(0, np.uint64), *(each[0] for each in hashes)]),
        ends.astype(np.int64),
        np.concatenate([np.empty(0, np.uint32), *(each[2] for each in hashes)]),
    )


def similarities(
    left: NDArray[np.uint64], right: NDArray[np.uint64], shingled: Shingled
) -> NDArray[np.float32]:
    """Return the Jaccard similarity, float32[n], of the shingles of pairs of documents.

    Raises KeyError where the shingles of a document are missing.
    """
    at = [np.searchsorted(shingled.docs, docs) for docs in (left, right)]
    for docs, places in zip((left, right), at, strict=True):
        known = shingled.docs[np.minimum(places, shingled.docs.size - 1)]
        if not np.array_equal(known, docs):
            raise KeyError(f"shingles of document {docs[known != docs][0]} were asked for and did not come")
    found: NDArray[np.float32] = _similarities(at[0], at[1], shingled.ends, shingled.hashes)
    return found


@njit(cache=True)
def _similarities(left, right, ends, hashes):  # type: ignore[no-untyped-def]
    result = np.empty(left.size, dtype=np.float32)
    for pair in range(left.size):
        i = ends[left[pair] - 1] if left[pair] > 0 else 0
        j = ends[right[pair] - 1] if right[pair] > 0 else 0
        i_end, j_end = ends[left[pair]], ends[right[pair]]
        size = (i_end - i) + (j_end - j)
        both = 0
        while i < i_end and j < j_end:
            one, other = hashes[i], hashes[j]
            both += one == other
            i += one <= other
            j += other <= one
        # In 64 bits, so that it equals the quotient of the counts wherever that is asked for.
        result[pair] = np.float32(both / (size - both)) if size > both else np.float32(1.0)
    return result
