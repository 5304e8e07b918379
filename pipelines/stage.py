"""Every stage runs the same way: plan units, do the pending ones with Beam, check, write the manifest."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
from rich.console import Console

from corpus import dataset, files
from corpus.counts import Counts
from corpus.settings import ConfigError
from pipelines import options, progress, report
from pipelines.errors import StageError

UNITS = "units"
_CLAIM = f"{UNITS}/stage.json"

# The names that derlem gives: a unit's files, its records, and any of them half written. A folder may hold
# other files beside them, and those are never touched. Archives that one unit wrote are numbered.
_FINGERPRINT = "[0-9a-f]{16}"
_OURS = re.compile(
    rf"(.*[/-])?{_FINGERPRINT}(\.arrow|-\d{{5}}\.warc(\.wet)?\.gz)(\.tmp-[0-9a-f]{{8}})?"
    rf"|(manifest|report)\.json\.tmp-[0-9a-f]{{8}}"
    rf"|{UNITS}/({_FINGERPRINT}|spill\.tmp-|stage\.json).*"
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A unit of work before it is done: `task` is what the stage's `work` needs, `weight` its input bytes."""

    name: str
    fingerprint: str
    inputs: tuple[dataset.Input, ...]
    task: Any
    weight: int


@dataclass(slots=True)
class Outcome:
    """What the work on a unit gave: files, counts, seconds by step and facts for the manifest."""

    files: list[dataset.File]
    counts: Counts
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


Work = Callable[[Planned, str, progress.Beat], Outcome]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the pipeline, planned.

    `settings` is the part of the configuration that it reads; `work(unit, folder, beat)` does one unit and is
    sent to the workers. A stage whose unit is itself a pipeline (dedupe) says `spread=False` and is done by
    the driver. `rules` are the rules, or families of them, that may drop documents. `beside` are files that
    belong to the whole stage, by name: the driver writes them, and writes them again where they are gone.
    `in_bytes` says whether the units' weights are bytes, of which a rate can be told; `say` gives the line
    beside the bar of progress, in place of the usual one.
    """

    name: str
    version: int
    folder: str
    settings: dict[str, object]
    units: tuple[Planned, ...]
    work: Work
    spread: bool = True
    rules: tuple[str, ...] = ()
    beside: Mapping[str, bytes] = field(default_factory=dict)
    in_bytes: bool = True
    say: Callable[[], str] | None = None


def plan_unit(
    stage: str,
    version: int,
    settings: dict[str, object],
    name: str,
    inputs: tuple[dataset.Input, ...],
    task: Any,
    weight: int,
) -> Planned:
    """Name a unit by what it is made from: its inputs' checksums, the settings and the stage's version."""
    named = [(item.name, item.checksum) for item in inputs]
    return Planned(name, files.fingerprint(stage, version, settings, named), inputs, task, weight)


def is_foreign(folder: str) -> bool:
    """Say whether a folder holds files but no stage of derlem, so that a stage must not be written there."""
    fs, root = files.filesystem(folder)
    if not fs.exists(root) or fs.exists(files.join(root, UNITS)):
        return False
    return not fs.isdir(root) or bool(fs.ls(root, detail=False))


@contextmanager
def alone(output: str) -> Iterator[None]:
    """Hold an output folder for this run; ConfigError where it cannot be written to.

    Locally a second run is refused (StageError): each would take the other's half-written files for
    remains. The lock is the system's, so that it goes however the build ends.
    """
    try:
        files.write_bytes(output, ".writable", b"")
        files.remove(output, ".writable")
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"output = {output!r}: cannot be written to: {error}") from None
    if not files.is_local(output):
        yield
        return
    handle = os.open(output, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(f"{output}: another run is at work here; let it finish or end it") from None
        except OSError:  # a file system without locks, as some network drives are
            pass
        yield
    finally:
        os.close(handle)


def run(
    stage: Stage, runner: options.Runner, console: Console, followers: Sequence[str] = ()
) -> dataset.Manifest:
    """Do a stage's pending units and write its manifest and report; finished units are not done again.

    `followers` are the folders of the stages that are made from this one: when it changes, they and it are
    unfinished, and lose their manifests before any work. Raises StageError when a unit fails or the folder
    holds what derlem did not write, and CountsError when the counts do not add up.
    """
    started = time.monotonic()
    if is_foreign(stage.folder):
        raise StageError(f"{stage.folder} holds files but no derlem stage: name another output folder")
    files.write_json(stage.folder, _CLAIM, {"stage": stage.name})
    pending = [unit for unit in stage.units if not _is_done(stage.folder, unit)]
    for unit in pending:
        for left in ("error", "progress"):
            files.remove(stage.folder, f"{UNITS}/{unit.fingerprint}.{left}")
    if pending or not _is_current(stage):
        for folder in (stage.folder, *followers):
            files.remove(folder, dataset.MANIFEST)
    local = runner.is_local and files.is_local(stage.folder)
    watched = Path(files.filesystem(stage.folder)[1]) / UNITS if local else None
    try:
        weights = {unit.fingerprint: unit.weight for unit in pending}
        with progress.shown(stage.name, watched, weights, console, stage.say):
            if stage.spread:
                _spread(stage, pending, runner)
            else:
                for unit in pending:
                    _do(unit, stage.folder, stage.work)
    except Exception as error:  # Beam wraps whatever a worker raised; the worker noted its cause
        raise StageError(_explain(stage, pending, error)) from error
    records = [_record(stage.folder, unit) for unit in stage.units]
    manifest = dataset.Manifest(
        stage=stage.name,
        version=stage.version,
        settings=stage.settings,
        units=tuple(dataset.Unit.model_validate(record["unit"]) for record in records),
        facts={key: value for record in records for key, value in record["facts"].items()},
        beside={path: hashlib.sha256(content).hexdigest() for path, content in stage.beside.items()},
    )
    for done in manifest.units:
        done.counts.check(f"stage {stage.name}, unit {done.name}")
    fresh = {unit.fingerprint for unit in pending}
    summary = report.summarise(
        manifest,
        stage.rules,
        [record for record in records if record["unit"]["fingerprint"] in fresh],
        time.monotonic() - started,
        sum(unit.weight for unit in pending) if stage.in_bytes else None,
    )
    for path, content in stage.beside.items():
        files.write_bytes(stage.folder, path, content)
    files.write_json(stage.folder, dataset.REPORT, summary)
    dataset.save(stage.folder, manifest)
    _sweep(stage.folder, manifest)
    report.show(summary, console)
    return manifest


def _spread(stage: Stage, pending: list[Planned], runner: options.Runner) -> None:
    if not pending:
        return
    work, folder = stage.work, stage.folder
    # A worker process takes seconds to start; more of them than units would be for nothing.
    fitting = replace(runner, workers=min(runner.workers, len(pending)))
    with options.pipeline(fitting) as pipeline:
        (
            pipeline
            | "units" >> beam.Create(pending)
            | "spread" >> beam.Reshuffle()
            | stage.name >> beam.Map(_do, folder, work)
        )


def _record_path(fingerprint: str) -> str:
    return f"{UNITS}/{fingerprint}.json"


def _do(unit: Planned, folder: str, work: Work) -> str:
    """Do one unit and put its record last: a unit with a record is done, whatever happens after."""
    home = Path(files.filesystem(folder)[1]) / UNITS if files.is_local(folder) else None
    beat_path = home / f"{unit.fingerprint}.progress" if home is not None and home.is_dir() else None
    started = time.monotonic()
    try:
        outcome = work(unit, folder, progress.heartbeat(beat_path))
    except Exception as error:  # the border of the unit: note the cause where the driver finds it
        note = {
            "unit": unit.name,
            "error": f"{type(error).__name__}: {error}",
            "trace": traceback.format_exc(),
        }
        files.write_json(folder, f"{UNITS}/{unit.fingerprint}.error", note)
        raise
    done = dataset.Unit(
        name=unit.name,
        fingerprint=unit.fingerprint,
        inputs=unit.inputs,
        files=tuple(outcome.files),
        counts=outcome.counts,
    )
    record = {
        "unit": done.model_dump(mode="json"),
        "facts": outcome.facts,
        "seconds": outcome.seconds,
        "wall_s": time.monotonic() - started,
        "peak_mb": peak_mb(),
    }
    files.write_json(folder, _record_path(unit.fingerprint), record)
    if beat_path is not None:
        beat_path.unlink(missing_ok=True)
    return unit.fingerprint


def peak_mb() -> float:
    """Give the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)


