"""The frontier: nothing known is lost or asked for twice, and every origin gets its turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.config import Limits
from corpus.crawl.urls import frontier
from corpus.schema import FETCHES, FRONTIER, ORIGINS, OUTLINKS, Kind
from corpus.web.url import key, origin_of, site_of

NONE = np.zeros(0, np.uint64)


def url(origin: int, page: int) -> str:
    return f"https://h{origin}.example{origin % 3}.org/{page}"


def table(kind: Kind, rows: list[dict[str, Any]]) -> pa.Table:
    blank: dict[str, Any] = {}
    for field in kind.schema():
        zero = {pa.string(): "", pa.binary(): b"", pa.bool_(): False, pa.list_(pa.string()): []}.get(
            field.type, 0
        )
        blank[field.name] = None if pa.types.is_timestamp(field.type) else zero
    return pa.Table.from_pylist([{**blank, **row} for row in rows], kind.schema())


def outlinks(*links: tuple[str, float]) -> pa.Table:
    rows = [{"key": key(u), "url": u, "origin": origin_of(u), "priority": p, "via": "link"} for u, p in links]
    return table(OUTLINKS, rows)


def fetches(**outcomes: str) -> pa.Table:
    return table(FETCHES, [{"key": key(u), "url": u, "outcome": o, "tries": 2} for u, o in outcomes.items()])


def urls(found: pa.Table) -> list[str]:
    return sorted(found["url"].to_pylist())


def test_seeds_come_once_and_bare() -> None:
    first = frontier.from_seeds([url(1, 1), url(1, 1), url(2, 1)])
    assert urls(first) == sorted([url(1, 1), url(2, 1)])
    assert first.schema.equals(FRONTIER.schema())
    assert set(first["via"].to_pylist()) == {"seed"}


def test_pages_of_an_earlier_crawl_are_asked_for_with_what_it_noted() -> None:
    page = {"key": key(url(1, 1)), "url": url(1, 1), "etag": '"e"', "modified": "then", "digest": "sha1:X"}
    first = frontier.from_seeds(
        [url(1, 1), url(1, 2)], table(FETCHES, [{**page, "started": 1_700_000_000_000}])
    )
    rows = {row["url"]: row for row in first.to_pylist()}
    assert rows[url(1, 1)]["etag"] == '"e"'
    assert rows[url(1, 1)]["digest"] == "sha1:X"
    assert rows[url(1, 1)]["fetched"].year == 2023
    assert rows[url(1, 2)]["etag"] == ""


def test_settled_addresses_leave_and_new_links_join() -> None:
    waiting = frontier.from_seeds([url(1, n) for n in range(6)])
    outcomes = {url(1, n): o for n, o in enumerate(["kept", "dropped", "failed", "redirect", "retry"])}
    after = frontier.following(
        waiting, fetches(**outcomes), outlinks((url(2, 1), 0.0), (url(1, 0), 0.0), (url(3, 9), 0.0)), NONE
    )
    assert urls(after) == sorted([url(1, 4), url(1, 5), url(2, 1), url(3, 9)])
    tries = dict(zip(after["url"].to_pylist(), after["tries"].to_pylist(), strict=True))
    assert tries[url(1, 4)] == 2
    assert tries[url(1, 5)] == 0


def test_what_was_settled_in_rounds_before_does_not_come_back() -> None:
    done = np.sort(np.array([key(url(5, 5))], np.uint64))
    after = frontier.following(
        frontier.from_seeds([]), fetches(), outlinks((url(5, 5), 0.0), (url(5, 6), 0.0)), done
    )
    assert urls(after) == [url(5, 6)]


def test_of_two_links_to_one_address_the_more_promising_stays() -> None:
    after = frontier.following(
        frontier.from_seeds([]),
        fetches(),
        outlinks((url(1, 1), -1.0), (url(1, 1), 2.0), (url(1, 1), 0.5)),
        NONE,
    )
    assert after["priority"].to_pylist() == [2.0]


@given(
    links=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.floats(-5, 5, width=32)), max_size=80),
    host_pages=st.integers(1, 20),
    round_pages=st.integers(1, 20),
    left=st.integers(0, 60),
    gave=st.dictionaries(st.integers(0, 9), st.integers(0, 30)),
)
@settings(deadline=None)
def test_what_is_due_keeps_to_every_budget_and_nothing_is_lost(
    links: list[tuple[int, int, float]], host_pages: int, round_pages: int, left: int, gave: dict[int, int]
) -> None:
    limits = Limits(host_pages=host_pages, host_round_pages=round_pages)
    pages = {origin_of(url(origin, 0)): number for origin, number in gave.items()}
    known = frontier.following(
        frontier.from_seeds([]), fetches(), outlinks(*((url(h, n), p) for h, n, p in links)), NONE
    )
    chosen = frontier.mark_due(known, pages, limits, left)
    assert urls(chosen) == urls(known)
    rows = chosen.to_pylist()
    due = [row for row in rows if row["due"]]
    share = {h: max(0, min(round_pages, host_pages - pages.get(h, 0))) for h in {r["origin"] for r in rows}}
    available = {h: min(share[h], sum(row["origin"] == h for row in rows)) for h in share}
    taken = {h: sum(row["origin"] == h for row in due) for h in share}
    assert len(due) == min(left, sum(available.values()))
    assert all(taken[h] <= available[h] for h in share)
    # no origin gets two more than another that could still have one
    assert all(taken[a] <= taken[b] + 1 for a in share for b in share if taken[b] < available[b])
    for origin in share:  # best first
        mine = [row for row in rows if row["origin"] == origin]
        assert [row["priority"] for row in mine] == sorted((row["priority"] for row in mine), reverse=True)
        assert [row["due"] for row in mine] == sorted((row["due"] for row in mine), reverse=True)


def test_the_choice_does_not_hang_on_the_order_of_rows() -> None:
    known = frontier.from_seeds([url(h, n) for h in range(5) for n in range(7)])
    turned = known.take(np.random.default_rng(1).permutation(len(known)))
    limits = Limits(host_round_pages=3)
    assert frontier.mark_due(known, {}, limits, 8).equals(frontier.mark_due(turned, {}, limits, 8))


@given(buckets=st.integers(1, 7))
def test_buckets_hold_everything_once_and_keep_a_domain_together(buckets: int) -> None:
    known = frontier.from_seeds([url(h, n) for h in range(12) for n in range(3)])
    dealt = frontier.by_bucket(known, buckets)
    assert len(dealt) == buckets
    assert sorted(u for bucket in dealt for u in bucket["url"].to_pylist()) == urls(known)
    places: dict[str, set[int]] = {}
    for number, bucket in enumerate(dealt):
        for origin in bucket["origin"].to_pylist():
            places.setdefault(site_of(origin), set()).add(number)
    assert all(len(found) == 1 for found in places.values())


def test_the_last_word_on_a_host_counts() -> None:
    old = table(
        ORIGINS, [{"origin": "https://a.example", "pages": 1}, {"origin": "https://b.example", "pages": 1}]
    )
    new = table(ORIGINS, [{"origin": "https://b.example", "pages": 5}])
    assert frontier.latest([old, new])["pages"].to_pylist() == [1, 5]
    assert len(frontier.latest([])) == 0
