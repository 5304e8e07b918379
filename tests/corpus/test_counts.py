"""Counts add up, in any order of units, and say so when they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.counts import Counts
from corpus.errors import CountsError

names = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), max_size=3)
counts = st.builds(
    Counts,
    seen=st.integers(0, 99),
    kept=st.integers(0, 99),
    dropped=names,
    rejected=names,
    skipped=names,
    noted=st.dictionaries(st.sampled_from("xy"), names, max_size=2),
)


def total(parts: list[Counts]) -> Counts:
    result = Counts()
    for part in parts:
        result.add(part)
    return result


@given(st.lists(counts, max_size=5))
def test_the_sum_does_not_depend_on_the_order_of_units(parts: list[Counts]) -> None:
    assert total(parts) == total(parts[::-1])


@given(counts, counts)
def test_adding_adds_every_name(one: Counts, other: Counts) -> None:
    both = total([one, other])
    for name in "abc":
        assert both.dropped.get(name, 0) == one.dropped.get(name, 0) + other.dropped.get(name, 0)
        assert both.skipped.get(name, 0) == one.skipped.get(name, 0) + other.skipped.get(name, 0)


@given(counts)
def test_a_sum_leaves_its_parts_alone(part: Counts) -> None:
    before = part.model_copy(deep=True)
    total([part, part])
    assert part == before


@pytest.mark.parametrize(("kept", "fine"), [(2, True), (1, False), (3, False)])
def test_seen_is_kept_and_dropped_and_rejected(kept: int, fine: bool) -> None:
    found = Counts(seen=5, kept=kept, dropped={"a": 2}, rejected={"b": 1}, skipped={"c": 7})
    if fine:
        found.check("here")
    else:
        with pytest.raises(
            CountsError, match=f"here: .* 5 seen, but {kept} kept \\+ 2 dropped \\+ 1 rejected"
        ):
            found.check("here")
