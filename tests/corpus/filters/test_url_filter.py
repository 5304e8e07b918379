"""Addresses are dropped for their host and for whole words, never for parts of either."""

from __future__ import annotations

import pytest

from corpus.config import Filter
from corpus.filters import Drop
from corpus.filters.url import check

SETTINGS = Filter(
    blocked_hosts=("Kötü.example", "spam.example.org"),
    blocked_url_words=("casino", "bedava bahis", "KİRALIK"),
)


@pytest.mark.parametrize(
    ("url", "drop"),
    [
        ("https://kötü.example/x", Drop("url.blocked_host", 2, 0)),
        ("https://xn--kt-fkaz.example", Drop("url.blocked_host", 2, 0)),
        ("http://www.KÖTÜ.example:8080/", Drop("url.blocked_host", 2, 0)),
        ("spam.example.org/page", Drop("url.blocked_host", 3, 0)),
        ("https://a.b.spam.example.org./", Drop("url.blocked_host", 3, 0)),
        ("https://notspam.example.org/", None),
        ("https://example.org/spam.example.org", None),
        ("https://site.example/online-CASINO/1", Drop("url.blocked_word", 1, 0)),
        ("https://site.example/casinolar", None),
        ("https://site.example/bedava_bahis?x=casino", Drop("url.blocked_word", 2, 0)),
        ("https://site.example/bedava/oyun/bahis", None),
        ("https://site.example/kiral%C4%B1k-ev", Drop("url.blocked_word", 1, 0)),
        ("http://[broken/casino", Drop("url.blocked_word", 1, 0)),
        ("", None),
    ],
)
def test_address(url: str, drop: Drop | None) -> None:
    assert check(url, SETTINGS) == drop


def test_nothing_is_blocked_without_lists() -> None:
    assert check("https://kötü.example/casino", Filter()) is None
