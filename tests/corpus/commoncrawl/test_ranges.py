"""Byte ranges: what is joined holds every range, and what is read at once comes in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.commoncrawl.ranges import Read, cut, in_order, joined

RANGES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 5000), st.integers(1, 400)), max_size=60
)


def test_neighbours_of_a_file_are_one_read() -> None:
    reads = joined(["a", "a", "a", "b"], [0, 10, 200, 210], [10, 10, 10, 5], gap=100, most=1000)
    assert reads == [Read("a", 0, 20, 0, 2), Read("a", 200, 10, 2, 3), Read("b", 210, 5, 3, 4)]


def test_a_gap_that_is_just_small_enough_is_read_over() -> None:
    assert len(joined(["a", "a"], [0, 110], [10, 10], gap=100, most=1000)) == 1
    assert len(joined(["a", "a"], [0, 111], [10, 10], gap=100, most=1000)) == 2


def test_a_read_stays_within_the_longest_unless_one_range_is_longer() -> None:
    reads = joined(["a"] * 3, [0, 60, 120], [60, 60, 500], gap=0, most=100)
    assert [(read.start, read.length) for read in reads] == [(0, 60), (60, 60), (120, 500)]


@given(RANGES, st.integers(0, 300), st.integers(1, 1000))
def test_every_range_lies_in_its_read_and_in_no_other(
    ranges: list[tuple[str, int, int]], gap: int, most: int
) -> None:
    ranges = sorted(ranges)
    reads = joined(*([list(column) for column in zip(*ranges, strict=True)] or [[], [], []]), gap, most)
    assert [number for read in reads for number in range(read.first, read.last)] == list(range(len(ranges)))
    for read in reads:
        held = ranges[read.first : read.last]
        assert read.length <= most or len(held) == 1
        for file, start, length in held:
            assert file == read.file
            assert read.start <= start
            assert start + length <= read.start + read.length


@given(st.integers(0, 10_000), st.integers(1, 5000), st.integers(1, 700))
def test_pieces_of_a_range_follow_each_other(start: int, length: int, most: int) -> None:
    pieces = cut(start, length, most)
    assert all(0 < size <= most for _, size in pieces)
    ends = [start, *(at + size for at, size in pieces)]
    assert [at for at, _ in pieces] == ends[:-1]
    assert ends[-1] == start + length


def test_work_is_done_side_by_side_and_handed_out_in_order() -> None:
    together = threading.Barrier(3, timeout=5)

    def work(number: int) -> int:
        together.wait()
        return number * number

    with ThreadPoolExecutor(3) as pool:
        assert list(in_order(pool, work, range(6), 3)) == [(n, n * n) for n in range(6)]


def test_no_more_is_taken_up_than_may_be_ahead_and_what_waits_is_dropped_with_the_caller() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        assert number == 0 or go_on.wait(5)

    with ThreadPoolExecutor(1) as pool:
        done = in_order(pool, work, range(100), 4)
        next(done)
        done.close()
        go_on.set()
    assert begun in ([0], [0, 1])


def test_after_a_failure_nothing_further_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ValueError("one")

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="one"):
        list(in_order(pool, work, range(100), 4))
    assert max(begun) <= 5
