"""A visit: what is asked of a server, in which order and with which pauses, and what is put off."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from answers import answer, failure

from corpus import forgotten
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, Failure, Wanted
from corpus.crawl.page import Verdict
from corpus.crawl.rows import FrontierRow, OriginRow
from corpus.crawl.rules.origin import LONG_AGO, Origin
from corpus.crawl.rules.politeness import Pace
from corpus.crawl.urls.scope import Boundary
from corpus.crawl.visit import Found, Visit
from corpus.forgotten import Request, of_url
from corpus.web.url import origin_of

A, S = "http://a.test", "https://a.test"
Reply = Answer | Failure | Callable[[str], Answer | Failure]


class Bench:
    """The tools of a visit without a network: answers by address, and a note of all that happened."""

    def __init__(self, replies: dict[str, Reply], **sections: dict[str, Any]) -> None:
        data: dict[str, dict[str, Any]] = {
            "politeness": {"delay_s": 0.0, "factor": 0.0, "backoff_s": 0.001, "retries": 1},
            "scope": {"sitemaps": False},
        }
        for name, section in sections.items():
            data[name] = {**data.get(name, {}), **section}
        self.settings = Crawl.model_validate(data, strict=False)
        self.boundary = Boundary([f"{A}/"], self.settings.scope)
        self.deadline = datetime.now(UTC) + timedelta(minutes=1)
        self.chance = random.Random(1)
        self.replies = replies
        self.paces: dict[str, Pace] = {}
        self.asked: list[str] = []
        self.times: list[tuple[str, float, float]] = []
        self.noted: list[tuple[FrontierRow, Verdict, Found]] = []
        self.remembered: dict[str, OriginRow] = {}

    def pace(self, url: str) -> Pace:
        server = origin_of(url).partition("://")[2].partition(":")[0]
        return self.paces.setdefault(server, Pace(LONG_AGO))

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        begun = asyncio.get_running_loop().time()
        self.asked.append(url)
        await asyncio.sleep(0.002)
        reply = self.replies.get(url)
        if reply is None and url.endswith("/robots.txt"):
            reply = answer(url, b"User-agent: *\nAllow: /\n")
        if callable(reply):
            reply = reply(url)
        self.times.append((url, begun, asyncio.get_running_loop().time()))
        return reply if reply is not None else answer(url, status=404)

    def note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        self.noted.append((row, verdict, found))

    def remember(self, origin: Origin) -> None:
        self.remembered[origin.name] = origin.as_row()

    def leads_back(self, url: str, target: str) -> bool:
        return target == url

    def visit(self, *urls: str) -> Bench:
        """Visit a server of which these addresses are due; what an earlier visit remembered counts."""
        now = datetime.now(UTC)
        names = sorted({origin_of(url) for url in urls})
        origins = {
            name: Origin.from_row(self.remembered[name], self.settings.politeness, now)
            if name in self.remembered
            else Origin(name)
            for name in names
        }
        rows = sorted(map(FrontierRow.of, urls), key=lambda row: row.origin)
        asyncio.run(Visit(origins, rows, self).run())
        return self

    def outcomes(self) -> dict[str, str]:
        """Return what became of each page last."""
        pages = [(row.url, verdict) for row, verdict, _ in self.noted if verdict.outcome != "asked"]
        return {url: f"{verdict.outcome} {verdict.cause}".strip() for url, verdict in pages}

    def end_round_after(self, requests: int) -> None:
        """Let the round end when so many more requests were answered."""
        get = self.get
        left = iter(range(requests))

        async def limited(url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
            if next(left, None) == requests - 1:
                self.deadline = LONG_AGO
            return await get(url, headers, wanted)

        self.get = limited  # type: ignore[method-assign]

    def next_round(self) -> None:
        self.deadline = datetime.now(UTC) + timedelta(minutes=1)
        del self.get


def page(url: str) -> Answer:
    return answer(url, b"<p>x")


# ---------------------------------------------------------------- origins


def test_an_origin_that_is_down_does_not_take_another_of_its_server_with_it() -> None:
    well = {f"{A}/{at}": page(f"{A}/{at}") for at in range(1, 4)}
    bench = Bench({f"{S}/robots.txt": failure(S, "connect", True), **well})
    bench.visit(*well, f"{S}/1", f"{S}/2")
    assert bench.outcomes() == {
        **dict.fromkeys(well, "kept"),
        f"{S}/1": "retry robots.unreachable",
        f"{S}/2": "retry robots.unreachable",
    }
    assert bench.asked.count(f"{S}/robots.txt") == 2


def test_pages_that_fail_on_one_origin_do_not_end_the_visit_of_another() -> None:
    down = {f"{A}/{at}": failure(f"{A}/{at}", "timeout", True) for at in range(4)}
    bench = Bench({**down, f"{S}/1": page(f"{S}/1")})
    bench.visit(*down, f"{S}/1")
    assert bench.outcomes()[f"{S}/1"] == "kept"
    assert {bench.outcomes()[url] for url in down} == {"retry timeout", "retry origin.down"}


@pytest.mark.parametrize("status", [500, 502, 504, 408, 425, 599])
def test_pages_that_answer_with_an_error_do_not_end_the_visit(status: int) -> None:
    bad = {f"{A}/{at}": answer(f"{A}/{at}", status=status) for at in range(9)}
    bench = Bench({**bad, f"{A}/good": page(f"{A}/good")}).visit(*bad, f"{A}/good")
    assert bench.outcomes() == {**dict.fromkeys(bad, "failed status"), f"{A}/good": "kept"}


def test_answers_that_break_off_do_not_end_the_visit() -> None:
    broken = {f"{A}/{at}": replace(failure(f"{A}/{at}", "reset", True), answered=True) for at in range(9)}
    bench = Bench({**broken, f"{A}/good": page(f"{A}/good")}).visit(*broken, f"{A}/good")
    assert bench.outcomes() == {**dict.fromkeys(broken, "failed reset"), f"{A}/good": "kept"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_all_the_time_is_left_and_what_was_not_asked_for_counts_no_try(
    status: int,
) -> None:
    busy = {f"{A}/{at}": answer(f"{A}/{at}", status=status) for at in range(9)}
    bench = Bench({**busy, f"{A}/good": page(f"{A}/good")}).visit(*busy, f"{A}/good")
    assert bench.outcomes() == {f"{A}/0": "retry status", f"{A}/1": "retry status"}
    assert len(bench.asked) == 2 + 2


def test_a_try_is_a_request() -> None:
    replies = iter([answer(A, status=500), page(f"{A}/2")])
    bench = Bench({f"{A}/1": page(f"{A}/1"), f"{A}/2": lambda _: next(replies)}).visit(f"{A}/1", f"{A}/2")
    tries = [(row.url[len(A) :], verdict.outcome, row.tries) for row, verdict, _ in bench.noted]
    assert tries == [
        *(("/robots.txt", "asked", 1), ("/.well-known/tdmrep.json", "asked", 1)),
        *(("/1", "kept", 1), ("/2", "retry", 1), ("/2", "kept", 2)),
    ]


def test_a_redirect_that_leads_back_is_a_failure_with_its_cause() -> None:
    bench = Bench({f"{A}/1": answer(f"{A}/1", status=302, location="/1#x")}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "failed redirect.loop"}
    assert [found.rows for _, verdict, found in bench.noted if verdict.cause == "redirect.loop"] == [[]]


def test_pages_that_lead_on_by_themselves_end_at_the_limit_of_redirects() -> None:
    bench = Bench({f"{A}/1": answer(f"{A}/1", b"<p>x", refresh="0; url=/2")}, limits={"redirects": 0})
    bench.visit(f"{A}/1")
    (found,) = [found for *_, verdict, found in bench.noted if verdict.outcome == "kept"]
    assert (found.rows, found.refused) == ([], {"redirect.many": 1})


def test_a_page_counts_one_try_when_its_server_goes_down_under_it() -> None:
    down = [f"{A}/{at}" for at in range(8)]
    bench = Bench({url: failure(url, "timeout", True) for url in down}, politeness={"retries": 3})
    bench.visit(*down)
    assert Counter(row.url for row, *_ in bench.noted if row.url in down) == Counter(down)
    assert len(bench.asked) == 2 + 4


def test_origins_of_a_server_take_turns() -> None:
    bench = Bench({}).visit(f"{A}/1", f"{A}/2", f"{S}/1", f"{S}/2")
    pages = [url for url in bench.asked if url[-1].isdigit()]
    assert pages == [f"{A}/1", f"{S}/1", f"{A}/2", f"{S}/2"]


def test_origins_of_a_server_share_the_longest_pause_that_one_asks_for() -> None:
    bench = Bench({f"{A}/robots.txt": answer(A, b"User-agent: *\nCrawl-delay: 0.1\n")})
    bench.visit(f"{A}/1", f"{S}/1")
    gaps = [after[1] - before[2] for before, after in pairwise(bench.times)]
    assert min(gaps) >= 0.09


def test_an_origin_that_cannot_be_spoken_to_is_settled_by_one_request() -> None:
    bench = Bench({f"{A}/robots.txt": failure(A, "dns", False)})
    bench.visit(f"{A}/1", f"{A}/2")
    assert bench.outcomes() == {f"{A}/1": "failed dns", f"{A}/2": "failed dns"}
    assert bench.asked == [f"{A}/robots.txt"]


# ---------------------------------------------------------------- robots.txt


@pytest.mark.parametrize("status", [500, 501, 503, 520, 522, 530, 599, 429])
def test_a_robots_txt_that_fails_leaves_the_site_alone_and_puts_it_off(status: int) -> None:
    bench = Bench({f"{A}/robots.txt": answer(A, status=status)}).visit(f"{A}/1")
    assert set(bench.asked) == {f"{A}/robots.txt"}
    assert bench.outcomes() == {f"{A}/1": "retry robots.unreachable"}


def broken_off(body: bytes) -> Answer:
    return replace(answer(f"{A}/robots.txt", body), truncated="disconnect")


def test_a_robots_txt_that_breaks_off_is_asked_for_again() -> None:
    whole = answer(f"{A}/robots.txt", b"User-agent: *\nDisallow: /1\n")
    replies = iter([broken_off(b"User-agent: *\n"), whole])
    bench = Bench({f"{A}/robots.txt": lambda _: next(replies)}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "dropped robots.disallow"}


def test_a_forgotten_page_is_not_requested_whether_due_or_linked() -> None:
    gone = forgotten.forgotten([Request(date="", reason="", keys=(of_url(f"{A}/1"), of_url(f"{A}/3")))])
    linking = answer(f"{A}/2", f'<a href="{A}/3">x</a><a href="{A}/4">y</a>'.encode())
    bench = Bench({f"{A}/2": linking})
    bench.boundary = Boundary([f"{A}/"], bench.settings.scope, gone)
    bench.visit(f"{A}/1", f"{A}/2")
    assert bench.outcomes()[f"{A}/1"] == "dropped forgotten"
    assert f"{A}/1" not in bench.asked
    (found,) = [found for row, _, found in bench.noted if row.url == f"{A}/2"]
    assert [row.url for row in found.rows] == [f"{A}/4"]
    assert found.refused == {"forgotten": 1}


def test_a_robots_txt_that_breaks_off_at_the_same_place_twice_counts() -> None:
    same = broken_off(b"User-agent: *\nDisallow: /1\n")
    bench = Bench({f"{A}/robots.txt": same, f"{A}/2": page(f"{A}/2")}).visit(f"{A}/1", f"{A}/2")
    assert bench.outcomes() == {f"{A}/1": "dropped robots.disallow", f"{A}/2": "kept"}


def test_a_robots_txt_that_breaks_off_elsewhere_each_time_leaves_the_site_alone() -> None:
    length = iter(range(9))
    bench = Bench({f"{A}/robots.txt": lambda _: broken_off(b"#" * next(length))}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "retry robots.unreachable"}


def test_a_robots_txt_that_grew_old_during_the_visit_is_asked_for_again() -> None:
    files = iter([b"User-agent: *\nAllow: /\n", b"User-agent: *\nDisallow: /\n"])
    replies: dict[str, Reply] = {f"{A}/robots.txt": lambda url: answer(url, next(files))}
    replies |= {f"{A}/{at}": page(f"{A}/{at}") for at in range(1, 4)}
    bench = Bench(replies, politeness={"robots_hours": 0.1 / 3600, "delay_s": 0.04})
    bench.visit(f"{A}/1", f"{A}/2", f"{A}/3")
    outcomes = list(bench.outcomes().values())
    assert outcomes[0] == "kept"
    assert outcomes[-1] == "dropped robots.disallow"
    assert bench.asked.count(f"{A}/robots.txt") == 2


def test_where_robots_txt_leads_to_another_server_that_one_keeps_its_pause() -> None:
    there = "http://b.test/robots.txt"
    leads = answer(A, status=301, location=there)
    bench = Bench({f"{A}/robots.txt": leads, there: answer(there, b"User-agent: *\nDisallow: /\n")})
    bench.pace(there).ready = datetime.now(UTC) + timedelta(seconds=0.15)
    bench.visit(f"{A}/1")
    (_, _, before), (_, begun, _), *_ = bench.times
    assert begun - before >= 0.12
    assert bench.outcomes() == {f"{A}/1": "dropped robots.disallow"}
    assert len(bench.asked) == 2  # what is disallowed as a whole is not asked for its reservations


def test_two_visits_never_ask_one_server_at_a_time() -> None:
    there = "http://b.test/robots.txt"
    names = [f"http://h{at}.test" for at in range(5)]
    bench = Bench({f"{name}/robots.txt": answer(name, status=301, location=there) for name in names})

    async def all_at_once() -> None:
        origins = [{name: Origin(name)} for name in names]
        await asyncio.gather(*(Visit(origin, [], bench).run() for origin in origins))

    asyncio.run(all_at_once())
    spans = [(begun, ended) for url, begun, ended in bench.times if url == there]
    assert len(spans) == 5
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_a_retry_after_that_is_no_date_ends_nothing() -> None:
    busy = answer(A, status=503, retry_after="Thu, 01 Jan 2026 12:01:30 +" + 30 * "9")
    bench = Bench({f"{A}/1": busy, f"{A}/2": page(f"{A}/2")}).visit(f"{A}/1", f"{A}/2")
    assert bench.outcomes()[f"{A}/2"] == "kept"


# ---------------------------------------------------------------- tdmrep.json

TDM = f"{A}/.well-known/tdmrep.json"
RESERVED = answer(TDM, b'[{"location": "/", "tdm-reservation": 1}]', content_type="application/json")


def test_a_reservation_that_a_round_had_no_time_to_read_is_read_in_the_next() -> None:
    bench = Bench({TDM: RESERVED})
    bench.end_round_after(1)
    bench.visit(f"{A}/1")
    assert bench.asked == [f"{A}/robots.txt"]
    bench.next_round()
    bench.visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "dropped optout.tdm"}
    assert bench.asked == [f"{A}/robots.txt", TDM]


def test_a_reservation_that_comes_late_is_waited_for() -> None:
    replies = iter([answer(TDM, status=503), RESERVED])
    bench = Bench({TDM: lambda _: next(replies)}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "dropped optout.tdm"}


def test_a_reservation_behind_a_redirect_counts() -> None:
    bench = Bench({TDM: answer(TDM, status=301, location="/tdm.json"), f"{A}/tdm.json": RESERVED})
    assert bench.visit(f"{A}/1").outcomes() == {f"{A}/1": "dropped optout.tdm"}


def test_a_server_that_never_answers_for_tdmrep_json_but_with_an_error_reserves_nothing() -> None:
    busy = iter([answer(A, status=503), page(f"{A}/1")])  # and is not held for down when it is busy then
    bench = Bench({TDM: answer(TDM, status=500), f"{A}/1": lambda _: next(busy)}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "kept"}
    assert bench.asked.count(TDM) == 2


def test_a_server_that_is_silent_about_tdmrep_json_is_put_off() -> None:
    bench = Bench({TDM: failure(TDM, "timeout", True)}).visit(f"{A}/1")
    assert bench.outcomes() == {f"{A}/1": "retry origin.down"}


# ---------------------------------------------------------------- sitemaps


def urlset(*urls: str) -> bytes:
    return f"<urlset>{''.join(f'<url><loc>{url}</loc></url>' for url in urls)}</urlset>".encode()


def index(*urls: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f"<sitemapindex>{entries}</sitemapindex>".encode()


def with_sitemaps(named: list[str], replies: dict[str, Reply], **limits: Any) -> Bench:
    text = "User-agent: *\nDisallow: /closed\n" + "".join(f"Sitemap: {url}\n" for url in named)
    robots = answer(f"{A}/robots.txt", text.encode())
    return Bench({f"{A}/robots.txt": robots, **replies}, scope={"sitemaps": True}, limits=limits)


def sitemaps_asked(bench: Bench) -> list[str]:
    return [row.url for row, verdict, _ in bench.noted if verdict.cause == "sitemap"]


def test_a_sitemap_on_another_server_is_not_asked_for() -> None:
    elsewhere = [f"http://{name}/s.xml" for name in ("b.test", "www.a.test", "a.test:81", "a.test.b.test")]
    replies: dict[str, Reply] = {f"{A}/i.xml": answer(A, index("http://b.test/t.xml", f"{A}/t.xml"))}
    bench = with_sitemaps([*elsewhere, f"{A}/i.xml"], replies).visit(f"{A}/1")
    assert {origin_of(url) for url in bench.asked} == {A}
    assert sitemaps_asked(bench) == [f"{A}/i.xml", f"{A}/sitemap.xml", f"{A}/t.xml"]


def test_a_sitemap_under_the_other_scheme_is_read_under_the_own_one() -> None:
    bench = with_sitemaps([f"{S}/s.xml"], {f"{A}/s.xml": answer(A, urlset(f"{A}/x"))}).visit(f"{A}/1")
    assert sitemaps_asked(bench) == [f"{A}/s.xml", f"{A}/sitemap.xml"]
    assert [link.url for *_, found in bench.noted for link in found.rows] == [f"{A}/x"]


def test_a_sitemap_that_moved_is_found() -> None:
    moved = answer(A, status=301, location="/wp-sitemap.xml")
    replies: dict[str, Reply] = {
        f"{A}/sitemap.xml": moved,
        f"{A}/wp-sitemap.xml": answer(A, urlset(f"{A}/x")),
    }
    bench = with_sitemaps([], replies).visit(f"{A}/1")
    assert [link.url for *_, found in bench.noted for link in found.rows] == [f"{A}/x"]


@pytest.mark.parametrize("first", [answer(A, status=503), failure(A, "timeout", True)])
def test_a_sitemap_that_fails_is_asked_again_as_a_page_would_be(first: Answer | Failure) -> None:
    replies = iter([first, answer(A, urlset(f"{A}/x"))])
    bench = with_sitemaps([], {f"{A}/sitemap.xml": lambda _: next(replies), f"{A}/1": page(f"{A}/1")})
    bench.visit(f"{A}/1")
    assert [link.url for *_, found in bench.noted for link in found.rows] == [f"{A}/x"]
    assert [row.tries for row, verdict, _ in bench.noted if verdict.cause == "sitemap"] == [1, 2]
    assert bench.outcomes() == {f"{A}/1": "kept"}


def test_a_sitemap_that_always_fails_is_given_up_as_a_page_would_be() -> None:
    replies: dict[str, Reply] = {f"{A}/s.xml": answer(A, status=500), f"{A}/1": page(f"{A}/1")}
    bench = with_sitemaps([f"{A}/s.xml"], replies).visit(f"{A}/1")
    assert sitemaps_asked(bench) == [f"{A}/s.xml", f"{A}/s.xml", f"{A}/sitemap.xml"]
    assert bench.outcomes() == {f"{A}/1": "kept"}


def test_a_disallowed_sitemap_is_not_asked_for() -> None:
    bench = with_sitemaps([f"{A}/closed/s.xml"], {}).visit(f"{A}/1")
    assert sitemaps_asked(bench) == [f"{A}/sitemap.xml"]


def test_an_index_that_names_itself_and_others_without_end_is_read_up_to_the_limit() -> None:
    numbers = iter(range(10**6))

    def endless(url: str) -> Answer:
        return answer(url, index(url, *(f"{A}/s{next(numbers)}.xml" for _ in range(100))))

    bench = with_sitemaps([], {f"{A}/sitemap.xml": endless}).visit(f"{A}/1")
    assert max(Counter(sitemaps_asked(bench)).values()) == 1
    assert len(sitemaps_asked(bench)) == 50


def test_sitemaps_give_no_more_addresses_than_the_limit() -> None:
    many = [urlset(*(f"{A}/{part}-{at}" for at in range(30))) for part in range(3)]
    names = [f"{A}/s{part}.xml" for part in range(3)]
    replies: dict[str, Reply] = {name: answer(name, body) for name, body in zip(names, many, strict=True)}
    bench = with_sitemaps(names, replies, sitemap_urls=40).visit(f"{A}/1")
    assert sum(len(found.rows) for *_, found in bench.noted) == 40
    assert sitemaps_asked(bench) == names[:2]


def test_pages_and_sitemaps_take_turns_and_a_round_goes_on_where_the_last_one_ended() -> None:
    names = [f"{A}/s{at}.xml" for at in range(6)]
    urls = [f"{A}/{at}" for at in range(6)]
    replies: dict[str, Reply] = {name: answer(name, urlset(f"{name}/x")) for name in names}
    bench = with_sitemaps(names, replies | {url: page(url) for url in urls})
    bench.end_round_after(6)
    bench.visit(*urls)
    assert bench.asked == [f"{A}/robots.txt", TDM, urls[0], names[0], urls[1], names[1]]
    bench.next_round()
    bench.visit(*urls[2:])
    assert max(Counter(bench.asked).values()) == 1
    assert set(bench.asked) == {f"{A}/robots.txt", TDM, *urls, *names, f"{A}/sitemap.xml"}


def test_a_host_has_something_due_until_its_sitemaps_are_read() -> None:
    replies: dict[str, Reply] = {f"{A}/sitemap.xml": answer(A, index(f"{A}/s1.xml", f"{A}/s2.xml"))}
    bench = with_sitemaps([], replies | {f"{A}/1": page(f"{A}/1")})
    bench.end_round_after(4)
    bench.visit(f"{A}/1")
    assert bench.outcomes() == {}
    bench.next_round()
    bench.visit(f"{A}/1")
    assert sitemaps_asked(bench) == [f"{A}/sitemap.xml", f"{A}/s1.xml", f"{A}/s2.xml"]
    assert bench.outcomes() == {f"{A}/1": "kept"}
