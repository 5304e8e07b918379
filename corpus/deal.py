"""Which surviving document goes to which shard and place: a pure function of ids, sizes and the seed."""

from __future__ import annotations

from collections.abc import Sequence
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
class Deal:
    """Where each document goes: `target[i]` indexes `targets`, `place[i]` is its row there."""

    targets: tuple[Target, ...]
    target: NDArray[np.int64]
    place: NDArray[np.int64]


def is_validation(document: str, share: float) -> bool:
    """Say whether a cluster, named by its survivor's id, belongs to the validation split."""
    return xxhash.xxh3_64_intdigest(document.encode(), seed=_SPLIT_SEED) < share * 2.0**64


def deal(
    ids: Sequence[str],
    languages: Sequence[str],
    sizes: NDArray[np.int64],
    seed: int,
    validation: float,
    target_bytes: int,
) -> Deal:
    """Deal documents to shards of about `target_bytes` of text, in an order that `seed` decides.

    `ids`, `languages` and `sizes` (UTF-8 bytes) are parallel. The result does not depend on their order.
    """
    keys = np.fromiter((xxhash.xxh3_64_intdigest(i.encode(), seed=seed) for i in ids), np.uint64, len(ids))
    streams = np.array(
        [
            f"{language}/{VALIDATION if is_validation(document, validation) else TRAIN}"
            for document, language in zip(ids, languages, strict=True)
        ],
        dtype=object,
    )
    targets: list[Target] = []
    target = np.zeros(len(ids), np.int64)
    place = np.zeros(len(ids), np.int64)
    for stream in sorted(set(streams)):
        rows = np.flatnonzero(streams == stream)
        rows = rows[np.lexsort((np.asarray(ids, dtype=object)[rows].astype(str), keys[rows]))]
        ends = np.cumsum(sizes[rows])
        shards = max(1, round(int(ends[-1]) / target_bytes))
        # A document belongs to the shard in which its first byte falls.
        numbers = np.minimum((ends - sizes[rows]) * shards // max(1, int(ends[-1])), shards - 1)
        language, split = stream.split("/")
        for number in np.unique(numbers):
            chosen = rows[numbers == number]
            target[chosen] = len(targets)
            place[chosen] = np.arange(chosen.size)
            targets.append(Target(language, split, int(number)))
    return Deal(tuple(targets), target, place)
