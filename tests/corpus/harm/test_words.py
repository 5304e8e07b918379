"""Words of a list are found with their suffixes, and not at the start or inside of other words."""

from __future__ import annotations

import pytest

from corpus.harm.suffixes import is_form
from corpus.harm.words import WordList


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("ahmak", "ahmak"), ("ahmaklar", "ahmak"), ("ahmağın", "ahmak"), ("ahmaklığından", "ahmak"),
        ("çirkefsin", "çirkef"), ("çirkeften", "çirkef"), ("çirkefti", "çirkef"),
        ("budalalarınızdan", "budala"),
        ("budalasınız", "budala"), ("budalaya", "budala"), ("budalaymış", "budala"), ("kovdular", "kov"),
        ("kovuyorlar", "kov"), ("kovacağım", "kov"), ("gölgesinde", "gölge"), ("kitabı", "kitap"),
    ],
)  # fmt: skip
def test_forms_of_a_stem(word: str, stem: str) -> None:
    assert is_form(word, stem)


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("sıkıntı", "sık"), ("amaç", "am"), ("budalaı", "budala"), ("ahmakler", "ahmak"),
        ("ahmakdan", "ahmak"),
        ("ahmağlar", "ahmak"), ("gölgeinde", "gölge"), ("kitaplık", "kit"),
        ("boğaz", "bok"), ("klasik", "sik"),
        ("kovboy", "kov"),
        ("çirkefdi", "çirkef"),
    ],
)  # fmt: skip
def test_what_sound_laws_exclude(word: str, stem: str) -> None:
    assert not is_form(word, stem)


WORDS = WordList.of(["budala  # a comment", "kaba saba", "it"], weak=["it"])


def test_one_hit_is_enough_in_a_short_text_and_two_in_a_long_one() -> None:
    assert WORDS.density("Budalalara söz anlatılmaz!") == (1 / 3, ["budala"])
    long = "Söz " * 60
    assert WORDS.density(long + "budala") == (0.0, [])
    assert WORDS.density(long + "budala BUDALALIK") == (2 / 62, ["budala", "budala"])


def test_a_weak_word_counts_beside_a_sure_one_only() -> None:
    assert WORDS.density("Köyde bir it havladı.") == (0.0, [])
    assert WORDS.density("Budala, it!")[1] == ["budala", "it"]
    assert WORDS.density("Budala " + "söz " * 11 + "it")[1] == ["budala"]


def test_phrases_are_found_with_suffixes_at_their_end() -> None:
    assert WORDS.density("Kaba sabalar geldi.")[1] == ["kaba saba"]
    assert WORDS.density("Kaba bir adam, sabadan geldi.")[1] == []
