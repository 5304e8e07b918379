"""One Unicode form, and nothing lost that a script needs."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text.normalize import normalize


def normalized(text: str) -> tuple[str, dict[str, int]]:
    counts: Counter[str] = Counter()
    return normalize(text, counts), dict(counts)


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", {"line-end": 3}),
        ("a\tb\xa0c\u2009d\u202fe", "a b c d e", {"space": 4}),
        ("\ufeffka\u00adlem\x00 \x1b[0m\ud83d", "kalem [0m", {"control": 5}),
        ("bitti\x85 \x96 son\x81", "bitti… – son", {"control": 3}),
        ("ke\u200blime\u200c\u200d \u200esol\u202c", "kelime sol", {"zero-width": 4}),
        ("s\u0327ey c\u0327ok I\u0307yi", "şey çok İyi", {"nfc": 1}),
    ],
)
def test_debris_goes_and_is_counted(text: str, expected: str, counts: dict[str, int]) -> None:
    assert normalized(text) == (expected, counts)


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم",  # Persian: the non-joiner inside the word
        "क्‍ष शब्द‌",  # Hindi joiners
        "👨‍👩‍👧 ❤️‍🔥 🏳️‍🌈",  # emoji held together
        "ភាសា\u200bខ្មែរ",  # Khmer words parted
        "שלום \u200eabc\u200f",  # marks of direction in Hebrew
        "日本語\u3000全角",  # the ideographic space
        "satır\n\n  girinti – “tırnak” ’",
    ],
)
def test_what_a_script_needs_stays(text: str) -> None:
    assert normalized(unicodedata.normalize("NFC", text)) == (unicodedata.normalize("NFC", text), {})


@given(st.text(alphabet=st.characters()))
def test_the_result_is_a_fixed_point_in_nfc_that_utf8_can_hold(text: str) -> None:
    once, _ = normalized(text)
    assert unicodedata.is_normalized("NFC", once)
    assert normalized(once) == (once, {})
    assert once.encode().decode() == once


def test_long_runs_of_marks_are_cut_each_thirty_and_lose_none() -> None:
    text, counts = normalized("a" + "\u0301" * 100)
    assert counts == {"marks": 3, "nfc": 1}
    assert text.count("\u034f") == 3
    assert unicodedata.normalize("NFD", text).count("\u0301") == 100
    assert normalized(text) == (text, {})


def test_thirty_marks_and_text_far_from_latin_stay_as_they_are() -> None:
    assert normalized("x" + "\u0323" * 30) == ("x" + "\u0323" * 30, {})
    assert normalized("日本語の文章です。" * 9) == ("日本語の文章です。" * 9, {})
