"""Groups of small files hold every file once, in order, and stay when other files come or go."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from corpus.sources.grouping import groups

UNIT = 64 << 20
SMALL = UNIT // 64


def named(files: list[tuple[str, int]], unit: int = UNIT) -> list[tuple[str, ...]]:
    names, sizes = [name for name, _ in files], [size for _, size in files]
    return [tuple(names[index] for index in group) for group in groups(names, sizes, unit)]


FILES = st.lists(st.tuples(st.text(max_size=8), st.integers(0, 2 * SMALL)), max_size=60)


@given(FILES, st.sampled_from([0, 1 << 18, 1 << 22, UNIT]))
def test_every_file_is_in_one_group_in_order(files: list[tuple[str, int]], unit: int) -> None:
    found = named(files, unit)
    assert [name for group in found for name in group] == [name for name, _ in files]
    assert all(found)


@given(FILES)
def test_no_group_of_several_holds_a_large_file_or_more_than_half_a_unit(
    files: list[tuple[str, int]],
) -> None:
    names, sizes = [name for name, _ in files], [size for _, size in files]
    for group in groups(names, sizes, UNIT):
        held = [sizes[index] for index in group]
        assert len(group) == 1 or (max(held) < SMALL and sum(held) <= UNIT // 2)


def folder(number: int, seed: int = 1) -> list[tuple[str, int]]:
    draw = random.Random(seed)
    return [(f"texts/{n:06}.txt", int(draw.lognormvariate(9, 2)) % SMALL) for n in range(number)]


def test_groups_are_of_a_useful_size() -> None:
    files = folder(100_000)
    found = named(files)
    usual = sum(size for _, size in files) / (UNIT / 8)
    assert usual / 2 < len(found) < 4 * usual


def test_many_empty_files_are_many_groups() -> None:
    assert 10 < len(named([(f"{n}", 0) for n in range(100_000)])) < 1000


def test_a_file_that_comes_or_goes_changes_few_groups() -> None:
    files = folder(5000)
    before = set(named(files))
    assert len(before) > 20
    draw = random.Random(2)
    for number in [0, len(files), *(draw.randrange(len(files)) for _ in range(200))]:
        for size in (10, SMALL // 2, 2 * SMALL):
            more = [*files[:number], (f"texts/new-{number}", size), *files[number:]]
            assert len(before - set(named(more))) <= 2
        fewer = files[:number] + files[number + 1 :]
        assert len(before - set(named(fewer))) <= 3


def test_a_file_that_grows_changes_few_groups() -> None:
    files = folder(5000)
    before = set(named(files))
    for number in range(0, len(files), 50):
        name, size = files[number]
        grown = [*files[:number], (name, size + 1000), *files[number + 1 :]]
        assert len(before - set(named(grown))) <= 2