def _is_done(folder: str, unit: Planned) -> bool:
    try:
        record = files.read_json(folder, _record_path(unit.fingerprint))
        if record is None:
            return False
        done = dataset.Unit.model_validate(record["unit"])
    except (ValueError, KeyError, TypeError):  # a damaged record is none
        return False
    return all(files.size(folder, file.path) == file.bytes for file in done.files)


def _is_current(stage: Stage) -> bool:
    """Say whether the stage's manifest is that of the planned units."""
    try:
        manifest = dataset.load(stage.folder)
    except dataset.DatasetError:
        return False
    return [unit.fingerprint for unit in manifest.units] == [unit.fingerprint for unit in stage.units]


def _record(folder: str, unit: Planned) -> Any:
    record = files.read_json(folder, _record_path(unit.fingerprint))
    if record is None:
        raise StageError(f"unit {unit.name} left no record in {folder}/{UNITS}; run the command again")
    return record


def _explain(stage: Stage, pending: list[Planned], error: Exception) -> str:
    advice = "what was finished is kept: mend the cause and run the same command again"
    for unit in pending:
        note = files.read_json(stage.folder, f"{UNITS}/{unit.fingerprint}.error")
        if note is not None:
            return f"{stage.name} stopped at {note['unit']}: {note['error']}\n{advice}"
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"{stage.name} stopped: {type(error).__name__}: {last}\n{advice}"


def _sweep(folder: str, manifest: dataset.Manifest) -> None:
    """Remove what derlem wrote and the manifest does not name: old outputs, remains of kills."""
    fs, root = files.filesystem(folder)
    keep = {dataset.MANIFEST, dataset.REPORT, _CLAIM, *manifest.beside}
    for unit in manifest.units:
        keep |= {_record_path(unit.fingerprint), *(file.path for file in unit.files)}
    emptied = set()
    for path in fs.find(root):
        name = path[len(root) :].lstrip("/")
        if name not in keep and _OURS.fullmatch(name):
            fs.rm_file(path)
            emptied |= {str(parent) for parent in Path(path).parents}
    if files.is_local(folder):
        for directory, _, _ in os.walk(root, topdown=False):
            ours = directory in emptied or directory.startswith(os.path.join(root, UNITS, ""))
            if ours and not os.listdir(directory):
                os.rmdir(directory)
