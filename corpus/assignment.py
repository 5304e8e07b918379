"""The shard and the row of each surviving document: a pure function of ids, sizes and the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

TRAIN, VALIDATION = "train", "validation"
_SPLIT_SEED = 0x5EED  # the split does not move when the order's seed does


@dataclass(frozen=True, slots=True)
class Target:
    """One shard of a group: its language, its split and its number among those of the same kind."""

    language: str
    split: str
    number: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """The place of each document: `target[i]` indexes `targets`, `place[i]` is its row there."""

    targets: tuple[Target, ...]
    target: NDArray[np.int64]
    place: NDArray[np.int64]


_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # few, so that a growing corpus seldom changes its own
_HELD_OUT = 200  # documents: their bits per byte vary by a fifth or so, their mean by a fifteenth of that


def validation_share(documents: int) -> float:
    """Return the share of a corpus of `documents` to hold out: the least that is enough to measure with."""
    return next((share for share in _SHARES if share * documents >= _HELD_OUT), _SHARES[-1])


def is_validation(document: str, share: float) -> bool:
    """Return whether a cluster, named by its survivor's id, belongs to the validation split."""
    return xxhash.xxh3_64_intdigest(document.encode(), seed=_SPLIT_SEED) < share * 2.0**64


def groups(sizes: Mapping[str, int], seed: int, most: float) -> Iterator[tuple[str, list[str]]]:
    """Yield groups of names of at most `most` bytes, with each its own name; `seed` decides what is together.

    A group is all names whose hash starts with the group's name, in binary digits; one that is too large is
    cut in two by the next digit. So a name that comes or goes changes its own group and no other.
    """
    hashes = {name: f"{xxhash.xxh3_64_intdigest(name.encode(), seed=seed):064b}" for name in sizes}
    waiting = [("", sorted(sizes, key=lambda name: hashes[name]))]
    while waiting:
        group, names = waiting.pop()
        if len(names) > 1 and len(group) < 64 and sum(sizes[name] for name in names) > most:
            ones = [name for name in names if hashes[name][len(group)] == "1"]
            waiting += [(group + "1", ones), (group + "0", names[: len(names) - len(ones)])]
        elif names:
            yield group or "all", names


def assign(
    ids: Sequence[str],
    languages: Sequence[str],
    sizes: NDArray[np.int64],
    seed: int,
    validation: float,
    target_bytes: int,
) -> Assignment:
    """Assign documents to shards of about `target_bytes` of text, in an order that `seed` decides.

    `ids`, `languages` and `sizes` (UTF-8 bytes) are parallel. The result does not depend on their order.
    """
    if not ids:
        return Assignment((), np.zeros(0, np.int64), np.zeros(0, np.int64))
    keys = np.fromiter((xxhash.xxh3_64_intdigest(i.encode(), seed=seed) for i in ids), np.uint64, len(ids))
    names, stream = np.unique(
        [
            f"{language}/{VALIDATION if is_validation(document, validation) else TRAIN}"
            for document, language in zip(ids, languages, strict=True)
        ],
        return_inverse=True,
    )
    order = np.lexsort((np.array(ids), keys, stream))
    stream, sizes = stream[order], sizes[order]
    bounds = np.searchsorted(stream, np.arange(names.size + 1))
    ends = np.cumsum(sizes)
    before = np.concatenate([[0], ends])[bounds[:-1]]  # bytes of the streams before each
    totals = ends[bounds[1:] - 1] - before
    shards = np.array([max(1, round(int(total) / target_bytes)) for total in totals])
    # A document belongs to the shard in which its first byte falls.
    first_byte = ends - sizes - before[stream]
    number = np.minimum(first_byte * shards[stream] // np.maximum(1, totals)[stream], shards[stream] - 1)
    starts = np.ones(order.size, dtype=bool)
    starts[1:] = (stream[1:] != stream[:-1]) | (number[1:] != number[:-1])
    firsts = np.flatnonzero(starts)
    shard = np.cumsum(starts) - 1
    target, place = np.empty_like(order), np.empty_like(order)
    target[order] = shard
    place[order] = np.arange(order.size) - firsts[shard]
    targets = []
    for first in firsts:
        language, split = str(names[stream[first]]).split("/")
        targets.append(Target(language, split, int(number[first])))
    return Assignment(tuple(targets), target, place)
