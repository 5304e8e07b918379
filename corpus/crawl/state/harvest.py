"""The end of a unit: its journal becomes Arrow files, and its WARC files go to their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import dataset, files
from corpus.counts import Counts
from corpus.crawl.page import CUT_SHORT
from corpus.crawl.state import journal
from corpus.crawl.state.layout import WARC
from corpus.schema import FETCHES, HOSTS, OUTLINKS, Kind

_ROWS = 5_000  # of an Arrow record batch


def gather(home: Path, folder: str, name: str, fingerprint: str) -> tuple[list[dataset.File], Counts]:
    """Write a unit's FETCHES, OUTLINKS and HOSTS from the journal in `home`; give files and counts."""
    counts = Counts()
    hosts: dict[str, Any] = {}
    for event in journal.events(home):
        if "host" in event:
            host = event["host"]["host"]
            hosts[host] = hosts.get(host, {}) | event["host"]
        elif "fetch" in event:
            _count(counts, event)
    pages = (event for event in journal.events(home) if "fetch" in event)
    links = (link for event in journal.events(home) for link in event.get("links", ()))
    contents: tuple[tuple[Kind, Iterable[Any]], ...] = (
        (FETCHES, (event["fetch"] for event in pages)),
        (OUTLINKS, links),
        (HOSTS, (_host(hosts[host]) for host in sorted(hosts))),
    )
    made = []
    for kind, rows in contents:
        path = f"{kind.name}/{name}-{fingerprint}.arrow"
        with dataset.create(folder, path, kind, fingerprint) as slot:
            for batch in _batches(rows, kind.schema()):
                slot.arrow.write(batch)
        assert slot.file is not None
        made.append(slot.file)
    return made, counts


def _host(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "robots": row["robots"].encode("latin-1")}


def _count(counts: Counts, event: dict[str, Any]) -> None:
    """Count one outcome: pages kept, dropped by a rule, failed; the rest are no documents."""
    fetch = event["fetch"]
    outcome, cause = fetch["outcome"], fetch["cause"]
    if outcome in ("unchanged", "redirect"):
        counts.skip(outcome)
    elif outcome in ("retry", "asked"):
        counts.note("further requests", cause if outcome == "asked" else f"retry: {cause}")
    else:
        counts.seen += 1
        if outcome == "kept":
            counts.kept += 1
            if fetch["detail"].startswith(CUT_SHORT):
                counts.note("cut short", fetch["detail"].removeprefix(CUT_SHORT))
        elif outcome == "dropped":
            counts.drop(cause)
        else:
            counts.reject(cause)
    if event["links"]:
        counts.note("links", "found", len(event["links"]))
    for rule, number in event["refused"].items():
        counts.note("links left out", rule, number)


def _batches(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Put rows into record batches; what a row does not say is 0, empty or, of times, unknown."""
    blank = {field.name: None if pa.types.is_timestamp(field.type) else _zero(field.type) for field in schema}
    waiting: list[dict[str, Any]] = []
    for row in rows:
        waiting.append({**blank, **row})
        if len(waiting) >= _ROWS:
            yield pa.RecordBatch.from_pylist(waiting, schema)
            waiting = []
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema)


def _zero(kind: pa.DataType) -> object:
    return "" if pa.types.is_string(kind) else b"" if pa.types.is_binary(kind) else 0


def closed(home: Path) -> list[tuple[str, int]] | None:
    """Return the WARC files that a unit closed, each with its number of records; None while it is at work."""
    for event in journal.events(home):
        if "closed" in event:
            return [(name, records) for name, records in event["closed"]]
    return None


def put(home: Path, archives: Sequence[tuple[str, int]], folder: str) -> list[dataset.File]:
    """Move a unit's closed WARC files from `home` below `folder`; those that a killed move left, too."""
    made = []
    for archive, records in archives:
        path, name = home / archive, f"{WARC}/{archive}"
        fs, target = files.filesystem(files.join(folder, name))
        fs.makedirs(fs._parent(target), exist_ok=True)
        if path.exists():
            if files.is_local(folder):
                path.replace(target)
            else:
                fs.put_file(str(path), target)
        digest = files.sha256(files.join(folder, name))
        made.append(dataset.File(kind=WARC, path=name, rows=records, bytes=fs.size(target), sha256=digest))
    return made
