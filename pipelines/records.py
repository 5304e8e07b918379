"""The records of a stage's units: which files each wrote, and whether they are unchanged.

A worker writes a record, a file of its own. The driver keeps them in one index, so that a finished
stage is recognised by one listing of its folder and two files, however many units.
"""

from __future__ import annotations

import resource
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.ipc as ipc
from pydantic import BaseModel, ValidationError

from corpus import dataset, files, garbage
from corpus.errors import StageError
from pipelines.sweep import INDEX, UNITS

_AT_ONCE = 32  # records that are read at the same time: the store, or the disk, is the slow part

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
    """The files of a unit, and its time and memory; `stamps` describe its local files at that time."""

    unit: dataset.Unit
    facts: dict[str, Any]
    seconds: dict[str, float]
    wall_s: float
    processor_s: float = 0.0  # its process's and those it started
    peak_mb: float
    stamps: dict[str, list[int]] = {}


@dataclass(frozen=True, slots=True)
class Done:
    """The unit as the manifest has it."""

    unit: dataset.Unit
    facts: dict[str, Any]


@dataclass(slots=True)
class Records:
    """The records of a stage, as of one listing of its folder."""

    folder: str
    listed: dict[str, files.Stamp]
    stale: Counter[str] = field(default_factory=Counter)
    """Finished units that `pending` found to be made again, by reason."""
    _done: dict[str, Done] = field(default_factory=dict)  # by fingerprint

    def pending(
        self, units: Iterable[_Unit], why_stale: Callable[[dataset.Unit], str] | None = None
    ) -> list[_Unit]:
        """Return the units that are not done: no record, a file of theirs is gone or has changed, or stale.

        A file is read again only where its length is right and its times or inode are not those of when it
        was written, or last read. On a remote store the length alone is compared.
        """
        units = list(units)
        changed: list[Record] = []
        with garbage.none():
            for record in self._read({unit.fingerprint for unit in units}):
                if self._is_as_made(record):
                    self._settle(record)
                else:
                    changed.append(record)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for record, is_whole in zip(changed, pool.map(self._is_whole, changed), strict=True):
                if is_whole:
                    self._settle(record)
        if why_stale is not None:
            done = list(self._done.items())
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                reasons = pool.map(why_stale, (found.unit for _, found in done))
                for (fingerprint, _), reason in zip(done, reasons, strict=True):
                    if reason:
                        self.stale[reason] += 1
                        del self._done[fingerprint]
        return [unit for unit in units if unit.fingerprint not in self._done]

    def finish(self, units: Sequence[Named]) -> list[Record]:
        """Return the records of units that were just done; StageError for one that left none."""
        self.listed.clear()  # two listings of a large stage at once are memory that nothing needs
        self.listed |= files.listing(self.folder)
        found = {record.unit.fingerprint: record for record in self._read({u.fingerprint for u in units})}
        for unit in units:
            if unit.fingerprint not in found:
                raise StageError(
                    f"unit {unit.name} left no record in {self.folder}/{UNITS}; run the command again"
                )
            self._settle(found[unit.fingerprint])
        return [found[unit.fingerprint] for unit in units]

    def done(self, units: Iterable[Named]) -> list[Done]:
        """Return the records of units, all of which are done."""
        return [self._done[unit.fingerprint] for unit in units]

    def _settle(self, record: Record) -> None:
        self._done[record.unit.fingerprint] = Done(record.unit, record.facts)

    def _read(self, fingerprints: Set[str]) -> Iterator[Record]:
        """Yield all records: from the index where it is up to date, else from their files."""
        unread = {fingerprint for fingerprint in fingerprints if _path(fingerprint) in self.listed}
        for fingerprint, text in self._indexed():
            if fingerprint in unread and (record := _parsed(text)) is not None:
                unread.remove(fingerprint)
                yield record
        if unread:
            yield from self._read_files(sorted(unread))

    def _record(self, fingerprint: str) -> Record | None:
        return _parsed(files.read_bytes(self.folder, _path(fingerprint)) or b"")

    def _mark(self, fingerprint: str) -> str:
        """Return the stamp of a record's file; "" if there is none."""
        return "-".join(map(str, self.listed.get(_path(fingerprint), ())))

    def _indexed(self) -> Iterator[tuple[str, bytes]]:
        """Yield the records of the index whose files did not change since they were read for it."""
        if INDEX not in self.listed:
            return
        try:
            with files.open_bytes(files.join(self.folder, INDEX)) as file, ipc.open_stream(file) as batches:
                for batch in batches:
                    for fingerprint, mark, text in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                        if mark and mark == self._mark(fingerprint):
                            yield fingerprint, text
        except (pa.ArrowException, OSError):  # damaged: read the records themselves
            return

    def _read_files(self, unread: Sequence[str]) -> Iterator[Record]:
        """Yield the records of these files, add them to the index, and remove those without a file.

        A batch at a time is held: whoever takes them keeps a small part of each.
        """
        new = frozenset(unread)
        known = ((name, text) for name, text in self._indexed() if name not in new)
        waiting = iter(unread)
        options = ipc.IpcWriteOptions(compression="zstd")
        with (
            ThreadPoolExecutor(_AT_ONCE) as pool,
            files.create(self.folder, INDEX) as pending,
            ipc.new_stream(pending.sink, _SCHEMA, options=options) as writer,
        ):
            while some := list(islice(known, _BATCH)):
                writer.write_batch(self._batch(some))
            while names := list(islice(waiting, _BATCH)):
                read = [record for record in pool.map(self._record, names) if record is not None]
                if read:
                    rows = [(record.unit.fingerprint, record.model_dump_json().encode()) for record in read]
                    writer.write_batch(self._batch(rows))
                yield from read

    def _batch(self, rows: Sequence[tuple[str, bytes]]) -> pa.RecordBatch:
        names, texts = zip(*rows, strict=True)
        return pa.record_batch([names, [self._mark(name) for name in names], texts], schema=_SCHEMA)

    def _is_as_made(self, record: Record) -> bool:
        """Return whether the stamps of a unit's files are unchanged."""
        if not self._has_lengths(record):
            return False
        made = record.unit.files
        return not files.is_local(self.folder) or all(
            record.stamps.get(file.path) == self.listed[file.path] for file in made
        )

    def _is_whole(self, record: Record) -> bool:
        """Return whether the content of a unit's files is unchanged: those with another stamp are read."""
        if not self._has_lengths(record):
            return False
        made = record.unit.files
        changed = [file for file in made if record.stamps.get(file.path) != self.listed[file.path]]
        if any(files.sha256(files.join(self.folder, file.path)) != file.sha256 for file in changed):
            return False
        # Moved or touched: not to be read again by the next run.
        record.stamps = {file.path: self.listed[file.path] for file in made}
        files.write_json(self.folder, _path(record.unit.fingerprint), record.model_dump(mode="json"))
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


