"""How a crawl stands, from its files alone: what units wrote, and the journals of units at work."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from corpus import dataset, files
from corpus.crawl import journal
from corpus.crawl.frontier import FINAL
from corpus.crawl.layout import BEGUN, UNITS, finished_rounds, plan, round_folder
from corpus.schema import FETCHES
from corpus.settings import ConfigError

_RECENT_S = 60
_COLUMNS = ["host", "outcome", "cause", "started", "bytes"]


@dataclass(slots=True)
class Status:
    """Counts since the crawl began.

    `outcomes` of addresses, `causes` by outcome and cause, `requests` sent, `bytes` of bodies as sent,
    `hosts` that were asked, `rate` in settled addresses a second over the last minute of work, `due`
    addresses left in this round, `waiting` those known for later (with those that this round found so far).
    """

    round: int
    is_finished: bool
    outcomes: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    bytes: int = 0
    hosts: int = 0
    rate: float = 0.0
    due: int = 0
    waiting: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def status(folder: str) -> Status:
    """Sum up a crawl; ConfigError where there is none. A crawl at work may be read at any time."""
    if files.size(folder, BEGUN) is None:
        raise ConfigError(f"{folder} holds no crawl: it has no {BEGUN}")
    finished = finished_rounds(folder)
    under_way = plan(folder, finished + 1)
    found = Status(finished + (under_way is not None), under_way is None)
    hosts: set[str] = set()
    times: list[int] = []
    for number in range(1, found.round + 1):
        settled = links = 0
        for fetch, new in _fetches(round_folder(folder, number)):
            links += new
            is_final = fetch["outcome"] in FINAL
            settled += is_final
            found.outcomes[fetch["outcome"]] += 1
            if fetch["cause"]:
                found.causes[f"{fetch['outcome']}: {fetch['cause']}"] += 1
            if fetch.get("started") is not None:
                found.requests += 1
                found.bytes += fetch.get("bytes", 0)
                hosts.add(fetch["host"])
                if is_final:
                    times.append(fetch["started"])
        if number > finished and under_way is not None:
            found.due = under_way["due"] - settled
            found.waiting = under_way["waiting"] + links
    found.hosts = len(hosts)
    if times:
        last = max(times)
        recent = [moment for moment in times if last - moment < 1000 * _RECENT_S]
        found.rate = len(recent) / max(1.0, min(_RECENT_S, (last - min(recent)) / 1000))
    return found


def _fetches(home: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Give what a round's units noted [some columns of FETCHES], each with the number of new links."""
    fs, root = files.filesystem(home)
    whole = set()
    for path in fs.glob(f"{root}/{FETCHES.name}/*.arrow"):
        whole.add(re.split(r"[-.]", path)[-2])
        name = path[len(root) :].lstrip("/")
        for batch in dataset.batches(home, name, _COLUMNS):
            at = batch.schema.get_field_index("started")
            batch = batch.set_column(at, "started", pc.cast(batch["started"], "int64"))
            yield from ((row, 0) for row in batch.to_pylist())
    if files.is_local(home):
        for work in sorted(Path(root).glob(f"{UNITS}/*.work")):
            if work.stem not in whole:
                yield from ((e["fetch"], len(e["links"])) for e in journal.events(work) if "fetch" in e)
