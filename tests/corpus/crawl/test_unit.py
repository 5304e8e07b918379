"""A unit that stops in the middle goes on: nothing is fetched twice, nothing is lost, budgets still count."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import web
from answers import answer
from web import Web

from corpus import dataset, files
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.response import Truncated
from corpus.crawl.page import Verdict
from corpus.crawl.rows import FrontierRow
from corpus.crawl.rules.origin import Origin
from corpus.crawl.state import collect, journal
from corpus.crawl.unit import Progress, Task, Unit, _fetch
from corpus.crawl.urls import frontier
from corpus.crawl.urls.scope import Boundary
from corpus.crawl.visit import Found
from corpus.schema import FRONTIER, ORIGINS

WIDTH, PAGES = 3, 12
FINGERPRINT = "0123456789abcdef"


def task(folder: Path, served: Web) -> Task:
    """Return a unit that is to fetch every page of a village, as a crawl's first round would."""
    politeness = {"delay_s": 0.0, "factor": 0.0, "backoff_s": 0.01}
    data = {
        "agent": {"contact": "a@kitaplik.example"},
        "politeness": politeness,
        "scope": {"sitemaps": False, "within": "any"},
        "network": {"allow": web.ALLOW, "resolve": served.resolve},
    }
    settings = Crawl.model_validate(data, strict=False)
    seeds = [f"http://www{origin}.test/{page or ''}" for origin in range(WIDTH) for page in range(PAGES)]
    table = frontier.mark_due(frontier.from_seeds(seeds), {}, settings.limits, 1000)
    for name, kind, rows in (
        ("f.arrow", FRONTIER, table),
        ("h.arrow", ORIGINS, ORIGINS.schema().empty_table()),
    ):
        with dataset.create(str(folder), name, kind, FINGERPRINT) as slot:
            slot.arrow.write(rows.cast(kind.schema()))
    return Task(str(folder), "f.arrow", "h.arrow", settings, Boundary(seeds, settings.scope))


def work(given: Task, home: Path) -> None:
    """Do the unit, as the stage does."""
    unit = Unit(given, home, "u")
    try:
        asyncio.run(unit.crawl(lambda *_: None))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    unit.close()


