"""How far a build is, from its files alone: what each stage claims, and the records of its units.

A stage that starts work writes how many units it has and how many of them are to be done; units write their
records, notes of errors and, on a local disk, heartbeats. So any machine that sees the files can tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from corpus import chain, dataset, files
from corpus.crawl.state import catalogue
from pipelines import sweep
from pipelines.lock import LOCK

FINISHED, UNFINISHED, WAITING = "finished", "unfinished", "waiting"
"""States of a stage: it has its manifest; it has a claim; or a stage before it is not finished."""

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
_NAMED = 5  # failed units that are named


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage of a build.

    `planned` units are known of stages that have started, `seen` and `kept` documents of a finished stage or
    of the units of this run, as far as the files are on this machine. `rate` is in documents per second, or
    in units where documents are not known; `left_s` estimates the seconds to the end. `last` is the time of
    the newest sign of work, seconds since 1970. `errors` are the units that failed, with their causes.
    """

    name: str
    state: str
    done: int = 0
    planned: int | None = None
    seen: int | None = None
    kept: int | None = None
    rate: float | None = None
    left_s: float | None = None
    last: float | None = None
    errors: tuple[str, ...] = ()
    failed: int = 0


@dataclass(frozen=True, slots=True)
class BuildStatus:
    """The stages of a build in order; `holder` is who works on it on a store, "" where that is not known."""

    stages: tuple[StageStatus, ...]
    holder: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Note:
    """A file of the units of a stage, and when it was written."""

    name: str
    written: float


class BuildWatch:
    """The status of a build, looked at repeatedly: a unit's record is read once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._counts: dict[str, tuple[int, int]] = {}  # seen and kept, by the record's path

    def look(self) -> BuildStatus | None:
        """Return the current status; None where the folder holds neither a build nor a stage."""
        found: list[StageStatus] = []
        for name, home in _stages(self._folder):
            if any(stage.state == UNFINISHED for stage in found):
                found.append(StageStatus(name, WAITING))
            elif (stage := self._stage(name, home)) is not None:
                found.append(stage)
        return BuildStatus(tuple(found), _holder(self._folder)) if found else None

    def _stage(self, name: str, home: str) -> StageStatus | None:
        if files.size(home, dataset.MANIFEST) is not None:
            return _finished(name, _json(home, dataset.REPORT))
        notes = list(_notes(files.join(home, sweep.UNITS)))
        claim = _json(home, sweep.CLAIM)
        return self._unfinished(name, home, notes, claim) if claim else None

    def _unfinished(
        self, name: str, home: str, notes: list[_Note], claim: Mapping[str, Any]
    ) -> StageStatus | None:
        started = next((note.written for note in notes if sweep.CLAIM.endswith(f"/{note.name}")), 0.0)
        records = [note for note in notes if sweep.is_record(note.name) and note.written >= started]
        shares = [self._under_way(home, note.name) for note in notes if note.name.endswith(".progress")]
        errors = [note.name for note in notes if note.name.endswith(".error")]
        pending, planned = claim.get("pending"), claim.get("units")
        if not isinstance(pending, int) or not isinstance(planned, int):  # an earlier version wrote it
            pending = planned = None
        last = max((note.written for note in notes), default=started)
        counts = [self._counted(home, note.name) for note in records] if files.is_local(home) else None
        seen = kept = rate = None
        passed = last - started
        if counts is not None:
            seen = sum(count[0] for count in counts) + sum(share[0] for share in shares)
            kept = sum(count[1] for count in counts) + sum(share[1] for share in shares)
        if passed > 0:
            rate = (len(records) if seen is None else seen) / passed
        now_done = len(records) + sum(share[2] for share in shares)
        left = None
        if pending is not None and now_done and passed > 0:
            left = max(0.0, pending - now_done) * passed / now_done
        return StageStatus(
            name=name,
            state=UNFINISHED,
            done=len(records) + ((planned or 0) - (pending or 0)),
            planned=planned,
            seen=seen,
            kept=kept,
            rate=rate,
            left_s=left,
            last=last or None,
            errors=tuple(_error(home, note) for note in sorted(errors)[:_NAMED]),
            failed=len(errors),
        )

    def _counted(self, home: str, name: str) -> tuple[int, int]:
        """Return the documents that a record counts, seen and kept; it does not change."""
        path = files.join(home, sweep.UNITS, name)
        if path not in self._counts:
            record = _json(home, f"{sweep.UNITS}/{name}")
            counts = record.get("unit", {}).get("counts", {})
            self._counts[path] = int(counts.get("seen", 0)), int(counts.get("kept", 0))
        return self._counts[path]

    def _under_way(self, home: str, name: str) -> tuple[int, int, float]:
        """Return the documents seen and kept, and the share done, of a unit at work."""
        data = files.read_bytes(home, f"{sweep.UNITS}/{name}")
        try:
            seen, kept, share = json.loads(data or b"")
            return int(seen), int(kept), float(share)
        except (ValueError, TypeError):  # it has just ended, or is being written
            return 0, 0, 0.0


def _stages(folder: str) -> list[tuple[str, str]]:
    """Return the names and folders of the stages that a folder may hold: a build's, taken pages', its own."""
    claimed = _json(folder, sweep.CLAIM).get("stage")
    if isinstance(claimed, str):
        return [(claimed, folder)]
    taken = [(home.rstrip("/").rpartition("/")[2], home) for home in catalogue.taken(folder)]
    return [*((row.name, files.join(folder, row.folder)) for row in chain.STAGES), *taken]


def _finished(name: str, report: Mapping[str, Any]) -> StageStatus:
    counts = report.get("counts", {})
    units = int(report.get("units", 0))
    return StageStatus(
        name=name,
        state=FINISHED,
        done=units,
        planned=units,
        seen=counts.get("seen"),
        kept=counts.get("kept"),
        rate=report.get("documents_per_s"),
    )


def _holder(folder: str) -> str:
    held = {} if files.is_local(folder) else _json(folder, LOCK)
    return (
        f"{held['host']}, process {held.get('process')}, since {held.get('began')}" if "host" in held else ""
    )


def _json(folder: str, name: str) -> dict[str, Any]:
    """Return an object of JSON; an empty one where there is none, or it is being replaced."""
    try:
        found = files.read_json(folder, name)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(home: str, name: str) -> str:
    note = _json(home, f"{sweep.UNITS}/{name}")
    return f"{note.get('unit', name)}: {note.get('error', 'not readable')}"


def _notes(folder: str) -> Iterator[_Note]:
    """Yield the files of a stage's units, by one listing."""
    fs, root = files.filesystem(folder)
    if not files.is_local(folder):
        fs.invalidate_cache(root)
    try:
        entries = fs.ls(root, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        yield _Note(str(entry["name"]).rstrip("/").rpartition("/")[2], _written(entry))


def _written(entry: Mapping[str, Any]) -> float:
    """Return when a file was written, as its file system says, in seconds since 1970; 0 if it does not."""
    for key in _TIMES:
        value = entry.get(key)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value.timestamp()
    return 0.0
