"""A crawl stays where it was sent."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from corpus.crawl.config import Scope
from corpus.crawl.urls.scope import Boundary

SEEDS = ("https://www.kitaplik.com.tr/", "https://blog.yazar.com.tr/a", "http://127.0.0.1:8001/")


def refusal(url: str, **settings: Any) -> str | None:
    return Boundary(SEEDS, Scope(**settings)).refusal(url, 1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://www.kitaplik.com.tr/b", None),
        ("https://kitaplik.com.tr/b", None),
        ("http://www.kitaplik.com.tr/b", None),
        ("https://blog.yazar.com.tr/b", None),
        ("https://www.blog.yazar.com.tr/b", None),
        ("https://yazar.com.tr/b", "scope.host"),
        ("https://alt.kitaplik.com.tr/b", "scope.host"),
        ("https://kitaplik.com.tr:8443/b", "scope.host"),
        ("http://127.0.0.1:8001/b", None),
        ("http://127.0.0.1:8002/b", "scope.host"),
        ("https://kitaplik.com.tr.kotu.example/b", "scope.host"),
        ("https://baska.example/?https://www.kitaplik.com.tr/", "scope.host"),
    ],
)
def test_within_the_hosts_of_the_seeds(url: str, reason: str | None) -> None:
    assert refusal(url, within="host") == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://alt.kitaplik.com.tr/b", None),
        ("https://yazar.com.tr/b", None),
        ("https://baska.com.tr/b", "scope.domain"),
        ("https://xkitaplik.com.tr/b", "scope.domain"),
        ("http://127.0.0.1:8002/b", None),
    ],
)
def test_within_the_domains_of_the_seeds(url: str, reason: str | None) -> None:
    assert refusal(url, within="domain") == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://a.com.tr/b", None),
        ("https://a.tr:8080/b", None),
        ("https://a.bel.az/b", None),
        ("https://a.str/b", "scope.tld"),
        ("https://a.example/b.tr", "scope.tld"),
    ],
)
def test_within_top_level_domains(url: str, reason: str | None) -> None:
    assert refusal(url, within="tld", tlds=("tr", ".bel.AZ")) == reason


def test_within_anything() -> None:
    assert refusal("https://a.example/b", within="any") is None


def test_so_many_links_from_a_seed_and_no_more() -> None:
    boundary = Boundary(SEEDS, Scope(depth=3))
    assert boundary.refusal("https://kitaplik.com.tr/b", 3) is None
    assert boundary.refusal("https://kitaplik.com.tr/b", 4) == "scope.depth"


def test_patterns_let_in_and_keep_out_and_keeping_out_is_stronger() -> None:
    settings = {"allow": ("/haber/", r"[?&]id=\d"), "deny": ("/haber/eski", r"\?yazdir")}
    assert refusal("https://kitaplik.com.tr/haber/1", **settings) is None
    assert refusal("https://kitaplik.com.tr/x?id=7", **settings) is None
    assert refusal("https://kitaplik.com.tr/spor", **settings) == "scope.allow"
    assert refusal("https://kitaplik.com.tr/haber/eski/1", **settings) == "scope.deny"
    assert refusal("https://kitaplik.com.tr/haber/1?yazdir", **settings) == "scope.deny"


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPEG", "rapor.pdf", "a.tar.gz", "a.min.js", "film.mp4", "a.docx"]
)
def test_what_its_name_says_is_no_page_is_left_out(name: str) -> None:
    assert refusal(f"https://kitaplik.com.tr/{name}") == "scope.media"
    assert refusal(f"https://kitaplik.com.tr/{name}?v=2") == "scope.media"


@pytest.mark.parametrize(
    "name", ["a.html", "a.php", "a.aspx", "jpg", "a.jpg/", "a.jpg.html", "ara?q=a.jpg", ""]
)
def test_what_may_be_a_page_is_let_in(name: str) -> None:
    assert refusal(f"https://kitaplik.com.tr/{name}") is None


def test_traps_are_refused() -> None:
    assert refusal("https://kitaplik.com.tr/a/b/a/b/a/b/") == "trap.repeating"


def test_a_boundary_travels() -> None:
    boundary = pickle.loads(pickle.dumps(Boundary(SEEDS, Scope(allow=("/a",), within="domain"))))
    assert boundary.refusal("https://kitaplik.com.tr/a", 1) is None
    assert boundary.refusal("https://kitaplik.com.tr/b", 1) == "scope.allow"
