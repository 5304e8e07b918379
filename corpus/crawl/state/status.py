"""The progress of a crawl, read from its files: what units wrote, and the journals of active units."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from corpus import dataset, files
from corpus.crawl.rows import Fetch
from corpus.crawl.state import events, layout
from corpus.crawl.state.events import Fetched
from corpus.crawl.urls.frontier import FINAL
from corpus.errors import ConfigError
from corpus.schema import FETCHES

_RECENT_MS = 60_000
_COLUMNS = ["origin", "outcome", "cause", "started", "bytes"]


@dataclass(slots=True)
class Status:
    """Counts since the start of the crawl; units may be added in any order, each in the order of time.

    `outcomes` of URLs, `causes` by outcome and cause, `requests` sent, `bytes` of bodies as sent, `due` URLs
    left in the current round, `waiting` URLs known for later rounds (with those that the current round has
    found so far).
    """

    round: int = 0
    is_finished: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    bytes: int = 0
    due: int = 0
    waiting: int = 0
    _origins: set[str] = field(default_factory=set)
    _settled: deque[int] = field(default_factory=deque)  # times of the last minute, in milliseconds

    def begin(self, number: int, due: int, waiting: int) -> None:
        """Start a round."""
        self.round, self.is_finished, self.due, self.waiting = number, False, due, waiting

    def add(self, fetch: Fetch, links: int) -> None:
        """Count the outcome of a URL, and its new links."""
        is_final = fetch.outcome in FINAL
        self.due -= is_final
        self.waiting += links
        self.outcomes[fetch.outcome] += 1
        if fetch.cause:
            self.causes[f"{fetch.outcome}: {fetch.cause}"] += 1
        started = fetch.started
        if started is None:
            return
        self.requests += 1
        self.bytes += fetch.bytes
        self._origins.add(fetch.origin)
        if is_final:
            self._settled.append(started)
            while self._settled[0] < started - _RECENT_MS:
                self._settled.popleft()

    @property
    def origins(self) -> int:
        """The number of origins that were sent a request."""
        return len(self._origins)

    @property
    def rate(self) -> float:
        """Settled URLs per second over the last minute of work."""
        if len(self._settled) < 2:
            return 0.0
        return len(self._settled) / max(1.0, (max(self._settled) - min(self._settled)) / 1000)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the number of waiting URLs is not known between rounds."""
        plain = {"round": self.round, "is_finished": self.is_finished, "origins": self.origins}
        counts = {"outcomes": dict(self.outcomes), "causes": dict(self.causes)}
        amounts = {"requests": self.requests, "bytes": self.bytes, "due": self.due}
        waiting = None if self.is_finished else self.waiting
        return {**plain, **counts, **amounts, "waiting": waiting, "rate": round(self.rate, 2)}

    def line(self) -> str:
        """Return the progress in one line, errors by kind last."""
        errors = ", ".join(
            f"{cause.removeprefix('failed: ')} {number}"
            for cause, number in self.causes.most_common()
            if cause.startswith("failed: ")
        )
        said = (
            f"pages {self.outcomes['kept']:,}  due {self.due:,}  origins {self.origins:,}  {self.rate:.1f}/s"
        )
        return f"{said}  {self.bytes / 1e6:,.1f} MB{'  failed: ' + errors if errors else ''}"


def status(folder: str) -> Status:
    """Return the status of a crawl, which may be active; raise ConfigError if there is none."""
    if files.size(folder, layout.START) is None:
        raise ConfigError(f"{folder} does not hold a crawl: it has no {layout.START}")
    return Watch(folder).look()


class Watch:
    """The status of an active crawl, updated repeatedly: each look reads only new data."""

    def __init__(self, folder: str) -> None:
        """Read the finished rounds, and the plan of the current one."""
        self.status = Status()
        finished = layout.rounds(folder)
        for number in range(1, finished + 1):
            self._home = layout.round_folder(folder, number)
            self.status.begin(number, 0, 0)
            for file in dataset.load(self._home).files(FETCHES.name):
                if files.size(self._home, file.path) is not None:  # the crawl's next run reports lost files
                    self._read(file.path)
        self.status.is_finished, self.status.due, self.status.waiting = True, 0, 0
        plan = layout.plan(folder, finished + 1)
        if plan is not None:
            self.status.begin(finished + 1, plan.due, plan.waiting)
        self._home = layout.round_folder(folder, finished + 1)
        self._looked: dict[str, int] = {}  # bytes read of each unit's journal, by fingerprint

    def look(self) -> Status:
        """Read what units have stored since the last look; on this machine also journals of active units."""
        fs, root = files.filesystem(self._home)
        for work in sorted(Path(root).glob(f"{layout.UNITS}/*.work")) if files.is_local(self._home) else ():
            for event, end in events.read_from(work, self._looked.get(work.stem, 0)):
                self._looked[work.stem] = end
                if isinstance(event, Fetched):
                    self.status.add(event.fetch, len(event.links))
        for path in sorted(fs.glob(f"{root}/{FETCHES.name}/*.arrow")):
            unit = re.split(r"[-.]", path)[-2]
            if unit not in self._looked:
                self._looked[unit] = 0
                self._read(path[len(root) :].lstrip("/"))
        return self.status

    def _read(self, path: str) -> None:
        for fetch in _rows(self._home, path):
            self.status.add(fetch, 0)


def _rows(home: str, path: str) -> Iterator[Fetch]:
    """Yield some columns of a file of FETCHES, times in milliseconds as in the journal."""
    for batch in dataset.batches(home, path, _COLUMNS):
        at = batch.schema.get_field_index("started")
        for row in batch.set_column(at, "started", pc.cast(batch["started"], "int64")).to_pylist():
            yield Fetch(key=0, url="", **row)
