"""What becomes of an answer: wishes of the site come first, and no answer is beyond judging."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from answers import answer
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl import page
from corpus.crawl.config import Crawl
from corpus.crawl.rows import FrontierRow

URL = "https://a.example/x"
ROW = FrontierRow.of(URL)
SETTINGS = Crawl()


def judged(status: int = 200, body: bytes = b"<p>x", **fields: str) -> tuple[str, list[str]]:
    verdict = page.judge(answer(URL, body, status, **fields), ROW, SETTINGS)
    return f"{verdict.outcome} {verdict.cause}".strip(), [link.url for link in verdict.links]


def test_a_redirect_that_is_withheld_is_not_stored_but_followed() -> None:
    said = {"location": "/y", "x_robots_tag": "noai, nofollow"}
    assert judged(301, **said) == ("dropped optout.noai", ["https://a.example/y"])


def test_nofollow_is_about_the_links_of_a_page_and_not_about_where_it_went() -> None:
    assert judged(301, location="/y", x_robots_tag="nofollow") == ("redirect", ["https://a.example/y"])
    assert judged(body=b"<a href=/y>y</a>", x_robots_tag="nofollow") == ("kept", [])


def test_a_page_that_is_unchanged_but_withheld_now_is_not_stored_again() -> None:
    assert judged(304, b"", x_robots_tag="noindex") == ("dropped optout.noindex", [])
    same = answer(URL, b"<p>x", x_robots_tag="noai")
    assert page.judge(same, replace(ROW, digest=same.digest), SETTINGS).outcome == "dropped"


@pytest.mark.parametrize("values", [("1", "1"), ("0", "1"), ("1, 1",), ("1",)])
def test_a_reservation_said_more_than_once_counts(values: tuple[str, ...]) -> None:
    fields = tuple(("TDM-Reservation", value) for value in values)
    assert page.judge(answer(URL, b"<p>x", fields=fields), ROW, SETTINGS).cause == "optout.tdm"


def test_each_of_several_fields_counts() -> None:
    fields = (("X-Robots-Tag", "otherbot: noindex"), ("X-ROBOTS-TAG", "derlem: NoImageAI"))
    verdict = page.judge(answer(URL, b"<p>x", fields=fields), ROW, SETTINGS)
    assert (verdict.cause, verdict.optouts) == ("optout.noimageai", ("noimageai (header)",))


def test_what_tdmrep_json_reserves_is_recorded_where_it_is_not_honoured() -> None:
    free = Crawl.model_validate({"politeness": {"honour": ["noai"]}}, strict=False)
    verdict = page.judge(answer(URL, b"<p>x"), ROW, free, reserved=True)
    assert (verdict.outcome, verdict.optouts) == ("kept", ("tdm (file)",))


_fields = st.sampled_from(
    ["content-type", "location", "x-robots-tag", "tdm-reservation", "link", "content-encoding", "etag", "x"]
)
_values = st.text(max_size=60) | st.sampled_from(
    [
        "text/html",
        "text/html; charset=x",
        "text/plain",
        "1",
        "derlem: noai",
        "//[",
        "http://\ud800/",
        "a:b,c;d",
    ]
)
_bodies = st.binary(max_size=300) | st.text(max_size=100).map(
    lambda text: f'<html><base href="{text}"><meta name=robots content="{text}"><a href="{text}">'.encode(
        "utf-8", "surrogatepass"
    )
)


@settings(deadline=None)  # the first example loads what all need
@given(
    status=st.sampled_from([200, 301, 302, 304, 307, 404]),
    fields=st.lists(
        st.tuples(_fields, _values.map(lambda v: v.encode("utf-8", "replace").decode())), max_size=4
    ),
    body=_bodies,
)
def test_every_answer_is_judged_and_can_be_written_down(
    status: int, fields: list[tuple[str, str]], body: bytes
) -> None:
    verdict: Any = page.judge(answer(URL, body, status, tuple(fields)), ROW, SETTINGS)
    text = [
        verdict.detail,
        verdict.cause,
        verdict.location,
        *verdict.optouts,
        *(x.url for x in verdict.links),
    ]
    assert pa.array(text, pa.string()).to_pylist() == text
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text
    assert all(len(part) <= 8192 for part in text)


@pytest.mark.parametrize(
    ("content_type", "body", "outcome"),
    [
        ("text/html charset=utf-8", b"x", "kept"),
        ("text/html: charset=utf-8", b"x", "kept"),
        ('"text/html"', b"x", "kept"),
        ("text/htm", b"x", "kept"),
        ("html", b"<!doctype html><p>x", "kept"),
        ("html", b"x", "dropped"),
        ("image/png", b"<html>", "dropped"),
    ],
)
def test_a_malformed_type_is_settled_by_the_body(content_type: str, body: bytes, outcome: str) -> None:
    assert page.is_wanted(200, {"content-type": content_type}) is (content_type != "image/png")
    assert judged(body=body, content_type=content_type)[0].split()[0] == outcome


def test_html_that_is_called_text_is_read_for_its_links() -> None:
    body = b"<!doctype html><a href='https://a.example/b'>b</a>"
    assert judged(body=body, content_type="text/plain")[1] == ["https://a.example/b"]
