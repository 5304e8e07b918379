"""Pauses: never shorter than what is configured, what the site asks and what its answers' times suggest."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl.config import Politeness
from corpus.crawl.rules.politeness import backoff, pause
from corpus.web.retry import retry_after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Politeness(delay_s=3.0, factor=5.0, max_delay_s=30.0, max_crawl_delay_s=300.0, max_backoff_s=600.0)


@pytest.mark.parametrize(
    ("seconds", "crawl_delay", "expected"),
    [
        (0.1, 0.0, 3.0),  # the floor
        (2.0, 0.0, 10.0),  # five times the answer's time
        (60.0, 0.0, 30.0),  # its limit
        (0.1, 10.0, 10.0),  # as robots.txt asks
        (0.1, 0.5, 3.0),  # which never shortens it
        (60.0, 45.0, 45.0),  # and is not bound by the limit of slow answers
        (0.1, 86400.0, 300.0),  # but by its own
    ],
)
def test_the_pause_after_an_answer(seconds: float, crawl_delay: float, expected: float) -> None:
    assert pause(SETTINGS, seconds, crawl_delay) == expected


def test_a_maximum_below_the_floor_does_not_lower_it() -> None:
    assert pause(Politeness(delay_s=5.0, max_delay_s=1.0), 1.0, 0.0) == 5.0


@given(failures=st.integers(1, 10_000), asked=st.none() | st.floats(0, 1e9), seed=st.integers())
def test_backing_off_keeps_to_retry_after_and_to_the_limit(
    failures: int, asked: float | None, seed: int
) -> None:
    wait = backoff(SETTINGS, failures, asked, random.Random(seed))
    assert min(asked or 0.0, 600.0) <= wait <= 600.0
    assert wait >= min(SETTINGS.backoff_s * 2 ** min(failures - 1, 30), 600.0) / 2


def test_backing_off_is_jittered() -> None:
    assert len({backoff(SETTINGS, 1, None, random.Random(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("١٢", None),
        ("Thu, 99 Jan 2026", None),
        ("Thu, 01 Jan 2026 12:01:30 +" + 30 * "9", None),
        (f"Thu, 01 Jan {30 * '9'} 12:01:30 GMT", None),
        (5000 * "9", float("inf")),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, expected: float | None) -> None:
    assert retry_after(value, NOW) == expected


@given(st.text() | st.from_regex(r"Thu, \d{1,30} Jan \d{1,30} \d{1,9}:\d{1,9}:\d{1,9} ([+-]\d{1,30}|GMT)"))
def test_whatever_retry_after_says_nothing_is_raised(value: str) -> None:
    assert retry_after(value, NOW) is None or retry_after(value, NOW) >= 0.0  # type: ignore[operator]
