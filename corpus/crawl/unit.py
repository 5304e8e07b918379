"""A unit of a crawl: one bucket of origins in one round, journaled so that a killed one goes on."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc

from corpus import dataset
from corpus.crawl.addresses.frontier import AGAIN, FINAL
from corpus.crawl.addresses.scope import Boundary
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, Failure, Fetcher, Wanted
from corpus.crawl.page import Verdict
from corpus.crawl.rows import LONGEST_FIELD, Fetch, FrontierRow, OriginRow
from corpus.crawl.rules.origin import LONG_AGO, Origin
from corpus.crawl.rules.politeness import Pace
from corpus.crawl.state import events, journal
from corpus.crawl.state.archive import Archive, ArchiveError, Earlier, Place
from corpus.crawl.state.events import Closed, Fetched, Noted
from corpus.crawl.visit import Found, Visit
from corpus.web.url import host_of, origin_of

Beat = Callable[[int, int, float], None]

_ARCHIVED = ("kept", "redirect", "unchanged")
_FOUND = 4_000_000
_RING = 20  # redirects that a ring has at most; those of limits.redirects are fewer


@dataclass(frozen=True, slots=True)
class Task:
    """What a unit is to do: files with what is due and what is known of its origins, and how to go about it.

    `redirects` are those of earlier rounds that led to what is due, by the address that was asked for.
    """

    folder: str
    frontier: str
    origins: str
    settings: Crawl
    boundary: Boundary
    redirects: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """What a unit has done, of which nothing is to be done again; the journal of a stopped one tells it.

    Addresses by key: `settled`, how often `tried`, `found` as links; `origins` as they were noted
    last, `since` the pages that each gave after that; `redirects` by address; `end` is the segment and length
    of the archive by then.
    """

    settled: set[int] = field(default_factory=set)
    tried: dict[int, int] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    origins: dict[str, OriginRow] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    end: tuple[int, int] = (0, 0)

    @classmethod
    def read(cls, home: Path) -> Progress:
        """Read the journal in a unit's working folder; without one, nothing was done."""
        progress = cls()
        for event in events.read(home):
            if isinstance(event, Noted):
                name = event.origin.origin
                progress.origins[name] = event.after(progress.origins.get(name))
                progress.since[name] = 0
            elif isinstance(event, Fetched):
                progress._add(event)
        return progress

    def _add(self, event: Fetched) -> None:
        fetch = event.fetch
        if fetch.outcome in FINAL:
            self.settled.add(fetch.key)
            self.kept += fetch.outcome == "kept"
        if fetch.outcome == AGAIN:
            self.tried[fetch.key] = fetch.tries
        elif fetch.outcome == "redirect":
            self.redirects[fetch.url] = fetch.location
        for link in event.links:
            self.meets(link.key)
        is_page = fetch.outcome != "asked" and fetch.status in (200, 304)
        self.since[fetch.origin] = self.since.get(fetch.origin, 0) + is_page
        self.since.setdefault(origin_of(fetch.url), 0)  # where the robots.txt of another origin led to
        if event.end is not None:
            self.end = event.end

    def meets(self, key: int) -> bool:
        """Take note of a link; say whether it is new.

        Of too many all are forgotten: what is found again is one row more, which the next frontier drops.
        """
        if key in self.found:
            return False
        if len(self.found) >= _FOUND:
            self.found.clear()
        self.found.add(key)
        return True


