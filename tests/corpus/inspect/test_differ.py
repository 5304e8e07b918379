"""Two texts are split into what is the same and what differs, without loss and without delay."""

from __future__ import annotations

import random
import time

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


def test_unlike_and_repetitive_long_texts_do_not_take_minutes() -> None:
    # difflib alone needs hours for the first pair; the bound is wide, for slow machines
    rng = random.Random(1)
    pairs = [
        ("a b " * 20_000, "b a a " * 15_000),
        (
            " ".join(rng.choices("abcdefgh", k=40_000)),
            " ".join(rng.choices("abcdefgh", k=40_000)),
        ),
    ]
    started = time.monotonic()
    for left, right in pairs:
        compare(left, right)
    assert time.monotonic() - started < 60
