"""Short names known by their hash: tables that compiled code looks names up in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
OFFSET, PRIME = np.uint64(_OFFSET), np.uint64(_PRIME)


def name_hash(name: bytes) -> int:
    """Return the FNV-1a hash of a name."""
    value = _OFFSET
    for byte in name:
        value = ((value ^ byte) * _PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def table(values: Mapping[bytes, int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return keys and values of an open-addressing table; a free place has the key 0."""
    size = 16
    while size < 3 * len(values):
        size *= 2
    keys, found = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    for name, value in values.items():
        key = name_hash(name)
        at = (key ^ (key >> 32)) & (size - 1)
        while keys[at] and keys[at] != key:
            at = (at + 1) & (size - 1)
        keys[at] = key
        found[at] |= np.uint64(value)
    return keys, found


@njit(cache=True)
def look_up(keys, values, key):  # type: ignore[no-untyped-def]
    """Return what a table has for a hash, 0 where it has nothing."""
    mask = np.uint64(keys.size - 1)
    at = (key ^ (key >> np.uint64(32))) & mask
    while keys[at] != np.uint64(0):
        if keys[at] == key:
            return values[at]
        at = (at + np.uint64(1)) & mask
    return np.uint64(0)
