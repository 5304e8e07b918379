"""The events of a unit's journal: their JSON lines and their dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpus.crawl.rows import Fetch, OriginRow, Outlink
from corpus.crawl.state import journal

_MOMENTS = ("robots_fetched", "not_before")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The outcome of a URL, its new links, and how many links each rule refused.

    If the answer was archived, `end` is the segment and length of the archive after it.
    """

    fetch: Fetch
    links: Sequence[Outlink] = ()
    refused: Mapping[str, int] | None = None
    end: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """The state of an origin; without `has_rules`, its robots.txt and tdmrep.json have not changed."""

    origin: OriginRow
    has_rules: bool = True

    def after(self, earlier: OriginRow | None) -> OriginRow:
        """Return the complete row, given the previous one."""
        if self.has_rules or earlier is None:
            return self.origin
        return replace(self.origin, robots=earlier.robots, tdm=earlier.tdm)


@dataclass(frozen=True, slots=True)
class Closed:
    """The WARC files of a unit that has ended, each with its number of records."""

    archives: list[tuple[str, int]]


Event = Fetched | Noted | Closed


def as_json(event: Event) -> dict[str, Any]:
    """Return the JSON form of an event: times in milliseconds, robots.txt as Latin-1."""
    if isinstance(event, Closed):
        return {"closed": event.archives}
    if isinstance(event, Fetched):
        links = [link.values() for link in event.links]
        refused = dict(event.refused or {})
        return {"fetch": event.fetch.values(), "links": links, "refused": refused, "end": event.end}
    row = event.origin.values()
    row |= {name: milliseconds(row[name]) for name in _MOMENTS} | {"robots": row["robots"].decode("latin-1")}
    if not event.has_rules:
        del row["robots"], row["tdm"]
    return {"origin": row}


def of_json(found: Mapping[str, Any]) -> Event:
    """Return the event of a line of the journal."""
    if "closed" in found:
        return Closed([(name, records) for name, records in found["closed"]])
    if "fetch" in found:
        links = [Outlink(**link) for link in found["links"]]
        end = (found["end"][0], found["end"][1]) if found["end"] else None
        return Fetched(Fetch(**found["fetch"]), links, found["refused"], end)
    row = {"robots": "", "tdm": "", **found["origin"]}
    row |= {name: moment(row[name]) for name in _MOMENTS} | {"robots": row["robots"].encode("latin-1")}
    return Noted(OriginRow(**row), "robots" in found["origin"])


def read(folder: Path) -> Iterator[Event]:
    """Yield the events of the journal in a unit's folder, up to the first damage; none without a journal."""
    return (of_json(line) for line in journal.events(folder))


def read_from(folder: Path, start: int) -> Iterator[tuple[Event, int]]:
    """Yield the events after byte `start` of a journal, each with the position of its end."""
    return ((of_json(line), end) for line, end in journal.events_from(folder, start))


def milliseconds(moment: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def moment(milliseconds: int) -> datetime:
    """Return the time that is `milliseconds` after the start of 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
