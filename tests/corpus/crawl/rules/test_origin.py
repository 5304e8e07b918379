"""What is remembered of an origin: it comes back as it was, and what is too old or unknown stays unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.config import Politeness
from corpus.crawl.rows import OriginRow
from corpus.crawl.rules.origin import Origin
from corpus.schema import ORIGINS

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = Politeness(robots_hours=24)
NAME = "https://a.example"


def again(origin: Origin, now: datetime = NOW) -> Origin:
    """Return an origin as the next round has it."""
    table = pa.Table.from_pylist([origin.as_row().values()], ORIGINS.schema())
    return Origin.from_row(OriginRow(**table.to_pylist()[0]), DAY, now)


@settings(deadline=None)  # the first example loads what all need
@given(
    status=st.integers(0, 999),
    body=st.binary(max_size=200),
    tdm=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    age=st.timedeltas(timedelta(0), timedelta(hours=23)).map(
        lambda age: timedelta(milliseconds=age // timedelta(milliseconds=1))
    ),
    named=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5),
)
def test_a_host_is_remembered_from_round_to_round(
    status: int, body: bytes, tdm: str, age: timedelta, named: list[str]
) -> None:
    origin = Origin(NAME, pages=3, sitemaps_read=1, sitemap_urls=7)
    origin.learn(status, body, NOW - age)
    origin.learn_tdm(tdm)
    origin.find_sitemaps([f"{NAME}/s.xml", *named])
    found = again(origin)
    assert found.as_row() == origin.as_row()
    assert found.robots is not None
    assert found.tdm is not None


def test_rules_that_are_a_day_old_are_forgotten_and_sitemaps_are_not() -> None:
    origin = Origin(NAME)
    origin.learn(200, b"User-agent: *\nDisallow: /", NOW)
    origin.learn_tdm("")
    origin.find_sitemaps([f"{NAME}/s.xml"])
    later = again(origin, NOW + timedelta(hours=24))
    assert later.robots is None
    assert later.tdm is None
    assert later.robots_body == b""
    assert later.sitemaps == [f"{NAME}/s.xml"]
    assert again(origin, NOW + timedelta(hours=23, minutes=59)).robots is not None


def test_a_reservation_that_was_not_asked_for_stays_unknown_and_none_stays_none() -> None:
    origin = Origin(NAME)
    origin.learn(200, b"", NOW)
    assert again(origin).tdm is None
    origin.learn_tdm("")
    found = again(origin)
    assert found.tdm is not None
    assert not found.reserved(f"{NAME}/x")


@pytest.mark.parametrize(
    ("url", "reserved"), [(f"{NAME}/haber/1?a=b", True), (f"{NAME}/", False), (NAME, False)]
)
def test_addresses_are_reserved_by_path(url: str, reserved: bool) -> None:
    origin = Origin(NAME)
    origin.learn_tdm('[{"location": "/haber/*", "tdm-reservation": 1}]')
    assert origin.reserved(url) is reserved