class Unit:
    """A unit at work: the tools of its visits."""

    def __init__(self, task: Task, home: Path, name: str) -> None:
        """Open, or open again, the unit in its working folder `home`; `name` begins its WARC files' names."""
        self.settings = task.settings
        self.boundary = task.boundary
        self.deadline = datetime.now(UTC) + timedelta(minutes=task.settings.limits.round_minutes)
        self.chance = random.Random()
        frontier = dataset.table(task.folder, task.frontier)
        self._due = frontier.filter(frontier["due"])
        self._known = dataset.table(task.folder, task.origins)
        self._places = {origin: row for row, origin in enumerate(self._known["origin"].to_pylist())}
        self._told: dict[str, tuple[datetime, int]] = {}
        self._progress = Progress.read(home)
        try:
            self._archive = Archive.reopen(home, name, task.settings, *self._progress.end)
        except ArchiveError as error:  # a power failure: the journal came to the disk, not all it speaks of
            journal.cut(home, self._progress.end[0], error.whole)
            self._progress = Progress.read(home)
            self._archive = Archive.reopen(home, name, task.settings, *self._progress.end)
        self._journal = journal.Journal(home)
        self._redirects = {**task.redirects, **self._progress.redirects}
        self._paces = self._all_paces()

    async def crawl(self, beat: Beat) -> None:
        """Visit every server of which something is due, many at once."""
        self._beat = beat
        for name, pages in self._progress.since.items():
            if pages:  # which a stopped visit did not come to note; there may be nothing left to visit
                origin = self._host(name)
                origin.not_before = self.pace(name).ready
                self.remember(origin)
        hosts = self._hosts()
        names = sorted(hosts)
        self.chance.shuffle(names)  # a round that is too short for all ends before others each time
        waiting = iter(names)

        async def visit_one_after_another() -> None:
            for host in waiting:
                places = hosts[host]
                rows = self._rows(places)
                origins = {name: self._host(name) for name in sorted({row.origin for row in rows})}
                if rows:
                    await Visit(origins, rows, self).run()

        async with Fetcher(self.settings) as self._fetcher, asyncio.TaskGroup() as group:
            for _ in range(min(self.settings.limits.hosts_at_once, len(hosts))):
                group.create_task(visit_one_after_another())

    def _hosts(self) -> dict[str, list[range]]:
        """Return the rows of what is due by host; those of an origin are consecutive."""
        origins = pc.run_end_encode(self._due["origin"].combine_chunks())
        found: dict[str, list[range]] = defaultdict(list)
        start = 0
        for origin, end in zip(origins.values.to_pylist(), origins.run_ends.to_pylist(), strict=True):
            found[host_of(origin)].append(range(start, end))
            start = end
        return found

    def _rows(self, places: list[range]) -> list[FrontierRow]:
        """Return the rows [FRONTIER] of a server that are not settled yet, best first by origin."""
        rows = (FrontierRow(**row) for at in places for row in self._due.slice(at.start, len(at)).to_pylist())
        tried = self._progress.tried
        return [
            replace(row, tries=tried.get(row.key, row.tries))
            for row in rows
            if row.key not in self._progress.settled
        ]

    def _host(self, name: str) -> Origin:
        """Return what is known of an origin: from the journal, else from the rounds before."""
        now, settings = datetime.now(UTC), self.settings.politeness
        row = self._progress.origins.get(name)
        if row is None and name in self._places:
            row = OriginRow(**self._known.slice(self._places[name], 1).to_pylist()[0])
        origin = Origin.from_row(row, settings, now) if row is not None else Origin(name)
        origin.pages += self._progress.since.get(name, 0)
        return origin

    def _all_paces(self) -> dict[str, Pace]:
        """Return the paces of hosts by name, which hold for all origins of each, also those not due now."""
        ready: dict[str, datetime] = {}

        def wait(origin: str, moment: datetime) -> None:
            ready[host_of(origin)] = max(moment, ready.get(host_of(origin), LONG_AGO))

        for origin, moment in zip(
            self._known["origin"].to_pylist(), self._known["not_before"].to_pylist(), strict=True
        ):
            wait(origin, moment)
        usual, now = self.settings.politeness.delay_s, datetime.now(UTC)
        for origin in self._progress.since:  # the last request may have been just before the unit was stopped
            noted = self._progress.origins.get(origin)
            if noted is not None:
                wait(origin, noted.not_before)
            wait(origin, now + timedelta(seconds=max(usual, noted.delay_s if noted is not None else 0.0)))
        return {server: Pace(moment) for server, moment in ready.items()}

    def pace(self, url: str) -> Pace:
        """Return the pace of an address's server, which all visits share."""
        return self._paces.setdefault(host_of(origin_of(url)), Pace(LONG_AGO))

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request."""
        return await self._fetcher.get(url, headers, wanted=wanted)

    def leads_back(self, url: str, target: str) -> bool:
        """Return whether the redirects that are known lead from `target` to `url`."""
        for _ in range(_RING):
            if target == url:
                return True
            if target not in self._redirects:
                return False
            target = self._redirects[target]
        return False

    def note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Archive an answer, then journal it: what the journal holds is whole in the archive."""
        fresh = [link for link in found.rows if self._progress.meets(link.key)]
        place = None
        if verdict.outcome in _ARCHIVED and isinstance(result, Answer):
            place = self._archive.add(result, _facts(row, verdict), _earlier(row))
        fetch = _fetch(row, verdict, result, place)
        end = (place.segment, place.end) if place is not None else None
        self._write(Fetched(fetch, fresh, found.refused, end))
        if verdict.outcome == "redirect":
            self._redirects[row.url] = verdict.location
        if verdict.outcome in FINAL:
            self._progress.settled.add(row.key)
            self._progress.kept += verdict.outcome == "kept"
            settled = len(self._progress.settled)
            self._beat(settled, self._progress.kept, settled / len(self._due))

    def remember(self, origin: Origin) -> None:
        """Journal what is known of an origin; its rules, which may be long, once."""
        rules = origin.robots_fetched, hash(origin.tdm_body)
        self._write(Noted(origin.as_row(), has_rules=self._told.get(origin.name) != rules))
        self._told[origin.name] = rules

    def _write(self, event: events.Event) -> None:
        self._journal.write(events.as_json(event))

    def close(self) -> list[tuple[str, int]]:
        """Close archive and journal; return the archive's files with their numbers of records."""
        archives = self._archive.close()
        self._write(Closed(archives))
        self._journal.close()
        return archives