def gathered(home: Path, folder: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the rows of FETCHES, and those of ORIGINS by origin."""
    made, _ = collect.gather(home, str(folder), "u", FINGERPRINT)
    tables = {file.kind: dataset.table(str(folder), file.path).to_pylist() for file in made}
    return tables["fetches"], {row["origin"]: row for row in tables["origins"]}


def settled(home: Path) -> set[str]:
    """Return the pages that a unit's journal holds."""
    fetches = (event["fetch"] for event in journal.events(home) if "fetch" in event)
    return {fetch["url"] for fetch in fetches if fetch["outcome"] == "kept"}


class StoppedError(Exception):
    """What ends a unit in these tests."""


def stop_after(events: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the journal take so many events, and no more."""
    left = iter(range(events))
    write = journal.Journal.write

    def limited(self: journal.Journal, event: dict[str, Any]) -> None:
        if next(left, None) is None:
            raise error
        write(self, event)

    monkeypatch.setattr(journal.Journal, "write", limited)


@pytest.mark.parametrize("stops", [[1], [7, 20], [3, 3, 3, 15, 20]])
def test_a_unit_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]
) -> None:
    home = tmp_path / "home"
    done: list[tuple[int, set[str]]] = []
    with Web(web.village(WIDTH, PAGES)) as served:
        given = task(tmp_path, served)
        for events in stops:
            with monkeypatch.context() as patch:
                stop_after(events, patch, StoppedError())
                with pytest.raises(StoppedError):
                    work(given, home)
            done.append((len(served.log), settled(home)))
        work(given, home)
    rows, origins = gathered(home, tmp_path)
    kept = Counter(row["url"] for row in rows if row["outcome"] == "kept")
    assert len(kept) == WIDTH * PAGES
    assert set(kept.values()) == {1}
    asked = [f"http://{entry.host}{entry.path}" for entry in served.log]
    for requests, urls in done:
        assert not urls & set(asked[requests:])
    assert {row["pages"] for row in origins.values()} == {PAGES}


def test_pages_count_though_their_visit_was_stopped_behind_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with Web(web.village(WIDTH, PAGES)) as served:
        given = task(tmp_path, served)
        work(given, tmp_path / "whole")
        events = [next(iter(event)) for event in journal.events(tmp_path / "whole")]
        assert events[-2:] == ["origin", "closed"]
        with monkeypatch.context() as patch:
            stop_after(len(events) - 2, patch, StoppedError())
            with pytest.raises(StoppedError):
                work(given, home)
        assert len(settled(home)) == WIDTH * PAGES  # nothing is left, but an origin was not noted
        work(given, home)
    _, origins = gathered(home, tmp_path)
    assert {row["pages"] for row in origins.values()} == {PAGES}


def test_after_a_power_failure_only_what_the_disk_lost_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with Web(web.village(WIDTH, PAGES)) as served:
        given = task(tmp_path, served)
        with monkeypatch.context() as patch:
            stop_after(30, patch, StoppedError())
            with pytest.raises(StoppedError):
                work(given, home)
        archived = [event for event in journal.events(home) if event.get("end")]
        whole, lost = archived[:-4], archived[-4:]
        os.truncate(next(home.glob("*.warc.gz")), whole[-1]["end"][1] + 10)
        requests = len(served.log)
        work(given, home)
    rows, _ = gathered(home, tmp_path)
    kept = Counter(row["url"] for row in rows if row["outcome"] == "kept")
    assert len(kept) == WIDTH * PAGES
    assert set(kept.values()) == {1}
    asked = {f"http://{entry.host}{entry.path}" for entry in served.log[requests:]}
    assert {event["fetch"]["url"] for event in lost} <= asked
    assert not {event["fetch"]["url"] for event in whole} & asked


def test_a_full_disk_ends_the_unit_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with Web(web.village(WIDTH, PAGES)) as served:
        given = task(tmp_path, served)
        with monkeypatch.context() as patch:
            stop_after(12, patch, OSError(errno.ENOSPC, "No space left on device"))
            with pytest.raises(OSError, match="No space left"):
                work(given, home)
        work(given, home)
    rows, _ = gathered(home, tmp_path)
    assert Counter(row["outcome"] for row in rows)["kept"] == WIDTH * PAGES


def test_archives_that_a_kill_left_half_moved_are_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Web(web.village(1, 4)) as served:
        given = task(tmp_path, served)
        work(given, home)
    archives = collect.closed(home)
    assert archives is not None
    first = collect.put(home, archives, str(tmp_path))
    assert collect.put(home, archives, str(tmp_path)) == first
    assert files.size(str(tmp_path), first[0].path) == first[0].bytes
    assert first[0].rows == 1 + 3 * 4


def unit_with(tmp_path: Path, known: list[dict[str, Any]]) -> Unit:
    """Return a unit of http://www0.test, ... of whose origins `known` [columns of ORIGINS] is known."""
    with Web({}) as served:
        given = task(tmp_path, served)
    blank = Origin("").as_row().values()
    table = pa.Table.from_pylist([{**blank, **row} for row in known], ORIGINS.schema())
    with dataset.create(str(tmp_path), "h.arrow", ORIGINS, FINGERPRINT) as slot:
        slot.arrow.write(table)
    return Unit(given, tmp_path / "home", "u")


def test_a_pause_holds_for_all_origins_of_a_server(tmp_path: Path) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    unit = unit_with(tmp_path, [{"origin": "https://www0.test:8443", "not_before": later}])
    assert unit.pace("http://www0.test/x").ready == later
    assert unit.pace("https://www0.test/x") is unit.pace("http://www0.test:81/")
    assert unit.pace("http://www1.test/").ready < datetime.now(UTC)


def test_after_a_stop_each_server_that_was_asked_is_left_alone_for_its_pause(tmp_path: Path) -> None:
    unit = unit_with(tmp_path, [])
    later = datetime.now(UTC) + timedelta(hours=1)
    unit.remember(Origin("http://www0.test", not_before=later))
    row = replace(FrontierRow.of("http://far.test/robots.txt"), origin="http://www1.test")
    unit.note(row, Verdict("asked", "robots"), None, Found([], {}))
    now = datetime.now(UTC)
    politeness = unit.settings.politeness.model_copy(update={"delay_s": 5.0})
    settings = unit.settings.model_copy(update={"politeness": politeness})
    given = Task(str(tmp_path), "f.arrow", "h.arrow", settings, unit.boundary)
    again = Unit(given, tmp_path / "home", "u")
    assert abs(again.pace("https://www0.test/").ready - later) < timedelta(milliseconds=2)
    for asked in ("http://www1.test/", "http://far.test/"):
        assert again.pace(asked).ready >= now + timedelta(seconds=5)


def test_the_rules_of_a_host_are_journaled_once_and_come_back(tmp_path: Path) -> None:
    unit = unit_with(tmp_path, [])
    origin = Origin("http://www0.test")
    origin.learn(200, b"User-agent: *\nDisallow: /ozel-alan/\n", datetime.now(UTC))
    for pages in range(5):
        origin.pages = pages
        unit.remember(origin)
    origin.learn_tdm("[{}]")
    unit.remember(origin)
    unit.close()
    assert (tmp_path / "home" / journal.FILE).read_text().count("ozel-alan") == 2
    _, origins = gathered(tmp_path / "home", tmp_path)
    found = origins["http://www0.test"]
    assert (found["robots"], found["tdm"], found["pages"]) == (origin.robots_body, "[{}]", 4)


@pytest.mark.parametrize(("length", "noted"), [(1_000, 1_000), (1_001, 0)])
def test_a_field_that_is_too_long_to_be_sent_back_is_not_noted(length: int, noted: int) -> None:
    row = FrontierRow.of("http://a.test/")
    fetch = _fetch(row, Verdict("kept"), answer(row.url, etag="e" * length), None)
    assert len(fetch.etag) == noted


@pytest.mark.parametrize(
    ("truncated", "noted"),
    [("", "e"), ("length", "e"), ("disconnect", ""), ("time", ""), ("unspecified", "")],
)
def test_no_server_can_call_unchanged_what_was_not_whole(truncated: Truncated, noted: str) -> None:
    row = FrontierRow.of("http://a.test/")
    cut = replace(answer(row.url, b"<p>x", etag="e", last_modified="e"), truncated=truncated)
    fetch = _fetch(row, Verdict("kept"), cut, None)
    assert (fetch.etag, fetch.modified) == (noted, noted)


def test_an_unchanged_page_keeps_its_tag_where_the_server_does_not_repeat_it() -> None:
    known = {"etag": '"1"', "modified": "then", "digest": "sha1:X"}
    row = FrontierRow.of("http://a.test/", **known)
    fetch = _fetch(row, Verdict("unchanged"), answer(row.url, status=304), None)
    assert {name: getattr(fetch, name) for name in known} == known
    fetch = _fetch(row, Verdict("kept"), answer(row.url, b"<p>new"), None)
    assert (fetch.etag, fetch.modified) == ("", "")


def test_no_server_is_always_the_first(tmp_path: Path) -> None:
    """A round may be too short for all of them."""
    first = set()
    with Web(web.village(WIDTH, PAGES)) as served:
        given = task(tmp_path, served)
        limits = given.settings.limits.model_copy(update={"hosts_at_once": 1})
        given = replace(given, settings=given.settings.model_copy(update={"limits": limits}))
        for seed in range(6):
            before = len(served.log)
            unit = Unit(given, tmp_path / f"home{seed}", "u")
            unit.chance = random.Random(seed)
            asyncio.run(unit.crawl(lambda *_: None))
            first.add(served.log[before].host)
    assert len(first) == WIDTH


def test_links_are_noted_once_and_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.crawl.unit._FOUND", 3)
    progress = Progress()
    assert [progress.is_new(key) for key in (1, 2, 1, 3, 3, 4)] == [True, True, False, True, False, True]
    assert len(progress.found) <= 3


def test_a_page_that_nobody_foresaw_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.crawl import page

    judge = page.judge

    def careless(answer: Any, *rest: Any) -> Any:
        if answer.url.endswith("/3"):
            raise RecursionError("too deep")
        return judge(answer, *rest)

    monkeypatch.setattr(page, "judge", careless)
    home = tmp_path / "home"
    with Web(web.village(WIDTH, PAGES)) as served:
        work(task(tmp_path, served), home)
    rows, _ = gathered(home, tmp_path)
    failed = [(row["url"], row["cause"], row["detail"]) for row in rows if row["outcome"] == "failed"]
    assert sorted(failed)[0] == ("http://www0.test/3", "internal", "RecursionError: too deep")
    assert len(failed) == WIDTH
