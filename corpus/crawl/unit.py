"""A unit of a crawl: one bucket of hosts in one round, journaled so that a killed one goes on."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from corpus import dataset
from corpus.crawl import journal
from corpus.crawl.archive import Archive, ArchiveError, Earlier, Place
from corpus.crawl.config import Crawl
from corpus.crawl.fetch import Answer, Failure, Fetcher, Wanted
from corpus.crawl.frontier import FINAL
from corpus.crawl.host import Host
from corpus.crawl.page import Verdict
from corpus.crawl.scope import Boundary
from corpus.crawl.visit import Found, Row, Visit

Beat = Callable[[int, int, float], None]

_ARCHIVED = ("kept", "redirect", "unchanged")
_ROWS = 10_000  # of an Arrow record batch


@dataclass(frozen=True, slots=True)
class Task:
    """What a unit is to do: files with what is due and what is known of its hosts, and how to go about it."""

    folder: str
    frontier: str
    hosts: str
    settings: Crawl
    boundary: Boundary


class Unit:
    """A unit at work: the tools of its visits."""

    def __init__(self, task: Task, home: Path, name: str) -> None:
        """Open, or open again, the unit in its working folder `home`; `name` begins its WARC files' names."""
        self.settings = task.settings
        self.boundary = task.boundary
        self.deadline = datetime.now(UTC) + timedelta(minutes=task.settings.limits.round_minutes)
        self.chance = random.Random()
        self._task = task
        segment, end = self._replay(home)
        try:
            self._archive = Archive.reopen(home, name, task.settings, segment, end)
        except ArchiveError as error:  # a power failure: the journal came to the disk, not all it speaks of
            journal.cut(home, segment, error.whole)
            segment, end = self._replay(home)
            self._archive = Archive.reopen(home, name, task.settings, segment, end)
        self._journal = journal.Journal(home)

    def _replay(self, home: Path) -> tuple[int, int]:
        """Take up what the journal holds; give the segment and length of the archive that it vouches for."""
        now = datetime.now(UTC)
        self._hosts: dict[str, Host] = {}
        self._settled: set[int] = set()
        self._tries: dict[int, int] = {}
        self._found: set[int] = set()
        self._kept = 0
        rows = {row["host"]: row for row in dataset.table(self._task.folder, self._task.hosts).to_pylist()}
        end = (0, 0)
        asked = {}
        for event in journal.events(home):
            if "host" in event:
                rows[event["host"]["host"]] = _host_of_json(event["host"])
                continue
            fetch = event["fetch"]
            if fetch["outcome"] in FINAL:
                self._settled.add(fetch["key"])
                self._kept += fetch["outcome"] == "kept"
            self._tries[fetch["key"]] = fetch["tries"]
            self._found.update(link["key"] for link in event["links"])
            end = (event["end"][0], event["end"][1]) if event["end"] else end
            asked[fetch["host"]] = True
        for name, row in rows.items():
            host = self._hosts[name] = Host.from_row(row, self.settings.politeness, now)
            if name in asked:  # its last request may have been just before the end
                rest = max(host.delay_s, self.settings.politeness.delay_s)
                host.not_before = max(host.not_before, now + timedelta(seconds=rest))
        return end

    async def crawl(self, beat: Beat) -> None:
        """Visit every server of which something is due."""
        due = self._due()
        self._beat = beat
        self._total = len(self._settled) + sum(map(len, due.values()))
        hosts_at_once = asyncio.Semaphore(self.settings.limits.hosts_at_once)
        self._requests = asyncio.Semaphore(self.settings.limits.requests_at_once)

        async def visit(rows: list[Row]) -> None:
            async with hosts_at_once:
                names = sorted({row["host"] for row in rows})
                hosts = {name: self._hosts.setdefault(name, Host(name)) for name in names}
                await Visit(hosts, rows, self).run()

        async with Fetcher(self.settings) as self._fetcher, asyncio.TaskGroup() as group:
            for rows in due.values():
                group.create_task(visit(rows))

    def _due(self) -> dict[str, list[Row]]:
        """Give what is due and not settled yet, best first, by the name of the server."""
        table = dataset.table(self._task.folder, self._task.frontier)
        servers: dict[str, list[Row]] = defaultdict(list)
        for row in table.filter(table["due"]).to_pylist():
            if row["key"] not in self._settled:
                row["tries"] = self._tries.get(row["key"], row["tries"])
                servers[urlsplit(row["url"]).hostname or ""].append(row)
        return servers

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request when there are not too many under way."""
        async with self._requests:
            return await self._fetcher.get(url, headers, wanted=wanted)

    def note(self, row: Row, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Archive an answer, then journal it: what the journal holds is whole in the archive."""
        fresh = []
        for link in found.rows:
            if link["key"] not in self._found:
                self._found.add(link["key"])
                fresh.append(link)
        place = None
        if verdict.outcome in _ARCHIVED and isinstance(result, Answer):
            place = self._archive.add(result, _facts(row, verdict), _earlier(row))
        fetch = _fetch(row, verdict, result, place)
        end = [place.segment, place.end] if place is not None else None
        self._journal.write({"fetch": fetch, "links": fresh, "refused": found.refused, "end": end})
        if verdict.outcome in FINAL:
            self._settled.add(row["key"])
            self._kept += verdict.outcome == "kept"
            self._beat(len(self._settled), self._kept, len(self._settled) / max(1, self._total))

    def remember(self, host: Host) -> None:
        """Journal what is known of a host."""
        self._journal.write({"host": _host_as_json(host)})

    def close(self) -> list[tuple[str, int]]:
        """Close archive and journal; give the archive's files with their numbers of records."""
        archives = self._archive.close()
        self._journal.write({"closed": archives})
        self._journal.close()
        return archives


