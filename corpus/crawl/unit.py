"""A unit of a crawl: one bucket of origins in one round, with a journal to resume from after a kill."""

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
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, Failure, Fetcher, Wanted
from corpus.crawl.page import Verdict
from corpus.crawl.rows import LONGEST_FIELD, Fetch, FrontierRow, OriginRow
from corpus.crawl.rules.origin import LONG_AGO, Origin
from corpus.crawl.rules.politeness import Pace
from corpus.crawl.state import events, journal
from corpus.crawl.state.archive import Archive, ArchiveError, Earlier, Place
from corpus.crawl.state.events import Closed, Fetched, Noted
from corpus.crawl.urls.frontier import AGAIN, FINAL
from corpus.crawl.urls.scope import Boundary
from corpus.crawl.visit import Found, Visit
from corpus.web.url import host_of, origin_of

Beat = Callable[[int, int, float], None]

_ARCHIVED = ("kept", "redirect", "unchanged")
_FOUND = 4_000_000  # keys of links that are remembered
_LONGEST_LOOP = 20  # redirects that are followed to detect a loop


@dataclass(frozen=True, slots=True)
class Task:
    """The work of a unit: files with its due URLs and the state of their origins, settings and boundary.

    `redirects` are those of earlier rounds that led to its due URLs, by requested URL.
    """

    folder: str
    frontier: str
    origins: str
    settings: Crawl
    boundary: Boundary
    redirects: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """Work already done, rebuilt from the journal when a unit is resumed.

    URLs by key: `settled`, the number of times `tried`, `found` as links. `origins` as last stored, and
    `since` the pages that each has returned after that; `redirects` by URL; `end` is the segment and length
    of the archive.
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
        """Read the journal in a unit's working folder; empty without a journal."""
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
            self.is_new(link.key)
        is_page = fetch.outcome != "asked" and fetch.status in (200, 304)
        self.since[fetch.origin] = self.since.get(fetch.origin, 0) + is_page
        self.since.setdefault(origin_of(fetch.url), 0)  # a robots.txt may redirect to another origin
        if event.end is not None:
            self.end = event.end

    def is_new(self, key: int) -> bool:
        """Record a link; return whether it is new.

        If there are too many, all are forgotten: a link that is found again only adds a row, which the next
        frontier drops.
        """
        if key in self.found:
            return False
        if len(self.found) >= _FOUND:
            self.found.clear()
        self.found.add(key)
        return True


