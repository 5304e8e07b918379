"""Which stream the i-th sample of a run comes from, and which of that stream's samples it is.

Samples are dealt in blocks. At the end of every block each stream has had its exact share of all samples so
far, with an error below one: shares are rounded along their running sum, which carries the rounding error
into the next block. Inside a block a keyed permutation sets the order. A stream's samples are numbered in
order of appearance, so those of any prefix are 0, 1, 2 … without a gap, and a run may be cut at any sample
and continue with other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trainer.permutation import permute

BLOCK = 1024
"""Samples per block, unless a stream's share of that is less than one."""
SMALLEST = 1 / (1 << 16)
"""The smallest share above zero: one sample in a block of 65,536."""
MOST = 1 << 34
"""The number of samples that one mixture can deal."""

_UNIT = 1 << 28  # shares are multiples of 1 / _UNIT; times MOST it still fits 63 bits


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Shares of streams, ready to deal; made by `mixture`.

    `edges` (int64[streams + 1]) is the running sum of the shares in units of 2⁻²⁸; `block` is the number of
    samples per block; `key` sets the order inside blocks.
    """

    edges: NDArray[np.int64]
    block: int
    key: int

    @property
    def shares(self) -> NDArray[np.float64]:
        """Return the share of each stream, as dealt: weights over their sum, rounded to 2⁻²⁸."""
        return np.diff(self.edges) / _UNIT


def mixture(weights: Sequence[float], key: int) -> Mixture:
    """Return a mixture of streams by weights, one per stream, of any sum; a stream with weight 0 is not read.

    Raises ValueError if a weight is negative or not finite, if none is positive, and if a share is above zero
    but below `SMALLEST`.
    """
    given = np.asarray(weights, np.float64)
    if given.size == 0 or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ValueError(f"weights {list(weights)}: expected numbers of 0 or more, at least one above 0")
    shares = given / given.sum()
    small = np.flatnonzero((shares > 0) & (shares < SMALLEST))
    if small.size:
        raise ValueError(
            f"weight {given[small[0]]:g} of stream {small[0]} is {shares[small[0]]:.2g} of all: the smallest "
            f"share is 1/{round(1 / SMALLEST):,}; join it with another stream or give it weight 0"
        )
    edges = np.concatenate([[0], np.rint(np.cumsum(shares) * _UNIT).astype(np.int64)])
    units = np.diff(edges)
    block = BLOCK
    # With at least one sample per block for every stream, rounding never takes a sample back.
    while block * int(units[shares > 0].min()) < _UNIT:
        block *= 2
    return Mixture(edges, block, key)


def deal(mix: Mixture, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (stream, number) of the samples first … first + count - 1: number k is the stream's k-th.

    Costs the requested samples plus at most two blocks, wherever they are. Raises ValueError beyond `MOST`.
    """
    if first < 0 or count < 0 or first + count > MOST:
        raise ValueError(f"samples {first:,} to {first + count:,}: a mixture deals 0 to {MOST:,}")
    blocks = range(first // mix.block, -(-(first + count) // mix.block) if count else 0)
    parts = [_block(mix, number) for number in blocks]
    window = slice(first % mix.block, first % mix.block + count)
    streams = np.concatenate([np.zeros(0, np.int64), *(streams for streams, _ in parts)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in parts)])
    return streams[window], numbers[window]


def dealt(mix: Mixture, samples: int) -> NDArray[np.int64]:
    """Return the number of samples of each stream (int64[streams]) among the first `samples`."""
    start = samples - samples % mix.block
    streams, _ = deal(mix, start, samples - start)
    return np.diff(_rounded(mix, start)) + np.bincount(streams, minlength=mix.edges.size - 1)


def _rounded(mix: Mixture, samples: int) -> NDArray[np.int64]:
    """Return the running sum over streams of the samples that each has had, at the end of a block."""
    return (mix.edges * samples + _UNIT // 2) // _UNIT


@lru_cache(maxsize=4)  # steps are smaller than blocks, and read them one after another
def _block(mix: Mixture, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    before, after = _rounded(mix, number * mix.block), _rounded(mix, (number + 1) * mix.block)
    slots = after - before  # where each stream starts among the block's slots
    places = permute(np.arange(mix.block), mix.block, mix.key, number)
    streams = np.repeat(np.arange(slots.size - 1), np.diff(slots))[places]
    order = np.argsort(streams, kind="stable")
    numbers = np.empty(mix.block, np.int64)
    numbers[order] = np.arange(mix.block) + (np.diff(before) - slots[:-1])[streams[order]]
    for shared in (streams, numbers):
        shared.setflags(write=False)
    return streams, numbers
