"""Small files combined into groups, so that a folder of 100,000 short texts does not become 100,000 units."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

_SMALL = 64  # files below 1/64 of a unit share a group
_USUAL = 8  # the average group has 1/8 of a unit,
_MOST = 2  # and the largest 1/2
_OPENING = 4096  # the least bytes that a file counts for: opening an empty one takes time, too


def groups(names: Sequence[str], sizes: Sequence[int], unit: int) -> Iterator[range]:
    """Yield runs of consecutive files, as ranges of their indexes, for units of about `unit` bytes.

    A large file is a group of its own. A hash of a file's name decides whether a group of small ones ends
    with it: so a file that is added or removed changes its own group, rarely the next one, and no other.
    """
    start, held = 0, 0
    for index, (name, size) in enumerate(zip(names, sizes, strict=True)):
        is_small = size < unit // _SMALL
        weight = max(size, _OPENING)
        if index > start and (not is_small or held + weight > unit // _MOST):
            yield range(start, index)
            start, held = index, 0
        held += weight
        if not is_small or _ends_group(name, weight, unit // _USUAL):
            yield range(start, index + 1)
            start, held = index + 1, 0
    if start < len(names):
        yield range(start, len(names))


def _ends_group(name: str, weight: int, usual: int) -> bool:
    """Return whether a group ends with this file: by a hash of its name, on average once in `usual` bytes."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) * usual < weight << 64
