"""MinHash signatures of word shingles, bit for bit as datasketch 2's `affine32` scheme computes them.

The scheme (datasketch 2.0, `MinHash(num_perm=112, seed=1, scheme="affine32")`): the 32-bit hash of a shingle
passes once through MurmurHash3's finalizer, then permutation k maps it to `a[k] * h + b[k]` modulo 2³² with
odd a[k]; the signature is the minimum over the shingles. The hash is XXH32 with seed 0 of the shingle's
UTF-8 bytes, so `datasketch.MinHash(..., hashfunc=xxhash.xxh32_intdigest)` continues from these values.
112 permutations, 14 bands of 8 rows and 5-word shingles are FineWeb2's numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.schema import PERMUTATIONS

BANDS = 14
ROWS = 8
SHINGLE_WORDS = 5
SEED = 1
EMPTY = np.uint32(0xFFFFFFFF)
"""Every value of the signature of a text without words, as datasketch has it."""

_PRIME1 = 2654435761
_PRIME2 = 2246822519
_PRIME3 = 3266489917
_PRIME4 = 668265263
_PRIME5 = 374761393
_MASK = 0xFFFFFFFF


def permutations(
    count: int = PERMUTATIONS, seed: int = SEED
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Draw (a, b), each uint32[count], as datasketch 2 draws them for `affine32`: all a (odd), then all b."""
    draw = np.random.RandomState(seed)
    a = draw.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = draw.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


_A, _B = permutations()


@njit(cache=True)
def _read32(data, at):  # type: ignore[no-untyped-def]
    """Return the little-endian 32-bit number at a byte offset.

    Unsigned offsets spare Python's rule for negative indices; LLVM then makes one load of the four.
    """
    return (
        np.uint32(data[np.uintp(at)])
        | (np.uint32(data[np.uintp(at + 1)]) << np.uint32(8))
        | (np.uint32(data[np.uintp(at + 2)]) << np.uint32(16))
        | (np.uint32(data[np.uintp(at + 3)]) << np.uint32(24))
    )


@njit(cache=True)
def _rotate(value, bits):  # type: ignore[no-untyped-def]
    value = np.uint32(value)
    return np.uint32((value << np.uint32(bits)) | (value >> np.uint32(32 - bits)))


@njit(cache=True)
def _round(accumulator, lane):  # type: ignore[no-untyped-def]
    return np.uint32(_rotate(accumulator + lane * np.uint32(_PRIME2), 13) * np.uint32(_PRIME1))


@njit(cache=True)
def xxh32(data, start, end):  # type: ignore[no-untyped-def]
    """Compute XXH32 with seed 0 of data[start:end] (uint8), as `xxhash.xxh32_intdigest` gives it."""
    at = start
    if end - start >= 16:
        v1 = np.uint32((_PRIME1 + _PRIME2) & _MASK)
        v2 = np.uint32(_PRIME2)
        v3 = np.uint32(0)
        v4 = np.uint32((1 << 32) - _PRIME1)
        while at + 16 <= end:
            v1 = _round(v1, _read32(data, at))
            v2 = _round(v2, _read32(data, at + 4))
            v3 = _round(v3, _read32(data, at + 8))
            v4 = _round(v4, _read32(data, at + 12))
            at += 16
        h = np.uint32(_rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18))
    else:
        h = np.uint32(_PRIME5)
    h = np.uint32(h + np.uint32(end - start))
    while at + 4 <= end:
        h = np.uint32(_rotate(h + _read32(data, at) * np.uint32(_PRIME3), 17) * np.uint32(_PRIME4))
        at += 4
    while at < end:
        byte = np.uint32(data[np.uintp(at)])
        h = np.uint32(_rotate(h + byte * np.uint32(_PRIME5), 11) * np.uint32(_PRIME1))
        at += 1
    return _avalanche(h, 15, _PRIME2, 13, _PRIME3, 16)


