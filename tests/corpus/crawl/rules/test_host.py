"""What is remembered of a host: it comes back as it was, and what is too old or unknown stays unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.config import Politeness
from corpus.crawl.rows import HostRow
from corpus.crawl.rules.host import Host
from corpus.schema import HOSTS

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = Politeness(robots_hours=24)
NAME = "https://a.example"


def again(host: Host, now: datetime = NOW) -> Host:
    """Return a host as the next round has it."""
    table = pa.Table.from_pylist([host.as_row().values()], HOSTS.schema())
    return Host.from_row(HostRow(**table.to_pylist()[0]), DAY, now)


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
    host = Host(NAME, pages=3, sitemaps_read=1, sitemap_urls=7)
    host.learn(status, body, NOW - age)
    host.learn_tdm(tdm)
    host.find_sitemaps([f"{NAME}/s.xml", *named])
    found = again(host)
    assert found.as_row() == host.as_row()
    assert found.robots is not None
    assert found.tdm is not None


def test_rules_that_are_a_day_old_are_forgotten_and_sitemaps_are_not() -> None:
    host = Host(NAME)
    host.learn(200, b"User-agent: *\nDisallow: /", NOW)
    host.learn_tdm("")
    host.find_sitemaps([f"{NAME}/s.xml"])
    later = again(host, NOW + timedelta(hours=24))
    assert later.robots is None
    assert later.tdm is None
    assert later.robots_body == b""
    assert later.sitemaps == [f"{NAME}/s.xml"]
    assert again(host, NOW + timedelta(hours=23, minutes=59)).robots is not None


def test_a_reservation_that_was_not_asked_for_stays_unknown_and_none_stays_none() -> None:
    host = Host(NAME)
    host.learn(200, b"", NOW)
    assert again(host).tdm is None
    host.learn_tdm("")
    found = again(host)
    assert found.tdm is not None
    assert not found.reserved(f"{NAME}/x")


@pytest.mark.parametrize(
    ("url", "reserved"), [(f"{NAME}/haber/1?a=b", True), (f"{NAME}/", False), (NAME, False)]
)
def test_addresses_are_reserved_by_path(url: str, reserved: bool) -> None:
    host = Host(NAME)
    host.learn_tdm('[{"location": "/haber/*", "tdm-reservation": 1}]')
    assert host.reserved(url) is reserved
