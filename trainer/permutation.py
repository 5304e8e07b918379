"""A keyed permutation of [0, n) that is computed, never stored: any place of it, and back, in constant time.

A Feistel network on a grid of about √n × √n cells: a round shifts every column of the grid, or every row, by
an amount that depends on the key and on the number of that column or row alone. The grid has fewer than
√n + 1 cells more than n; an index that lands on one of these is sent through again until it lands inside
("cycle walking": Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). So nearly every
index needs one pass, whatever n is. It mixes well; it keeps no secrets.
"""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LARGEST = 1 << 60
"""The largest n: each side of the grid fits 30 bits."""

_LANES = 256  # indices that go through a round together, so that the compiler can use vector instructions
_SMALL = 1 << 16
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def derive(*parts: int | str) -> int:
    """Make a 64-bit key from a seed and from what the key is for."""
    text = json.dumps(parts, ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def permute(
    index: NDArray[np.int64], n: int, key: int, epoch: NDArray[np.int64] | int = 0
) -> NDArray[np.int64]:
    """Give the place of each index in the permutation of [0, n) that a 64-bit key and its epoch choose.

    Raises ValueError for an index outside [0, n) and for n beyond 2⁶⁰.
    """
    return _walk(index, n, key, epoch, back=False)


def unpermute(
    place: NDArray[np.int64], n: int, key: int, epoch: NDArray[np.int64] | int = 0
) -> NDArray[np.int64]:
    """Give the index that `permute` sends to each place."""
    return _walk(place, n, key, epoch, back=True)


def _walk(
    start: NDArray[np.int64], n: int, key: int, epoch: NDArray[np.int64] | int, back: bool
) -> NDArray[np.int64]:
    if n > LARGEST:
        raise ValueError(f"a permutation of {n:,} items: at most 2^60 are possible")
    if start.size and not 0 <= int(start.min()) <= int(start.max()) < n:
        raise ValueError(f"indices {start.min():,} to {start.max():,} reach outside [0, {n:,})")
    rows = math.isqrt(max(n - 1, 0)) + 1
    columns = -(-n // rows)
    # A round on a small grid draws few numbers: it takes more of them until all orders are equally frequent.
    pairs = 16 if n < _SMALL else 3
    keys = np.ascontiguousarray(np.broadcast_to(_epoch_keys(key, np.asarray(epoch, np.int64)), start.shape))
    places = np.ascontiguousarray(start, np.int64).copy()
    _pass(places, keys, np.uint32(rows), np.uint32(columns), pairs, back)
    while (outside := np.flatnonzero(places >= n)).size:
        again = places[outside]
        _pass(again, keys[outside], np.uint32(rows), np.uint32(columns), pairs, back)
        places[outside] = again
    return places


def _epoch_keys(key: int, epoch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Give the key of each epoch: outputs of SplitMix64 (Steele et al., OOPSLA 2014) from `key` on."""
    with np.errstate(over="ignore"):
        z = np.uint64(key & _MASK) + np.uint64(_GOLDEN) * (epoch.astype(np.uint64) + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


@njit(inline="always")
def _shift(number, key, sides):  # type: ignore[no-untyped-def]
    """Give by how many of `sides` cells the row or column of this number moves.

    The mixing is that of "lowbias32" (Wellons, "Prospecting for hash functions", 2018); what would mix its
    low bits is left out, because the product with `sides` reads the high ones.
    """
    z = np.uint32(number ^ key)
    z = np.uint32(np.uint32(z ^ (z >> np.uint32(16))) * np.uint32(0x7FEB352D))
    z = np.uint32(np.uint32(z ^ (z >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32((np.uint64(z) * np.uint64(sides)) >> np.uint64(32))


@njit(inline="always")
def _turn(moved, by, sides, keys, back):  # type: ignore[no-untyped-def]
    """Move each lane's `moved` along its side by what its `by` says, or back."""
    for i in range(_LANES):
        step = _shift(by[i], keys[i], sides)
        place = np.uint32(moved[i] + (np.uint32(sides - step) if back else step))
        moved[i] = min(place, np.uint32(place - sides))


@njit(cache=True)
def _pass(places, keys, rows, columns, pairs, back):  # type: ignore[no-untyped-def]
    """Send every place once through the network, in place."""
    row, column = np.zeros(_LANES, np.uint32), np.zeros(_LANES, np.uint32)
    low, high = np.zeros(_LANES, np.uint32), np.zeros(_LANES, np.uint32)
    weyl = np.uint32(0x9E3779B9)
    for start in range(0, places.size, _LANES):
        lanes = min(_LANES, places.size - start)
        for i in range(lanes):
            place, key = np.uint64(places[start + i]), keys[start + i]
            row[i] = place // np.uint64(columns)
            column[i] = place % np.uint64(columns)
            low[i], high[i] = np.uint32(key), np.uint32(key >> np.uint64(32))
        if back:
            for i in range(lanes):
                low[i] += np.uint32(weyl * np.uint32(pairs))
                high[i] += np.uint32(weyl * np.uint32(pairs))
            for _ in range(pairs):
                for i in range(lanes):
                    low[i] -= weyl
                    high[i] -= weyl
                _turn(column, row, columns, high, True)
                _turn(row, column, rows, low, True)
        else:
            for _ in range(pairs):
                _turn(row, column, rows, low, False)
                _turn(column, row, columns, high, False)
                for i in range(lanes):
                    low[i] += weyl
                    high[i] += weyl
        for i in range(lanes):
            places[start + i] = np.int64(np.uint64(row[i]) * np.uint64(columns) + np.uint64(column[i]))
