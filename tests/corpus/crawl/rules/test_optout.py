"""A site's wishes are found where it states them, and only those that are for us."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl.config import OPT_OUTS
from corpus.crawl.rules.optout import Tdm, directives, found, reservation

LATE = "unavailable_after: 25 Jun 2010 15:00:00 PST"


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        (["noindex"], {"noindex"}),
        (["NoIndex, NOFOLLOW"], {"noindex", "nofollow"}),
        (["noai, noimageai"], {"noai", "noimageai"}),
        (["none"], {"noindex", "nofollow"}),
        (["noindex", "noai"], {"noindex", "noai"}),
        (["noindex nofollow"], {"noindex", "nofollow"}),
        (["noindex;noai"], {"noindex", "noai"}),
        (["all"], set()),
        (["index, follow, max-snippet:-1"], set()),
        ([""], set()),
        ([], set()),
        (["derlem: noindex"], {"noindex"}),
        (["DERLEM:noindex"], {"noindex"}),
        (["*: noindex"], {"noindex"}),
        (["robots: noindex"], {"noindex"}),
        (["otherbot: noindex"], set()),
        (["otherbot: noindex, noai"], set()),
        (["otherbot: noindex, derlem: noai"], {"noai"}),
        (["noai, otherbot: noindex"], {"noai"}),
        (["otherbot: noindex", "noai"], {"noai"}),
        (["Mail.RU_Bot/2.0: noindex, noai"], set()),
        (["derlem-images: noindex"], set()),
        ([LATE], set()),
        ([f"{LATE}, noai"], {"noai"}),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai"], {"noai"}),
        ([f"otherbot: {LATE}, noai"], set()),
        ([f"derlem: {LATE}, noai"], {"noai"}),
        (["max-snippet: 20, max-image-preview: large, noai"], {"noai"}),
        (["noindexing, donoai"], set()),
        (["tdm"], set()),
    ],
)
def test_directives_mean_what_is_said_to_us(values: list[str], meant: set[str]) -> None:
    assert directives(values, "derlem") == meant


def test_case_does_not_count_in_our_name_either() -> None:
    assert directives(["derlem: noai"], "Derlem") == {"noai"}


@given(st.lists(st.text(max_size=40)), st.text(max_size=10))
def test_any_value_is_read(values: list[str], agent: str) -> None:
    assert directives(values, agent) <= set(OPT_OUTS)


@given(st.lists(st.sampled_from(["noindex", "noai", "nofollow", "all", "x"])))
def test_several_fields_are_as_one(names: list[str]) -> None:
    assert directives(names, "derlem") == directives([", ".join(names)], "derlem")


@pytest.mark.parametrize(
    ("value", "reserved"),
    [
        ("1", True),
        (" 1 ", True),
        (1, True),
        ("0", False),
        (0, False),
        ("2", None),
        ("", None),
        ("yes", None),
        (True, None),
        (None, None),
        (1.0, None),
        ([1], None),
    ],
)
def test_a_reservation_is_0_or_1(value: object, reserved: bool | None) -> None:
    assert reservation(value) is reserved


def test_what_was_found_says_where() -> None:
    assert found({"noai"}, {"noindex"}, {}) == {"noai": "header", "noindex": "meta"}
    assert found({"noai"}, {"noai"}, {}) == {"noai": "header"}
    assert found((), (), {"header": None, "meta": None}) == {}


@pytest.mark.parametrize(
    ("file", "header", "meta", "where"),
    [
        (True, None, None, "file"),
        (True, False, None, None),
        (True, False, True, "meta"),
        (True, True, False, None),
        (False, True, None, "header"),
        (False, None, True, "meta"),
        (None, None, None, None),
        (True, True, True, "meta"),
    ],
)
def test_of_reservations_the_nearest_to_the_page_counts(
    file: bool | None, header: bool | None, meta: bool | None, where: str | None
) -> None:
    assert found((), (), {"meta": meta, "file": file, "header": header}).get("tdm") == where


# ------------------------------------------------------------------------------------------------ tdmrep.json


def tdm(*rules: tuple[str, object]) -> Tdm:
    return Tdm.parse(json.dumps([{"location": at, "tdm-reservation": value} for at, value in rules]).encode())


def test_the_examples_of_the_report() -> None:
    everything = Tdm.parse(b'[{"location": "/", "tdm-reservation": 1}]')
    assert everything.reserved("/") is True
    assert everything.reserved("/a/b?c") is True
    parts = Tdm.parse(
        b"""[
        {"location": "/directory-a/", "tdm-reservation": 1},
        {"location": "/directory-b/html/", "tdm-reservation": 1,
         "tdm-policy": "https://provider.com/policies/policy.json"},
        {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0}
        ]"""
    )
    assert parts.reserved("/directory-a/a.pdf") is True
    assert parts.reserved("/directory-b/html/a.html") is True
    assert parts.reserved("/directory-b/images/x/a.jpg") is False
    assert parts.reserved("/directory-b/images/a.png") is None
    assert parts.reserved("/directory-a") is None


def test_the_first_location_that_matches_counts() -> None:
    assert tdm(("/a/free/", 0), ("/a/", 1)).reserved("/a/free/b") is False
    assert tdm(("/a/", 1), ("/a/free/", 0)).reserved("/a/free/b") is True


def test_locations_are_matched_as_paths_of_robots_txt() -> None:
    rules = tdm(("/exactly$", 1), ("/this/*/then", 1), ("/path/foo-%24", 1), ("/şehir", 1))
    assert rules.reserved("/exactly") is True
    assert rules.reserved("/exactly/not") is None
    assert rules.reserved("/this/and/that/then/so") is True
    assert rules.reserved("/path/foo-$") is True
    assert rules.reserved("/%C5%9Fehir/a") is True
    assert rules.reserved("/EXACTLY") is None


def test_a_value_that_is_none_says_nothing_though_it_matches() -> None:
    assert tdm(("/a", "maybe"), ("/", 1)).reserved("/a") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Not found</html>",
        b"null",
        b"[1, null, []]",
        b'{"location": 1, "tdm-reservation": 1}',
        b'[{"tdm-reservation": 1}]',
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
    ],
)
def test_what_is_no_tdmrep_file_says_nothing(body: bytes) -> None:
    assert Tdm.parse(body).reserved("/") is None


def test_one_rule_without_brackets_counts() -> None:
    assert Tdm.parse(b'{"location": "/", "tdm-reservation": "1"}').reserved("/a") is True
