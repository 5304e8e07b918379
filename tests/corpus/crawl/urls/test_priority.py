"""Pages that seem to be in the wanted language, and shallow ones, are fetched first."""

from __future__ import annotations

import pytest

from corpus.crawl.urls.priority import priority


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("https://a.com.tr/x", ""), ("https://a.example/x", "")),
        (("https://a.example/x", "tr"), ("https://a.com.tr/x", "")),
        (("https://a.example/x", "tr-TR"), ("https://a.example/x", "")),
        (("https://a.example/x", ""), ("https://a.example/x", "en")),
        (("https://a.example/tr/x", ""), ("https://a.example/xy/x", "")),
        (("https://a.example/xy/x", ""), ("https://a.example/en/x", "")),
        (("https://a.example/x?lang=tr", ""), ("https://a.example/x?lang=en", "")),
        (("https://tr.a.example/x", ""), ("https://en.a.example/x", "")),
        (("https://a.example/%C5%9Fehir", ""), ("https://a.example/sehir", "")),
        (("https://a.example/", ""), ("https://a.example/x/y", "")),
        (("https://a.example/x", ""), ("https://a.example/x?id=1", "")),
    ],
)
def test_turkish_and_shallow_pages_come_first(first: tuple[str, str], then: tuple[str, str]) -> None:
    assert priority(*first, "tur") > priority(*then, "tur")


def test_another_language_has_its_own_marks() -> None:
    assert priority("https://a.de/x", "", "deu") > priority("https://a.com.tr/x", "", "deu")
    assert priority("https://a.example/kk/x", "kk", "kaz") > priority("https://a.example/tr/x", "tr", "kaz")
    assert priority("https://a.kz/", "", "kaz") > priority("https://a.example/", "", "kaz")


def test_without_a_language_only_the_shape_counts() -> None:
    assert priority("https://a.com.tr/x", "tr", "") == priority("https://a.example/x", "en", "")


def test_what_a_default_page_is_in_is_not_known() -> None:
    assert priority("https://a.example/x", "x-default", "tur") == priority("https://a.example/x", "", "tur")
