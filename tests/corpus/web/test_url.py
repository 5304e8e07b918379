"""One page has one address, however it was reached."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.url import canonical, url_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://www.kitaplik.example/a", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a/", "https://kitaplik.example/a"),
        ("https://kitaplik.example/a#bolum-2", "https://kitaplik.example/a"),
        ("https://kitaplik.example/#", "https://kitaplik.example"),
        ("https://kitaplik.example/#!", "https://kitaplik.example"),
        ("https://kitaplik.example/#/", "https://kitaplik.example"),
        ("https://kitaplik.example/#!/", "https://kitaplik.example/#!"),
        ("https://kitaplik.example/#!/a/", "http://www.kitaplik.example#!/a"),
        ("https://kitaplik.example/a/#/b", "https://kitaplik.example/a#/b"),
        ("https://kitaplik.example/#/b?utm_source=x&utm_medium=y", "https://kitaplik.example/#/b"),
        ("https://kitaplik.example/#!şehir", "https://kitaplik.example/#!%C5%9Fehir"),
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
        ("https://kitaplik.example/#!a", "https://kitaplik.example/#!b"),
        ("https://kitaplik.example/#!a", "https://kitaplik.example/"),
        ("https://kitaplik.example/#/a", "https://kitaplik.example/#/b"),
        ("https://kitaplik.example/#/a", "https://kitaplik.example/a"),
        ("https://tr.kitaplik.example/", "https://kitaplik.example/"),
    ],
)
def test_different_pages_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=80))
def test_any_string_has_a_canonical_form_that_stays(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.from_regex(r"https?://[a-z]{1,5}\.[a-z]{2,3}/[a-zA-Z0-9%/?&=#!:]{0,30}", fullmatch=True))
def test_the_canonical_form_of_an_address_stays(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


NO_ADDRESSES = ["", "N/A", "n/a", "null", "-", "http://", "https://N/A", "http://localhost/a", "about:blank"]
NO_ADDRESSES += ["http://./a", "http://.../", "//", "[", "http://[::1", "kaynak 3.2", "\ud800"]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_a_string_that_is_no_address_has_no_hash(text: str) -> None:
    assert url_hash(text) == 0


@pytest.mark.parametrize(
    "url", ["https://kitaplik.example/", "HTTP://A.B", "http://127.0.0.1/a", "http://şi.tr"]
)
def test_an_address_has_a_hash(url: str) -> None:
    assert url_hash(url) != 0


LONG = [("", "a"), ("", "../"), ("", "a/../"), ("", "%C5"), ("", "ş"), ("", "@:"), ("#!", "/a"), ("#", "!#")]
LONG += [("?", "&"), ("?", "utm_a=b&"), ("?", "utm_"), ("?", "a=b&"), ("?", "&/x"), ("?sid=", "a1")]


@pytest.mark.parametrize(("start", "piece"), LONG)
def test_the_time_for_an_address_grows_with_its_length(start: str, piece: str) -> None:
    def spent(length: int) -> float:
        url = f"https://kitaplik.example/{start}{piece * (length // len(piece))}"
        begun = time.process_time()
        url_hash(url)
        return time.process_time() - begun

    # Sixteen times the length: 256 times as long where it grows with the square.
    assert spent(800_000) < 64 * max(min(spent(50_000) for _ in range(3)), 0.002)
