"""One page has one address, however it was reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.url import canonical, url_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://www.kitaplik.example/a", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a/", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a#bolum-2", "https://kitaplik.example/a"),
        ("https://KITAPLIK.example:443/a", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a?utm_source=x&utm_medium=y", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a?fbclid=1&id=7", "https://kitaplik.example/a?id=7"),
        ("https://kitaplik.example/a?b=2&a=1", "https://kitaplik.example/a?a=1&b=2"),
        ("https://kitaplik.example/şehir", "https://kitaplik.example/%C5%9Fehir"),
    ],
)
def test_spellings_of_one_address_are_one(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://kitaplik.example/a", "https://kitaplik.example/b"),
        ("https://kitaplik.example/a?id=1", "https://kitaplik.example/a?id=2"),
        ("https://kitaplik.example/A", "https://kitaplik.example/a"),
        ("https://tr.kitaplik.example/", "https://kitaplik.example/"),
    ],
)
def test_different_pages_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=80))
def test_any_string_has_a_canonical_form_that_stays(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.from_regex(r"https?://[a-z]{1,5}\.[a-z]{2,3}/[a-zA-Z0-9%/?&=#:]{0,30}", fullmatch=True))
def test_the_canonical_form_of_an_address_stays(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_no_url_has_no_hash() -> None:
    assert url_hash("") == 0
    assert url_hash("https://kitaplik.example/") != 0