class Unit:
    """An active unit: the tools of its visits."""

    def __init__(self, task: Task, home: Path, name: str) -> None:
        """Open the unit in its working folder `home`, or resume it; `name` starts its WARC files' names."""
        self.settings = task.settings
        self.boundary = task.boundary
        self.deadline = datetime.now(UTC) + timedelta(minutes=task.settings.limits.round_minutes)
        self.chance = random.Random()
        frontier = dataset.table(task.folder, task.frontier)
        self._due = frontier.filter(frontier["due"])
        self._known = dataset.table(task.folder, task.origins)
        self._places = {origin: row for row, origin in enumerate(self._known["origin"].to_pylist())}
        self._stored_rules: dict[str, tuple[datetime, int]] = {}
        self._progress = Progress.read(home)
        try:
            self._archive = Archive.reopen(home, name, task.settings, *self._progress.end)
        except ArchiveError as error:  # a power failure: the journal names records that are not on the disk
            journal.cut(home, self._progress.end[0], error.whole)
            self._progress = Progress.read(home)
            self._archive = Archive.reopen(home, name, task.settings, *self._progress.end)
        self._journal = journal.Journal(home)
        self._redirects = {**task.redirects, **self._progress.redirects}
        self._paces = self._all_paces()

    async def crawl(self, beat: Beat) -> None:
        """Visit every host that has due URLs, many concurrently."""
        self._beat = beat
        for name, pages in self._progress.since.items():
            if pages:  # a stopped visit did not store them; there may be nothing left to visit
                origin = self._origin(name)
                origin.not_before = self.pace(name).ready
                self.remember(origin)
        hosts = self._hosts()
        names = sorted(hosts)
        self.chance.shuffle(names)  # if rounds are too short for all hosts, each round omits others
        waiting = iter(names)

        async def visit_one_after_another() -> None:
            for host in waiting:
                places = hosts[host]
                rows = self._rows(places)
                origins = {name: self._origin(name) for name in sorted({row.origin for row in rows})}
                if rows:
                    await Visit(origins, rows, self).run()

        async with Fetcher(self.settings) as self._fetcher, asyncio.TaskGroup() as group:
            for _ in range(min(self.settings.limits.hosts_at_once, len(hosts))):
                group.create_task(visit_one_after_another())

    def _hosts(self) -> dict[str, list[range]]:
        """Return the positions of due rows by host; those of an origin are consecutive."""
        origins = pc.run_end_encode(self._due["origin"].combine_chunks())
        found: dict[str, list[range]] = defaultdict(list)
        start = 0
        for origin, end in zip(origins.values.to_pylist(), origins.run_ends.to_pylist(), strict=True):
            found[host_of(origin)].append(range(start, end))
            start = end
        return found

    def _rows(self, places: list[range]) -> list[FrontierRow]:
        """Return the rows [FRONTIER] of a host that are not settled yet, best first by origin."""
        rows = (FrontierRow(**row) for at in places for row in self._due.slice(at.start, len(at)).to_pylist())
        tried = self._progress.tried
        return [
            replace(row, tries=tried.get(row.key, row.tries))
            for row in rows
            if row.key not in self._progress.settled
        ]

    def _origin(self, name: str) -> Origin:
        """Return the state of an origin: from the journal, else from earlier rounds."""
        now, settings = datetime.now(UTC), self.settings.politeness
        row = self._progress.origins.get(name)
        if row is None and name in self._places:
            row = OriginRow(**self._known.slice(self._places[name], 1).to_pylist()[0])
        origin = Origin.from_row(row, settings, now) if row is not None else Origin(name)
        origin.pages += self._progress.since.get(name, 0)
        return origin

    def _all_paces(self) -> dict[str, Pace]:
        """Return the pace of each host, by its name, including hosts without due URLs."""
        ready: dict[str, datetime] = {}

        def wait(origin: str, moment: datetime) -> None:
            ready[host_of(origin)] = max(moment, ready.get(host_of(origin), LONG_AGO))

        for origin, moment in zip(
            self._known["origin"].to_pylist(), self._known["not_before"].to_pylist(), strict=True
        ):
            wait(origin, moment)
        usual, now = self.settings.politeness.delay_s, datetime.now(UTC)
        for origin in self._progress.since:  # the last request may have been just before the unit stopped
            noted = self._progress.origins.get(origin)
            if noted is not None:
                wait(origin, noted.not_before)
            wait(origin, now + timedelta(seconds=max(usual, noted.delay_s if noted is not None else 0.0)))
        return {host: Pace(moment) for host, moment in ready.items()}

    def pace(self, url: str) -> Pace:
        """Return the pace of a URL's host, which all visits share."""
        return self._paces.setdefault(host_of(origin_of(url)), Pace(LONG_AGO))

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request."""
        return await self._fetcher.get(url, headers, wanted=wanted)

    def leads_back(self, url: str, target: str) -> bool:
        """Return whether the known redirects lead from `target` to `url`."""
        for _ in range(_LONGEST_LOOP):
            if target == url:
                return True
            if target not in self._redirects:
                return False
            target = self._redirects[target]
        return False

    def note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Archive an answer, then journal it: whatever the journal names is complete in the archive."""
        fresh = [link for link in found.rows if self._progress.is_new(link.key)]
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
        """Journal the state of an origin; its rules, which may be long, only if they have changed."""
        rules = origin.robots_fetched, hash(origin.tdm_body)
        self._write(Noted(origin.as_row(), has_rules=self._stored_rules.get(origin.name) != rules))
        self._stored_rules[origin.name] = rules

    def _write(self, event: events.Event) -> None:
        self._journal.write(events.as_json(event))

    def close(self) -> list[tuple[str, int]]:
        """Close archive and journal; return the archive's files with their numbers of records."""
        archives = self._archive.close()
        self._write(Closed(archives))
        self._journal.close()
        return archives


def _fetch(row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, place: Place | None) -> Fetch:
    """Return the row for the outcome of a URL."""
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
    """Return a header field by which a later crawl asks whether a page has changed; "" for none."""
    value = answer.headers.get(name, earlier if answer.status == 304 else "")
    # A truncated page must be fetched again; one that our own limit cut would only be cut again.
    is_whole = answer.truncated in ("", "length")
    return value if len(value) <= LONGEST_FIELD and is_whole else ""


def _facts(row: FrontierRow, verdict: Verdict) -> dict[str, object]:
    """Return the fields of an answer's metadata record, with Heritrix's names where it has them."""
    facts = {"via": row.referrer, "hopsFromSeed": row.depth, "outlinks": len(verdict.links)}
    return {**facts, **({"optouts": ", ".join(verdict.optouts)} if verdict.optouts else {})}


def _earlier(row: FrontierRow) -> Earlier | None:
    return Earlier(row.digest, row.fetched) if row.fetched is not None else None
