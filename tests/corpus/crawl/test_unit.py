"""A unit that stops in the middle goes on: nothing is fetched twice, nothing is lost, budgets still count."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import web
from web import Web

from corpus import dataset, files
from corpus.crawl import frontier, harvest, journal
from corpus.crawl.config import Crawl
from corpus.crawl.scope import Boundary
from corpus.crawl.unit import Task, Unit
from corpus.schema import FRONTIER, HOSTS

HOSTS_, PAGES = 3, 12
FINGERPRINT = "0123456789abcdef"


def task(folder: Path, served: Web) -> Task:
    """Give a unit that is to fetch every page of a village, as a crawl's first round would."""
    politeness = {"delay_s": 0.0, "factor": 0.0, "backoff_s": 0.01}
    data = {
        "agent": {"contact": "a@kitaplik.example"},
        "politeness": politeness,
        "scope": {"sitemaps": False, "within": "any"},
        "network": {"allow": web.ALLOW, "resolve": served.resolve},
    }
    settings = Crawl.model_validate(data, strict=False)
    seeds = [f"http://www{host}.test/{page or ''}" for host in range(HOSTS_) for page in range(PAGES)]
    table = frontier.choose(frontier.from_seeds(seeds), {}, settings.limits, 1000)
    for name, kind, rows in (("f.arrow", FRONTIER, table), ("h.arrow", HOSTS, HOSTS.schema().empty_table())):
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
    """Give the rows of FETCHES, and those of HOSTS by host."""
    made, _ = harvest.gather(home, str(folder), "u", FINGERPRINT)
    tables = {file.kind: dataset.table(str(folder), file.path).to_pylist() for file in made}
    return tables["fetches"], {row["host"]: row for row in tables["hosts"]}


def settled(home: Path) -> set[str]:
    """Give the pages that a unit's journal holds."""
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


@pytest.mark.parametrize("stops", [[1], [7, 20], [3, 3, 3, 15, 30]])
def test_a_unit_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int]
) -> None:
    home = tmp_path / "home"
    done: list[tuple[int, set[str]]] = []
    with Web(web.village(HOSTS_, PAGES)) as served:
        given = task(tmp_path, served)
        for events in stops:
            with monkeypatch.context() as patch:
                stop_after(events, patch, StoppedError())
                with pytest.raises(StoppedError):
                    work(given, home)
            done.append((len(served.log), settled(home)))
        work(given, home)
    rows, hosts = gathered(home, tmp_path)
    kept = Counter(row["url"] for row in rows if row["outcome"] == "kept")
    assert len(kept) == HOSTS_ * PAGES
    assert set(kept.values()) == {1}
    asked = [f"http://{entry.host}{entry.path}" for entry in served.log]
    for requests, urls in done:
        assert not urls & set(asked[requests:])
    assert {row["pages"] for row in hosts.values()} == {PAGES}


def test_after_a_power_failure_only_what_the_disk_lost_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with Web(web.village(HOSTS_, PAGES)) as served:
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
    assert len(kept) == HOSTS_ * PAGES
    assert set(kept.values()) == {1}
    asked = {f"http://{entry.host}{entry.path}" for entry in served.log[requests:]}
    assert {event["fetch"]["url"] for event in lost} <= asked
    assert not {event["fetch"]["url"] for event in whole} & asked


def test_a_full_disk_ends_the_unit_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with Web(web.village(HOSTS_, PAGES)) as served:
        given = task(tmp_path, served)
        with monkeypatch.context() as patch:
            stop_after(12, patch, OSError(errno.ENOSPC, "No space left on device"))
            with pytest.raises(OSError, match="No space left"):
                work(given, home)
        work(given, home)
    rows, _ = gathered(home, tmp_path)
    assert Counter(row["outcome"] for row in rows)["kept"] == HOSTS_ * PAGES


def test_archives_that_a_kill_left_half_moved_are_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Web(web.village(1, 4)) as served:
        given = task(tmp_path, served)
        work(given, home)
    archives = harvest.closed(home)
    assert archives is not None
    first = harvest.put(home, archives, str(tmp_path))
    assert harvest.put(home, archives, str(tmp_path)) == first
    assert files.size(str(tmp_path), first[0].path) == first[0].bytes
    assert first[0].rows == 1 + 3 * 4


def test_a_page_that_nobody_foresaw_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.crawl import page

    judge = page.judge

    def careless(answer: Any, *rest: Any) -> Any:
        if answer.url.endswith("/3"):
            raise RecursionError("too deep")
        return judge(answer, *rest)

    monkeypatch.setattr(page, "judge", careless)
    home = tmp_path / "home"
    with Web(web.village(HOSTS_, PAGES)) as served:
        work(task(tmp_path, served), home)
    rows, _ = gathered(home, tmp_path)
    failed = [(row["url"], row["cause"], row["detail"]) for row in rows if row["outcome"] == "failed"]
    assert sorted(failed)[0] == ("http://www0.test/3", "internal", "RecursionError: too deep")
    assert len(failed) == HOSTS_