def _parsed(text: bytes) -> Record | None:
    try:
        return Record.model_validate_json(text)
    except ValidationError:  # a damaged record does not count
        return None


def write(
    folder: str,
    unit: dataset.Unit,
    facts: dict[str, object],
    seconds: dict[str, float],
    wall_s: float,
    processor_s: float,
) -> Record:
    """Write the record of a unit, which completes it, with the stamps of its files; return it."""
    stamps = {}
    if files.is_local(folder):
        stamps = {file.path: files.stamp(files.join(folder, file.path)) for file in unit.files}
    record = Record(
        unit=unit,
        facts=facts,
        seconds=seconds,
        wall_s=wall_s,
        processor_s=processor_s,
        peak_mb=peak_mb(),
        stamps=stamps,
    )
    files.write_json(folder, _path(unit.fingerprint), record.model_dump(mode="json"))
    return record


def note_error(folder: str, name: str, fingerprint: str, error: Exception) -> None:
    """Store the error of a failed unit where the driver finds it."""
    note = {
        "unit": name,
        "error": f"{type(error).__name__}: {error}",
        "trace": traceback.format_exc(),
    }
    files.write_json(folder, f"{UNITS}/{fingerprint}.error", note)


def error(folder: str, units: Iterable[Named]) -> Any:
    """Return the error of the first unit that failed, None where none did."""
    noted = files.names(files.join(folder, UNITS))
    for unit in units:
        if (name := f"{unit.fingerprint}.error") in noted:
            return files.read_json(folder, f"{UNITS}/{name}")
    return None


def errors(folder: str, kind: type[Exception]) -> set[str]:
    """Return the texts of all errors of one kind."""
    found = set()
    for name in files.names(files.join(folder, UNITS)):
        note = files.read_json(folder, f"{UNITS}/{name}") if name.endswith(".error") else None
        named, _, text = str(note["error"]).partition(": ") if note is not None else ("", "", "")
        if named == kind.__name__:
            found.add(text)
    return found


def processor_s() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def peak_mb() -> float:
    """Return the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)
