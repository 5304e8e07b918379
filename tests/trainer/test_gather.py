"""A row is its window's tokens; what starts in it, what its targets are, is what a slow reading finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from trainer.gather import Counts, gather
from trainer.maps import SOURCE


class Memory:
    """A batch's tokens, which count up from `first`, and its documents' limits, as Arrow holds them."""

    def __init__(
        self, documents: list[int], first: int = 1, dtype: DTypeLike = np.uint16, skipped: int = 0
    ) -> None:
        self.limits = np.cumsum([skipped, *documents]).astype(np.int32)
        self.values = np.arange(first, first + sum(documents)).astype(dtype)
        self.documents = len(documents)

    def source(self, row: int, offset: int, length: int) -> tuple[int, ...]:
        return row, self.values.ctypes.data, self.limits.ctypes.data, self.documents, offset, length


def filled(
    sources: list[tuple[int, ...]],
    lengths: list[int],
    length: int,
    capacity: int,
    dtype: DTypeLike = np.uint16,
) -> tuple[Counts, NDArray[np.uint16], list[int], list[bool]]:
    """Gather into memory full of rubbish."""
    rows = len(lengths)
    tokens = np.full((rows, length + 1), 77, dtype)
    starts, ends = np.full(capacity + 1, -5, np.int32), np.ones(rows, np.bool_)
    counts = gather(np.array(sources, SOURCE), np.array(lengths, np.int32), tokens, starts, ends)
    return counts, tokens, starts.tolist(), ends.tolist()


def slow(
    documents: list[int], windows: list[tuple[int, int]], length: int
) -> tuple[Counts, list[int], list[bool]]:
    """Find starts, ends and counts of windows (start, targets) by going through them token by token."""
    heads = set(np.cumsum([0, *documents]).tolist())
    starts, ends, targets, attended, stretches = [], [], 0, 0, 0
    for row, (begin, count) in enumerate(windows):
        mine = [p for p in range(count) if p == 0 or begin + p in heads]
        starts += [row * length + p for p in mine]
        if count < length:
            starts.append(row * length + count)
        ends.append(begin + count in heads)
        targets += sum(begin + p not in heads for p in range(1, count + 1))
        stretches += len(mine)
        sizes = np.diff([*mine, count])
        attended += int((sizes * (sizes + 1) // 2).sum())
    return Counts(len(starts), targets, attended, stretches), starts, ends


def test_a_short_row_and_a_row_that_ends_before_a_document() -> None:
    memory = Memory([10, 15, 35])
    counts, tokens, starts, ends = filled(
        [memory.source(0, 2, 9), memory.source(1, 7, 7), memory.source(2, 23, 9)], [8, 6, 8], 8, 8
    )
    assert tokens.tolist() == [[*range(3, 12)], [*range(8, 15), 0, 0], [*range(24, 33)]]
    assert starts == [0, 8, 11, 14, 16, 18, 24, 24, 24]
    assert ends == [True, False, False]
    assert counts == Counts(6, 7 + 5 + 7, 36 + (6 + 6) + (3 + 21), 5)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), min_size=1, max_size=4),
    st.integers(1, 16),
    st.sampled_from([np.uint16, np.uint32]),
    st.integers(0, 3),
    st.data(),
)
def test_rows_are_windows_and_what_starts_in_them_is_found(
    batches: list[list[int]], length: int, dtype: DTypeLike, skipped: int, data: st.DataObject
) -> None:
    """Windows anywhere in a stream of several batches, some short."""
    documents = [size for batch in batches for size in batch]
    total = sum(documents)
    if total < 2:
        return
    bounds = np.cumsum([0, *map(sum, batches)]).tolist()
    memories = [Memory(b, 1 + at, dtype, skipped) for b, at in zip(batches, bounds[:-1], strict=True)]
    windows = data.draw(
        st.lists(
            st.integers(0, total - 2).flatmap(
                lambda begin: st.tuples(st.just(begin), st.integers(1, min(length, total - 1 - begin)))
            ),
            min_size=1,
            max_size=4,
        )
    )
    sources = [
        memory.source(
            row, max(begin, at) - at, min(begin + count + 1, at + len(memory.values)) - max(begin, at)
        )
        for row, (begin, count) in enumerate(windows)
        for memory, at in zip(memories, bounds[:-1], strict=True)
        if begin < at + len(memory.values) and at < begin + count + 1
    ]
    lengths = [count for _, count in windows]
    expected, starts, ends = slow(documents, windows, length)
    capacity = expected.starts + 2
    counts, tokens, found, ended = filled(sources, lengths, length, capacity, dtype)
    assert counts == expected
    assert found == [*starts, *[len(windows) * length] * (capacity + 1 - len(starts))]
    assert ended == ends
    for row, (begin, count) in enumerate(windows):
        assert tokens[row].tolist() == [*range(begin + 1, begin + count + 2), *[0] * (length - count)]


def test_documents_without_tokens_start_nothing() -> None:
    memory = Memory([3, 0, 0, 4, 0])
    counts, _, starts, ends = filled([memory.source(0, 0, 7)], [6], 6, 4)
    assert (counts.starts, counts.documents, starts, ends) == (2, 2, [0, 3, 6, 6, 6], [False])


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_starts_without_room_are_counted_and_not_written(capacity: int) -> None:
    memory = Memory([2] * 8)
    counts, _, starts, _ = filled([memory.source(0, 0, 9), memory.source(1, 4, 5)], [8, 4], 8, capacity)
    assert counts.starts == 4 + 2 + 1
    assert starts == [*[0, 2, 4][:capacity], 16]


def test_rows_may_begin_anywhere_in_a_step() -> None:
    memory = Memory([5, 5])
    counts, tokens, starts, _ = filled([memory.source(7, 0, 3), memory.source(8, 4, 3)], [2, 2], 2, 4)
    assert tokens.tolist() == [[1, 2, 3], [5, 6, 7]]
    assert starts == [0, 2, 3, 4, 4]
    assert counts.targets == 3