@njit(cache=True)
def _avalanche(h, shift1, prime1, shift2, prime2, shift3):  # type: ignore[no-untyped-def]
    h = np.uint32(h ^ (h >> np.uint32(shift1)))
    h = np.uint32(h * np.uint32(prime1))
    h = np.uint32(h ^ (h >> np.uint32(shift2)))
    h = np.uint32(h * np.uint32(prime2))
    return np.uint32(h ^ (h >> np.uint32(shift3)))


@njit(cache=True)
def _minima(hashes, a, b):  # type: ignore[no-untyped-def]
    """Return the signature of premixed shingle hashes.

    Four hashes go through all permutations at a time: the inner loop then vectorises over permutations, and
    loads and stores of a, b and the minima are paid once for four.
    """
    signature = np.full(a.size, EMPTY, dtype=np.uint32)
    whole = hashes.size // 4 * 4
    for i in range(0, whole, 4):
        h0, h1, h2, h3 = hashes[i], hashes[i + 1], hashes[i + 2], hashes[i + 3]
        for k in range(a.size):
            low = min(np.uint32(a[k] * h0 + b[k]), np.uint32(a[k] * h1 + b[k]))
            high = min(np.uint32(a[k] * h2 + b[k]), np.uint32(a[k] * h3 + b[k]))
            signature[k] = min(signature[k], min(low, high))
    for i in range(whole, hashes.size):
        for k in range(a.size):
            signature[k] = min(signature[k], np.uint32(a[k] * hashes[i] + b[k]))
    return signature


@njit(cache=True)
def _hashes(folded, word_starts, word_ends):  # type: ignore[no-untyped-def]
    size = min(word_starts.size, SHINGLE_WORDS)
    hashes = np.empty(word_starts.size - size + (size > 0), dtype=np.uint32)
    for i in range(hashes.size):
        h = xxh32(folded, word_starts[i], word_ends[i + size - 1])
        hashes[i] = _avalanche(h, 16, 0x85EBCA6B, 13, 0xC2B2AE35, 16)
    return hashes


@njit(cache=True)
def _signature(folded, word_starts, word_ends, a, b):  # type: ignore[no-untyped-def]
    if word_starts.size == 0:
        return np.full(a.size, EMPTY, dtype=np.uint32)
    return _minima(_hashes(folded, word_starts, word_ends), a, b)


def signature(
    folded: NDArray[np.uint8], word_starts: NDArray[np.integer[Any]], word_ends: NDArray[np.integer[Any]]
) -> NDArray[np.uint32]:
    """Return the MinHash signature, uint32[112], of a text's shingles of five words.

    `folded` is the UTF-8 text of the folded words joined by single spaces; word i is
    `folded[word_starts[i]:word_ends[i]]`. A text of one to four words is one shingle; a text without words
    has the signature `EMPTY` in every place and takes no part in banding. A repeated shingle changes nothing.
    """
    result: NDArray[np.uint32] = _signature(folded, word_starts, word_ends, _A, _B)
    return result


def shingle_hashes(
    folded: NDArray[np.uint8], word_starts: NDArray[np.integer[Any]], word_ends: NDArray[np.integer[Any]]
) -> NDArray[np.uint32]:
    """Return the hashes, uint32[shingles], of which `signature` keeps minima; none where there is no word."""
    result: NDArray[np.uint32] = _hashes(folded, word_starts, word_ends)
    return result


def estimate_jaccard(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Share of equal places of signatures [..., 112], which estimates the Jaccard similarity: float32[...].

    Two empty signatures are equal in every place; callers exclude texts without words.
    """
    equal = np.count_nonzero(left == right, axis=-1)
    return np.asarray(equal / left.shape[-1], dtype=np.float32)


def s_curve(jaccard: float, bands: int = BANDS, rows: int = ROWS) -> float:
    """Return the probability that two texts of Jaccard similarity J share a band: 1 - (1 - J^rows)^bands."""
    return float(1.0 - (1.0 - jaccard**rows) ** bands)
