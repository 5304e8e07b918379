"""The records of a stage's units: what each made, and whether that still is as it was made.

A worker writes a record, a file of its own. The driver keeps what it has read of them in one index, so that
to find that nothing is to do takes one listing of the stage's folder and two files, however many units.
"""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.ipc as ipc
from pydantic import BaseModel, ValidationError

from corpus import dataset, files, garbage
from pipelines.errors import StageError
from pipelines.sweep import INDEX, UNITS

_AT_ONCE = 32  # records that are read side by side: it is a store, or the disk, that takes the time

_BATCH = 4_096  # records of a batch of the index
_SCHEMA = pa.schema([("fingerprint", pa.string()), ("mark", pa.string()), ("record", pa.large_binary())])


class Named(Protocol):
    """A unit of work."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


_Unit = TypeVar("_Unit", bound=Named)


class Record(BaseModel):
    """What a unit made and what it took; `stamps` are what its local files looked like then."""

    unit: dataset.Unit
    facts: dict[str, Any]
    seconds: dict[str, float]
    wall_s: float
    peak_mb: float
    stamps: dict[str, list[int]] = {}


@dataclass(slots=True)
class Records:
    """The records of a stage, as of one listing of its folder."""

    folder: str
    listed: dict[str, files.Stamp]
    found: dict[str, Record] = field(default_factory=dict)  # by fingerprint, of units that are done
    _marks: dict[str, str] = field(default_factory=dict)  # of the record files that were read

    def pending(self, units: Iterable[_Unit]) -> list[_Unit]:
        """Return the units that are not done: no record, or a file of theirs is gone or has changed.

        A file is read again only where its length is right and its times or inode are not those of when it
        was written, or last read. On a remote store the length alone is compared.
        """
        units = list(units)
        self._read(unit.fingerprint for unit in units)
        changed = [unit for unit in units if not self._is_as_made(unit.fingerprint)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            whole = list(pool.map(lambda unit: self._is_whole(unit.fingerprint), changed))
        pending = [unit for unit, is_ in zip(changed, whole, strict=True) if not is_]
        for unit in pending:
            self.found.pop(unit.fingerprint, None)
        return pending

    def list_again(self) -> None:
        """List the folder again, after work was done there."""
        self.listed = files.listing(self.folder)

    def collect(self, units: Iterable[_Unit]) -> list[Record]:
        """Return the records of units that are all done; StageError for one that left none."""
        units = list(units)
        self._read(unit.fingerprint for unit in units if unit.fingerprint not in self.found)
        for unit in units:
            if unit.fingerprint not in self.found:
                raise StageError(
                    f"unit {unit.name} left no record in {self.folder}/{UNITS}; run the command again"
                )
        return [self.found[unit.fingerprint] for unit in units]

    def _read(self, fingerprints: Iterable[str]) -> None:
        """Read records: from the index where it has them as they are, from their files otherwise."""
        marks = {
            fingerprint: _mark(self.listed[path])
            for fingerprint in fingerprints
            if (path := _path(fingerprint)) in self.listed
        }
        with garbage.none():
            indexed = _indexed(self.folder, marks) if INDEX in self.listed else {}
            self.found |= indexed
            unread = [fingerprint for fingerprint in marks if fingerprint not in indexed]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for fingerprint, record in zip(unread, pool.map(self._record, unread), strict=True):
                    if record is not None:
                        self.found[fingerprint] = record
        self._marks |= marks
        if unread:
            self._write_index()

    def _record(self, fingerprint: str) -> Record | None:
        return _parsed(files.read_bytes(self.folder, _path(fingerprint)) or b"")

    def _write_index(self) -> None:
        names = list(self.found)
        options = ipc.IpcWriteOptions(compression="zstd")
        with (
            files.create(self.folder, INDEX) as pending,
            ipc.new_stream(pending.sink, _SCHEMA, options=options) as writer,
        ):
            for at in range(0, len(names), _BATCH):
                some = names[at : at + _BATCH]
                marks = [self._marks.get(name, "") for name in some]
                texts = [self.found[name].model_dump_json().encode() for name in some]
                writer.write_batch(pa.record_batch([some, marks, texts], schema=_SCHEMA))

    def _is_as_made(self, fingerprint: str) -> bool:
        """Return whether a unit's files all look as when it made them."""
        record = self.found.get(fingerprint)
        if record is None or not self._has_lengths(record):
            return False
        if not files.is_local(self.folder):
            return True
        stamps = {file.path: self.listed[file.path] for file in record.unit.files}
        if record.stamps != stamps:
            return False
        record.stamps = stamps  # the objects of the listing, instead of as many of its own
        return True

    def _is_whole(self, fingerprint: str) -> bool:
        """Return whether a unit's files hold what it made: those that look otherwise are read."""
        record = self.found.get(fingerprint)
        if record is None or not self._has_lengths(record):
            return False
        made = record.unit.files
        changed = [file for file in made if record.stamps.get(file.path) != self.listed[file.path]]
        if any(files.sha256(files.join(self.folder, file.path)) != file.sha256 for file in changed):
            return False
        # Moved or touched: not to be read again by the next run.
        record.stamps = {file.path: self.listed[file.path] for file in made}
        files.write_json(self.folder, _path(fingerprint), record.model_dump(mode="json"))
        return True

    def _has_lengths(self, record: Record) -> bool:
        return all(
            (found := self.listed.get(file.path)) is not None and found[0] == file.bytes
            for file in record.unit.files
        )