def _fetch(row: Row, verdict: Verdict, result: Answer | Failure | None, place: Place | None) -> Row:
    """Give the row [FETCHES] of an outcome, as JSON has it."""
    fetch = {name: row[name] for name in ("key", "url", "host", "depth", "tries", "referrer")}
    fetch["outcome"], fetch["cause"], fetch["detail"] = verdict.outcome, verdict.cause, verdict.detail
    fetch["location"], fetch["optouts"] = verdict.location, ", ".join(verdict.optouts)
    if result is not None:
        fetch["started"] = _milliseconds(result.started)
        fetch["seconds"], fetch["address"] = round(result.seconds, 4), result.address
    if isinstance(result, Answer):
        fetch["status"], fetch["media"], fetch["bytes"] = result.status, result.media, len(result.body)
        fetch["digest"] = result.digest if result.content else row.get("digest", "")
        fetch["etag"] = result.headers.get("etag", "")
        fetch["modified"] = result.headers.get("last-modified", "")
    if place is not None:
        fetch["file"], fetch["offset"] = place.file, place.offset
    return fetch


def _facts(row: Row, verdict: Verdict) -> dict[str, object]:
    """Give the fields of an answer's metadata record, by Heritrix's names where it has them."""
    facts = {"via": row["referrer"], "hopsFromSeed": row["depth"], "outlinks": len(verdict.links)}
    return {**facts, **({"optouts": ", ".join(verdict.optouts)} if verdict.optouts else {})}


def _earlier(row: Row) -> Earlier | None:
    return Earlier(row["digest"], row["fetched"]) if row["fetched"] is not None else None


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


_MOMENTS = ("robots_fetched", "not_before")


def _host_as_json(host: Host) -> Row:
    row = host.as_row()
    return {**row, "robots": row["robots"].decode("latin-1"), **{m: _milliseconds(row[m]) for m in _MOMENTS}}


def _host_of_json(row: Row) -> Row:
    moments = {name: datetime.fromtimestamp(row[name] / 1000, UTC) for name in _MOMENTS}
    return {**row, "robots": row["robots"].encode("latin-1"), **moments}
