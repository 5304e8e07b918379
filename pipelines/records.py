"""The records of a stage's units: what each made, and whether that is still there as it was made."""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from corpus import dataset, files
from pipelines.errors import StageError
from pipelines.sweep import UNITS

_AT_ONCE = 8  # records that are looked at side by side: hashing, and asking a store, leave Python free


class Named(Protocol):
    """A unit of work."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


_Unit = TypeVar("_Unit", bound=Named)


def _path(fingerprint: str) -> str:
    return f"{UNITS}/{fingerprint}.json"


def write(
    folder: str, unit: dataset.Unit, facts: dict[str, object], seconds: dict[str, float], wall_s: float
) -> None:
    """Write the record of a unit, which is done with it, and remember what its files look like."""
    record = {
        "unit": unit.model_dump(mode="json"),
        "facts": facts,
        "seconds": seconds,
        "wall_s": wall_s,
        "peak_mb": peak_mb(),
        "stamps": _stamps(folder, unit),
    }
    files.write_json(folder, _path(unit.fingerprint), record)


def read(folder: str, name: str, fingerprint: str) -> Any:
    """Return the record of a unit that is done; StageError where there is none."""
    record = files.read_json(folder, _path(fingerprint))
    if record is None:
        raise StageError(f"unit {name} left no record in {folder}/{UNITS}; run the command again")
    return record


def pending(folder: str, units: Iterable[_Unit]) -> list[_Unit]:
    """Return the units that are not done: no record, or a file of theirs is gone or has changed."""
    units = list(units)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = list(pool.map(lambda unit: is_done(folder, unit.fingerprint), units))
    return [unit for unit, is_ in zip(units, done, strict=True) if not is_]


def is_done(folder: str, fingerprint: str) -> bool:
    """Return whether a unit has a record and its files are those that it made.

    A file is read again only where its length is right and its times or inode are not those of when it was
    written, or last read. On a remote store the length alone is compared.
    """
    try:
        record = files.read_json(folder, _path(fingerprint))
        if record is None:
            return False
        unit = dataset.Unit.model_validate(record["unit"])
        known: Mapping[str, Any] = record.get("stamps", {})
    except (ValueError, KeyError, TypeError):  # a damaged record is none
        return False
    if any(files.size(folder, file.path) != file.bytes for file in unit.files):
        return False
    found = _stamps(folder, unit)
    changed = [file for file in unit.files if file.path in found and known.get(file.path) != found[file.path]]
    if any(files.sha256(files.join(folder, file.path)) != file.sha256 for file in changed):
        return False
    if changed:  # moved or touched: not to be read again by the next run
        files.write_json(folder, _path(fingerprint), {**record, "stamps": found})
    return True


def _stamps(folder: str, unit: dataset.Unit) -> dict[str, list[int]]:
    """Return the stamps of a unit's local files."""
    if not files.is_local(folder):
        return {}
    return {file.path: files.stamp(files.join(folder, file.path)) for file in unit.files}


def note_error(folder: str, name: str, fingerprint: str, error: Exception) -> None:
    """Note what a unit failed of, where the driver finds it."""
    note = {
        "unit": name,
        "error": f"{type(error).__name__}: {error}",
        "trace": traceback.format_exc(),
    }
    files.write_json(folder, f"{UNITS}/{fingerprint}.error", note)


def error(folder: str, fingerprint: str) -> Any:
    """Return what a unit failed of, None where it did not."""
    return files.read_json(folder, f"{UNITS}/{fingerprint}.error")


def peak_mb() -> float:
    """Return the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)
