"""A keyed permutation of [0, n) that is computed, not stored: any place of it, or its inverse, in O(1).

A Feistel network on a grid of about √n × √n cells: a round shifts every column of the grid, or every row, by
an amount that depends only on the key and on the number of that column or row. The grid has fewer than
√n + 1 cells more than n; an index that is mapped to one of these is mapped again until it is inside
("cycle walking": Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). So nearly every
index needs one pass, whatever n is. It mixes well; it is not cryptographic.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST = 1 << 60
"""The largest n: each side of the grid fits 31 bits."""

_SMALL = 1 << 8
_CHUNK = 1 << 16  # indices that pass the network together: their arrays fit the processor's cache
_GOLDEN = 0x9E3779B97F4A7C15
_WEYL = 0x9E3779B9
_MIXING = ((np.uint32(16), np.uint32(0x7FEB352D)), (np.uint32(15), np.uint32(0x846CA68B)))


def derive(*parts: int | str) -> int:
    """Return a 64-bit key for a seed and for what the key is used for."""
    text = json.dumps(parts, ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def permute(
    index: NDArray[np.int64], n: ArrayLike, key: ArrayLike, epoch: ArrayLike = 0
) -> NDArray[np.int64]:
    """Return the place of each index in the permutation of [0, n) that a 64-bit key and an epoch define.

    `n`, `key` and `epoch` are numbers, or arrays as long as `index`. Raises ValueError for an index outside
    [0, n) and for n beyond 2⁶⁰.
    """
    return _apply(index, n, key, epoch, back=False)


def unpermute(
    place: NDArray[np.int64], n: ArrayLike, key: ArrayLike, epoch: ArrayLike = 0
) -> NDArray[np.int64]:
    """Return the index that `permute` sends to each place."""
    return _apply(place, n, key, epoch, back=True)


def _apply(
    index: NDArray[np.int64], n: ArrayLike, key: ArrayLike, epoch: ArrayLike, back: bool
) -> NDArray[np.int64]:
    sizes = np.atleast_1d(np.asarray(n, np.int64))
    index = np.ascontiguousarray(index, np.int64)
    keys = np.atleast_1d(mixed(np.asarray(key, np.uint64), np.asarray(epoch, np.int64)))
    wrong = (index.view(np.uint64) >= sizes.view(np.uint64)) | (sizes > LARGEST)  # a negative index is large
    if wrong.any():
        i = int(np.argmax(wrong))
        size = int(_part(sizes, slice(i, i + 1))[0])
        raise ValueError(f"index {index[i]:,} of a permutation of {size:,} items (at most 2^60)")
    return _walk(index, sizes, keys, back)


def _part(values: NDArray[Any], which: slice | NDArray[np.int64]) -> NDArray[Any]:
    """Return some items of an array; an array with a single value for all is returned unchanged."""
    return values if values.size == 1 else values[which]


def mixed(key: NDArray[np.uint64], number: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a key for each key and number: outputs of SplitMix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = key + np.uint64(_GOLDEN) * (number.astype(np.uint64) + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def _walk(
    index: NDArray[np.int64], sizes: NDArray[np.int64], keys: NDArray[np.uint64], back: bool
) -> NDArray[np.int64]:
    """Pass indices through the network until all are inside."""
    # A round on a small grid has few possible shifts: more rounds make all orders equally frequent.
    small = sizes < _SMALL
    if small.any() and not small.all():
        places = np.empty(index.shape, np.int64)
        for which in (np.flatnonzero(small), np.flatnonzero(~small)):
            places[which] = _walk(index[which], sizes[which], _part(keys, which), back)
        return places
    rows = np.ceil(np.sqrt(sizes)).astype(np.uint64)
    columns = (sizes.astype(np.uint64) + rows - np.uint64(1)) // rows
    pairs = 16 if small.all() else 3
    places = _pass(index, rows, columns, keys, pairs, back)
    while (outside := np.flatnonzero(places >= sizes)).size:
        sides = _part(rows, outside), _part(columns, outside)
        places[outside] = _pass(places[outside], *sides, _part(keys, outside), pairs, back)
    return places


def _pass(
    index: NDArray[np.int64],
    rows: NDArray[np.uint64],
    columns: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    pairs: int,
    back: bool,
) -> NDArray[np.int64]:
    """Pass indices through the network once: this many pairs of rounds on grids of these sides."""
    places = np.empty(index.shape, np.int64)
    wide = np.empty((2, min(_CHUNK, index.size)), "<u8")  # allocated once, and small enough for the cache
    narrow = np.empty((4, wide.shape[1]), np.uint32)
    for start in range(0, index.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        given = index[part].view(np.uint64)
        product, high = wide[:, : given.size]
        row, column, mixed, other = narrow[:, : given.size]
        across, key = _part(columns, part), _part(keys, part)
        np.floor_divide(given, across, out=high)
        row[:] = high
        np.multiply(high, across, out=high)
        np.subtract(given, high, out=column, casting="unsafe")
        turns = [
            (row, column, _part(rows, part), key.astype(np.uint32)),
            (column, row, across, (key >> np.uint64(32)).astype(np.uint32)),
        ]
        for pair in reversed(range(pairs)) if back else range(pairs):
            weyl = np.uint32(_WEYL * pair & 0xFFFFFFFF)
            for moved, by, sides, half in reversed(turns) if back else turns:
                _turn(moved, by, sides, half + weyl, back, mixed, other, product)
        np.multiply(row, across, out=high)
        np.add(high, column, out=places[part].view(np.uint64))
    return places


def _turn(
    moved: NDArray[np.uint32],
    by: NDArray[np.uint32],
    sides: NDArray[np.uint64],
    key: NDArray[np.uint32],
    back: bool,
    mixed: NDArray[np.uint32],
    other: NDArray[np.uint32],
    product: NDArray[np.uint64],
) -> None:
    """Move places along their side, in place, by a shift that depends on the number `by` of the other side.

    The mixing is "lowbias32" (Wellons, "Prospecting for hash functions", 2018), without the last step, which
    mixes the low bits: the product with `sides` reads the high ones.
    """
    side = sides.astype(np.uint32)
    np.bitwise_xor(by, key, out=mixed)
    for bits, factor in _MIXING:
        np.right_shift(mixed, bits, out=other)
        np.bitwise_xor(mixed, other, out=mixed)
        np.multiply(mixed, factor, out=mixed)
    product[:] = mixed
    np.multiply(product, sides, out=product)
    steps = product.view("<u4")[1::2]  # the upper halves
    if back:
        np.subtract(moved, steps, out=moved)
        np.add(moved, side, out=other)
    else:
        np.add(moved, steps, out=moved)
        np.subtract(moved, side, out=other)
    # Of a place and the same place minus one side, the one inside is smaller: below zero wraps around.
    np.minimum(moved, other, out=moved)