def scan(folder: str) -> Records:
    """List a stage's folder, once."""
    return Records(folder, files.listing(folder))


def _path(fingerprint: str) -> str:
    return f"{UNITS}/{fingerprint}.json"


def _mark(stamp: files.Stamp) -> str:
    return "-".join(map(str, stamp))


def _indexed(folder: str, marks: Mapping[str, str]) -> dict[str, Record]:
    """Return the records that the index has of record files that still look as when it was written."""
    found: dict[str, Record] = {}
    try:
        with files.open_bytes(files.join(folder, INDEX)) as file, ipc.open_stream(file) as batches:
            for batch in batches:
                for name, mark, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if marks.get(name) == mark and (record := _parsed(text)) is not None:
                        found[name] = record
    except (pa.ArrowException, OSError, ValueError):  # damaged: the records themselves are read
        return {}
    return found


def _parsed(text: bytes) -> Record | None:
    try:
        return Record.model_validate_json(text)
    except ValidationError:  # a damaged record is none
        return None


def write(
    folder: str, unit: dataset.Unit, facts: dict[str, object], seconds: dict[str, float], wall_s: float
) -> None:
    """Write the record of a unit, which is done with it, and remember what its files look like."""
    stamps = {}
    if files.is_local(folder):
        stamps = {file.path: files.stamp(files.join(folder, file.path)) for file in unit.files}
    record = Record(unit=unit, facts=facts, seconds=seconds, wall_s=wall_s, peak_mb=peak_mb(), stamps=stamps)
    files.write_json(folder, _path(unit.fingerprint), record.model_dump(mode="json"))


def note_error(folder: str, name: str, fingerprint: str, error: Exception) -> None:
    """Note what a unit failed of, where the driver finds it."""
    note = {
        "unit": name,
        "error": f"{type(error).__name__}: {error}",
        "trace": traceback.format_exc(),
    }
    files.write_json(folder, f"{UNITS}/{fingerprint}.error", note)


def error(folder: str, units: Iterable[Named]) -> Any:
    """Return what the first unit that failed failed of, None where none did."""
    noted = files.names(files.join(folder, UNITS))
    for unit in units:
        if (name := f"{unit.fingerprint}.error") in noted:
            return files.read_json(folder, f"{UNITS}/{name}")
    return None


def peak_mb() -> float:
    """Return the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)
