"""Passages that stand twice: every one is found, one place is kept, spans end at words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpus.dedup import substrings
from corpus.dedup.substrings import FINGERPRINT, Segments, Texts

LENGTH = 100


def rows_of(texts: Sequence[str], length: int = LENGTH) -> NDArray[np.void]:
    """Return what stands twice in texts; the earlier ones are preferred."""
    read = Texts.of(np.arange(len(texts), dtype=np.uint64), texts)
    found = substrings.repeated(substrings.fingerprints(read, length))
    packed = [Segments.cut(found[at : at + 7], read, length).pack() for at in range(0, found.size, 7)]
    segments = Segments.unpacked(packed)
    return substrings.copied(segments, segments.fingerprints["document"].astype(np.int64), length)


def covered(texts: Sequence[str], length: int = LENGTH) -> list[set[int]]:
    """Return which bytes of each text are found to stand at a better place."""
    found: list[set[int]] = [set() for _ in texts]
    for row in rows_of(texts, length):
        found[row["document"]] |= set(range(row["start"], row["end"]))
        start, end = int(row["kept_start"]), int(row["kept_start"] + (row["end"] - row["start"]))
        copy = texts[row["document"]].encode()[row["start"] : row["end"]]
        assert copy == texts[row["kept"]].encode()[start:end]
    return found


def truly(texts: Sequence[str], length: int = LENGTH) -> list[set[int]]:
    """Return the same by looking at all passages."""
    seen: set[bytes] = set()
    found: list[set[int]] = [set() for _ in texts]
    for number, text in enumerate(texts):
        content = text.encode()
        for start in range(len(content) - length + 1):
            passage = content[start : start + length]
            if passage in seen:
                found[number] |= set(range(start, start + length))
            seen.add(passage)
    return found


# Few letters, so that passages are periodic as well; letters of two bytes, so that they end inside one.
_piece = st.text(alphabet="ab ç", min_size=0, max_size=150)


@settings(deadline=None, max_examples=60)
@given(
    shared=st.lists(st.text(alphabet="abcdefgğ ", min_size=60, max_size=160), min_size=1, max_size=3),
    plan=st.lists(st.lists(st.one_of(st.integers(0, 2), _piece), max_size=5), min_size=2, max_size=5),
)
def test_every_passage_that_stands_twice_is_found_and_no_other(
    shared: list[str], plan: list[list[int | str]]
) -> None:
    texts = [
        "".join(each if isinstance(each, str) else shared[each % len(shared)] for each in pieces)
        for pieces in plan
    ]
    assert covered(texts) == truly(texts)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), length=st.sampled_from([100, 101, 500, 777]))
def test_random_texts_that_share_a_passage_of_just_the_length_show_it(seed: int, length: int) -> None:
    random = np.random.default_rng(seed)

    def letters(number: int) -> str:
        return bytes(random.integers(97, 123, number, dtype=np.uint8)).decode()

    shared = letters(length)
    first, second = (
        letters(int(random.integers(0, 2000)))
        + f" {mark}{shared}{mark} "
        + letters(int(random.integers(0, 2000)))
        for mark in ("-", "+")
    )
    start = second.index(shared)
    assert covered([first, second], length) == [set(), set(range(start, start + length))]
    assert covered([first.replace(shared, shared[1:]), second], length) == [set(), set()]


def test_a_text_of_one_letter_keeps_one_passage() -> None:
    assert covered(["-" * 5_000], 500) == [set(range(1, 5_000))]


def test_groups_are_of_whole_hashes() -> None:
    found = np.zeros(20, FINGERPRINT)
    found["hash"] = [1] * 2 + [3] * 9 + [4] * 2 + [9] * 7
    groups = list(substrings.groups(found, 4))
    assert [set(group["hash"].tolist()) for group in groups] == [{1}, {3}, {4}, {9}]
    assert sum(group.size for group in groups) == 20
    assert not list(substrings.groups(found[:0], 4))
