"""The end of a unit: its journal becomes Arrow files, and its WARC files are moved to their final place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from corpus import dataset, files
from corpus.counts import Counts
from corpus.crawl.page import CUT_SHORT
from corpus.crawl.rows import Fetch, OriginRow, Outlink
from corpus.crawl.state import events
from corpus.crawl.state.events import Closed, Fetched, Noted
from corpus.crawl.state.layout import WARC
from corpus.schema import FETCHES, ORIGINS, OUTLINKS, Kind

_ROWS = 5_000  # of an Arrow record batch


def gather(home: Path, folder: str, name: str, fingerprint: str) -> tuple[list[dataset.File], Counts]:
    """Write a unit's FETCHES, OUTLINKS and ORIGINS from the journal in `home`; return files and counts."""
    counts = Counts()
    origins: dict[str, OriginRow] = {}
    for event in events.read(home):
        if isinstance(event, Noted):
            origins[event.origin.origin] = event.after(origins.get(event.origin.origin))
        elif isinstance(event, Fetched):
            _count(counts, event)
    contents: tuple[tuple[Kind, Iterable[Fetch | Outlink | OriginRow]], ...] = (
        (FETCHES, (event.fetch for event in _fetched(home))),
        (OUTLINKS, (link for event in _fetched(home) for link in event.links)),
        (ORIGINS, (origins[name] for name in sorted(origins))),
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


def _fetched(home: Path) -> Iterator[Fetched]:
    return (event for event in events.read(home) if isinstance(event, Fetched))


def _count(counts: Counts, event: Fetched) -> None:
    """Count one outcome: pages kept, dropped by a rule or failed; all others are not documents."""
    fetch = event.fetch
    outcome, cause = fetch.outcome, fetch.cause
    if outcome in ("unchanged", "redirect"):
        counts.skip(outcome)
    elif outcome in ("retry", "asked"):
        counts.note("further requests", cause if outcome == "asked" else f"retry: {cause}")
    else:
        counts.seen += 1
        if outcome == "kept":
            counts.kept += 1
            if fetch.detail.startswith(CUT_SHORT):
                counts.note("cut short", fetch.detail.removeprefix(CUT_SHORT))
        elif outcome == "dropped":
            counts.drop(cause)
        else:
            counts.reject(cause)
    if event.links:
        counts.note("links", "found", len(event.links))
    for rule, number in (event.refused or {}).items():
        counts.note("links skipped", rule, number)


def _batches(rows: Iterable[Fetch | Outlink | OriginRow], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield rows as record batches."""
    left = iter(rows)
    while some := [row.values() for row in islice(left, _ROWS)]:
        yield pa.RecordBatch.from_pylist(some, schema)


def closed(home: Path) -> list[tuple[str, int]] | None:
    """Return the WARC files that a unit closed, each with its number of records; None if it is not closed."""
    return next((event.archives for event in events.read(home) if isinstance(event, Closed)), None)


def put(home: Path, archives: Sequence[tuple[str, int]], folder: str) -> list[dataset.File]:
    """Move a unit's closed WARC files from `home` to `folder`; files that a killed move left are included."""
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
