"""Two texts are split into what is the same and what differs, without loss and without delay."""

from __future__ import annotations

import random
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.inspect import differ
from corpus.inspect.differ import Piece, compare

WORDS = st.lists(st.sampled_from(["bir", "iki", "üç", "dört", "beş", "altı", "yedi"]), max_size=60)


def test_a_changed_word_is_the_only_difference() -> None:
    found = compare("Bugün hava çok güzel, değil mi?", "Bugün hava çok kötü, değil mi?")
    assert [(p.left.strip(), p.right.strip()) for p in found.differing()] == [("güzel,", "kötü,")]


def test_an_inserted_passage_stands_on_one_side() -> None:
    found = compare("bir iki üç dört beş altı", "bir iki üç yeni yepyeni dört beş altı")
    assert found.differing() == [Piece("", " yeni yepyeni", same=False)]


def test_one_or_two_equal_words_do_not_tear_a_difference_apart() -> None:
    (piece,) = compare("bir iki a b ve c üç dört", "bir iki k l ve m üç dört").differing()
    assert (piece.left.strip(), piece.right.strip()) == ("a b ve c", "k l ve m")


def test_spaces_and_line_ends_are_no_difference() -> None:
    assert compare("bir iki\nüç", "bir  iki üç").differing() == []


def test_scripts_without_spaces_differ_letter_by_letter() -> None:
    (piece,) = compare("今日は天気がいいです", "今日は天気が悪いです").differing()
    assert (piece.left, piece.right) == ("い", "悪")


@given(WORDS, WORDS)
def test_the_passages_of_a_side_are_its_text(a: list[str], b: list[str]) -> None:
    left, right = " ".join(a), "\n".join(b)
    found = compare(left, right)
    assert "".join(piece.left for piece in found.pieces) == left
    assert "".join(piece.right for piece in found.pieces) == right
    for piece in found.pieces:
        assert piece.same == (piece.left.split() == piece.right.split())


@given(st.integers(0, 1000))
def test_long_texts_with_a_few_changes_are_compared_by_anchors(seed: int) -> None:
    rng = random.Random(seed)
    words = [f"k{rng.randint(0, 300)}" for _ in range(600)]
    other = list(words)
    for at in sorted(rng.sample(range(20, 580), 4)):
        other[at] = "BAŞKA"
    found = compare(" ".join(words), " ".join(other))
    assert 1 <= len(found.differing()) <= 4
    assert sum(len(piece.right.split()) for piece in found.differing()) <= 4 + 2 * 3


def test_a_text_beyond_the_limit_is_cut_and_says_so() -> None:
    words = "kelime " * (differ.MAX_WORDS + 10)
    found = compare(words, words)
    assert found.cut
    assert found.differing() == []


def test_difflib_never_gets_more_than_a_small_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = []

    def matcher(junk: None, a: list[int], b: list[int], autojunk: bool) -> SequenceMatcher[int]:
        cells.append(len(a) * len(b))
        return SequenceMatcher(junk, a, b, autojunk=autojunk)

    monkeypatch.setattr(differ, "SequenceMatcher", matcher)
    rng = random.Random(1)
    words = [f"k{rng.randint(0, 2_000)}" for _ in range(4_000)]
    changed = [word if rng.random() < 0.8 else "x" for word in words]
    compare(" ".join(words), " ".join(changed))
    compare("a b " * 2_000, "b a a " * 1_500)
    assert cells
    assert max(cells) <= differ._SMALL
    assert sum(cells) <= 20 * differ._SMALL