def _fetch(row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, place: Place | None) -> Fetch:
    """Return the outcome of a URL as it is stored."""
    fetch = Fetch(
        row.key,
        row.url,
        row.origin,
        verdict.outcome,
        verdict.cause,
        verdict.detail,
        location=verdict.location,
        optouts=", ".join(verdict.optouts),
        depth=row.depth,
        tries=row.tries,
        referrer=row.referrer,
    )
    if result is not None:
        started, seconds = events.milliseconds(result.started), round(result.seconds, 4)
        fetch = replace(fetch, started=started, seconds=seconds, address=result.address)
    if isinstance(result, Answer):
        fetch = replace(
            fetch,
            status=result.status,
            media=result.media[:LONGEST_FIELD],
            bytes=len(result.body),
            digest=result.digest if result.content else row.digest,
            etag=_condition(result, "etag", row.etag),
            modified=_condition(result, "last-modified", row.modified),
        )
    return fetch if place is None else replace(fetch, file=place.file, offset=place.offset)


def _condition(answer: Answer, name: str, earlier: str) -> str:
    """Return a header field by which a later crawl asks whether a page has changed; "" where it must not."""
    value = answer.headers.get(name, earlier if answer.status == 304 else "")
    # by it a server could call unchanged what was not whole; what our own limit cut stays so
    is_whole = answer.truncated in ("", "length")
    return value if len(value) <= LONGEST_FIELD and is_whole else ""


def _facts(row: FrontierRow, verdict: Verdict) -> dict[str, object]:
    """Return the fields of an answer's metadata record, by Heritrix's names where it has them."""
    facts = {"via": row.referrer, "hopsFromSeed": row.depth, "outlinks": len(verdict.links)}
    return {**facts, **({"optouts": ", ".join(verdict.optouts)} if verdict.optouts else {})}


def _earlier(row: FrontierRow) -> Earlier | None:
    return Earlier(row.digest, row.fetched) if row.fetched is not None else None
