"""Every stage runs the same way: plan units, do the pending ones with Beam, check, write the manifest."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from corpus import chain, dataset, files, versions
from corpus.config import Config
from corpus.counts import Counts
from corpus.errors import DatasetError, StageError, WorkerDiedError
from corpus.plural import plural
from corpus.teller import Teller
from pipelines import installed, options, pool, progress, records, report, sweep, workers
from pipelines.dataflow import GraphOnly
from pipelines.options import Runner
from pipelines.sweep import UNITS

_ADVICE = "Finished units are kept. Fix the cause, then run the same command again."


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage is planned from: the configuration, the folder of its file, and what runs the work."""

    config: Config
    base: Path = Path("/")
    runner: Runner = field(default_factory=Runner)

    def folder(self, name: str) -> str:
        """Return the folder of the stage called `name`."""
        return files.join(self.config.output, chain.find(name).folder)

    def input_of(self, name: str, kind: str) -> str:
        """Return the folder of the nearest stage before `name` that writes files of `kind`."""
        return self.folder(chain.upstream(name, kind).name)


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

    `settings` is the part of the configuration that it reads; `work(unit, folder, beat)` does one unit and
    is sent to the workers. A stage whose unit is itself a pipeline (dedupe) says `spread=False` and is done
    by the driver. `rules` are the rules, or families of them, that may drop documents. `beside` are files
    that belong to the whole stage, by name: the driver writes them, again if they are missing.
    `worker_bytes` is the weight that makes a local worker process worth its start; 0 where weights are not
    bytes: then there is no rate, and each unit is worth a worker. `say` returns the line beside the progress
    bar, instead of the usual one. `check` raises StageError where the finished stage must stop the build;
    its manifest and report stay for inspection. `why_stale` tells of a finished unit why it has to be done
    again, for what no fingerprint tells; "" where it has not. `again` plans the stage again if the failed
    units show that it was planned wrongly.
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
    worker_bytes: int = 4 << 20
    say: Callable[[], str] | None = None
    check: Callable[[dataset.Manifest], None] | None = None
    why_stale: Callable[[dataset.Unit], str] | None = None
    again: Callable[[], Stage | None] | None = None


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
    """Return whether a folder holds files but no stage of derlem, where a stage must not be written."""
    if files.is_local(folder) and os.path.exists(root := files.filesystem(folder)[1]):
        return not os.path.isdir(root) or _are_foreign(os.listdir(root))
    return _are_foreign(files.names(folder))


def _are_foreign(names: Iterable[str]) -> bool:
    """Return whether the files of these names do not belong to a stage, which always has `units`."""
    tops = {name.partition("/")[0] for name in names}
    return bool(tops) and UNITS not in tops


def run(
    stage: Stage, runner: options.Runner, teller: Teller, followers: Sequence[str] = ()
) -> dataset.Manifest:
    """Do a stage's pending units and write its manifest and report; finished units are not done again.

    `followers` are the folders of the stages that are made from this one: when it changes, they and it are
    unfinished, and lose their manifests before any work. Raises StageError when a unit fails or the folder
    holds what derlem did not write, and CountsError when the counts do not add up.
    """
    started = time.monotonic()
    known, fresh = records.scan(stage.folder), list[records.Record]()
    if _are_foreign(known.listed):
        raise StageError(f"{stage.folder} holds files but no derlem stage: name another output folder")
    sweep.sweep_temporaries(stage.folder, known.listed, tuple(stage.beside))
    pending = known.pending(stage.units, stage.why_stale)
    upgrade = _claim(stage, known.listed, len(pending))
    left = ("json", "error", "progress")  # the record, too: one that is no longer true
    notes = (f"{UNITS}/{unit.fingerprint}.{kind}" for unit in pending for kind in left)
    files.remove_all(stage.folder, [name for name in notes if name in known.listed])
    if pending and upgrade:
        teller.say(f"{upgrade}: {len(pending):,} units of {stage.name} are made again")
    for reason, number in known.stale.items():
        teller.say(f"{reason}: {number:,} of {plural(len(stage.units), 'unit')} of {stage.name} made again")
    manifest = None if pending else _manifest(stage, known.done(stage.units))
    is_written = (
        manifest is not None and dataset.MANIFEST in known.listed and dataset.is_saved(stage.folder, manifest)
    )
    if not is_written and not _is_of_these_units(stage, manifest):
        for folder in (stage.folder, *followers):
            files.remove(folder, dataset.MANIFEST)
    watched = files.join(stage.folder, UNITS)
    teller.note("stage started", stage=stage.name, units=len(stage.units), pending=len(pending))
    told = partial(_note_done, stage.name, teller)
    try:
        weights = {unit.fingerprint: unit.weight for unit in pending}
        patience_s = runner.patience * 60 if stage.spread and not runner.is_local else 0
        with progress.shown(stage.name, watched, weights, teller, stage.say, patience_s):
            if stage.spread:
                _spread(stage, pending, runner, told)
            else:
                for unit in pending:
                    told(_do(unit, stage.folder, stage.work))
    except GraphOnly:
        raise
    except WorkerDiedError as error:
        raise StageError(f"{error}\nFinished units are kept; run the same command again to resume.") from None
    except Exception as error:  # Beam wraps whatever a worker raised; the worker noted its cause
        if stage.again is not None and (planned := stage.again()) is not None:
            return run(planned, runner, teller, followers)
        raise StageError(_explain(stage, pending, error, teller)) from error
    if manifest is None:
        fresh = known.finish(pending)
        if stage.spread and not runner.is_local:
            for record in fresh:
                told(record)
        manifest = _manifest(stage, known.done(stage.units))
    for done in manifest.units:
        done.counts.check(f"stage {stage.name}, unit {done.name}")
    summary = report.summarise(
        manifest,
        stage.rules,
        [record.model_dump(mode="json") for record in fresh],
        time.monotonic() - started,
        sum(unit.weight for unit in pending) if stage.worker_bytes else None,
    )
    for path, content in stage.beside.items():
        if not is_written or path not in known.listed or files.is_local(stage.folder):
            files.write_bytes(stage.folder, path, content)
    # Where nothing was to do, the last report still tells how this was made.
    if not is_written or dataset.REPORT not in known.listed:
        files.write_json(stage.folder, dataset.REPORT, summary)
        dataset.save(stage.folder, manifest)
    sweep.sweep(stage.folder, manifest, known.listed)
    teller.report(summary)
    if stage.check is not None:
        stage.check(manifest)
    return manifest


def _note_done(stage: str, teller: Teller, record: records.Record) -> None:
    unit, counts = record.unit, record.unit.counts
    teller.note(
        "unit done",
        stage=stage,
        unit=unit.name,
        fingerprint=unit.fingerprint,
        documents=counts.seen,
        kept=counts.kept,
        seconds=round(record.wall_s, 3),
    )


def _spread(
    stage: Stage, pending: list[Planned], runner: options.Runner, told: Callable[[records.Record], None]
) -> None:
    """Do the pending units where the runner says: by Beam, by local worker processes, or here.

    `told` takes the record of each unit that was done on this machine, as soon as it is.
    """
    pending = sorted(pending, key=lambda unit: -unit.weight)  # the last to end is then a small one
    do = partial(_do, folder=stage.folder, work=stage.work)
    if pending and not runner.is_local:
        do = partial(do, driver=installed.here())
        import apache_beam as beam  # here: it takes a second, which no local stage waits for

        from pipelines import metrics, plans

        named = files.fingerprint(*(unit.fingerprint for unit in stage.units))
        pieces = plans.write(stage.folder, named, pending)
        with options.pipeline(runner, files.join(stage.folder, UNITS), stage.name, named) as pipeline:
            _ = (
                pipeline
                | "Plan" >> beam.Create(range(pieces))
                | "Units" >> beam.FlatMap(plans.read, stage.folder, named)
                | "Spread" >> beam.Reshuffle()
                | stage.name >> beam.Map(do)
                | "Count" >> beam.Map(metrics.count)
            )
    elif (number := useful_workers(stage, pending, runner.workers)) > 1:
        with workers.logs_beside(files.join(stage.folder, UNITS)) as logs:
            pool.run(do, pending, number, logs, attrgetter("name"), told)
    else:
        for unit in pending:
            told(do(unit))


def useful_workers(stage: Stage, pending: list[Planned], most: int) -> int:
    """Return how many worker processes are worth their start, at most as many as there are units."""
    if stage.worker_bytes:
        most = min(most, sum(unit.weight for unit in pending) // stage.worker_bytes)
    return min(most, len(pending))


def _do(unit: Planned, folder: str, work: Work, driver: Mapping[str, str] | None = None) -> records.Record:
    """Do one unit and put its record last: a unit with a record is done, whatever happens after.

    `driver` are the versions that this process must have, where it is a worker elsewhere.
    """
    home = Path(files.filesystem(folder)[1]) / UNITS if files.is_local(folder) else None
    beat_path = home / f"{unit.fingerprint}.progress" if home is not None and home.is_dir() else None
    started, spent = time.monotonic(), records.processor_s()
    try:
        if driver is not None:
            installed.check(driver)
        with files.told_of_full_disk(files.join(folder, "")):
            outcome = work(unit, folder, progress.heartbeat(beat_path))
    except Exception as error:  # the border of the unit: note the cause where the driver finds it
        with suppress(OSError):  # of a full disk, which takes no note either
            records.note_error(folder, unit.name, unit.fingerprint, error)
        raise
    done = dataset.Unit(
        name=unit.name,
        fingerprint=unit.fingerprint,
        inputs=unit.inputs,
        files=tuple(outcome.files),
        counts=outcome.counts,
    )
    lasted, spent = time.monotonic() - started, records.processor_s() - spent
    record = records.write(folder, done, outcome.facts, outcome.seconds, lasted, spent)
    if beat_path is not None:
        beat_path.unlink(missing_ok=True)
    return record


def _claim(stage: Stage, listed: Container[str], pending: int) -> str:
    """Write which stage the folder belongs to; return which libraries were upgraded since the last time.

    Before work the claim says how many units there are, and how many to be done from now on: what `status`
    compares the records with.
    """
    before: object = None
    if sweep.CLAIM in listed:
        with suppress(ValueError):  # damaged
            before = files.read_json(stage.folder, sweep.CLAIM)
    claim: dict[str, object] = {"stage": stage.name}
    if versions.KEY in stage.settings:
        claim[versions.KEY] = stage.settings[versions.KEY]
    known = before if isinstance(before, dict) else {}
    if pending or any(known.get(key) != value for key, value in claim.items()):
        files.write_json(stage.folder, sweep.CLAIM, {**claim, "units": len(stage.units), "pending": pending})
    return versions.changed(known, claim)


def _manifest(stage: Stage, made: Sequence[records.Done]) -> dataset.Manifest:
    return dataset.Manifest(
        stage=stage.name,
        version=stage.version,
        settings=stage.settings,
        units=tuple(record.unit for record in made),
        facts={key: value for record in made for key, value in record.facts.items()},
        beside={path: hashlib.sha256(content).hexdigest() for path, content in stage.beside.items()},
    )


def _is_of_these_units(stage: Stage, manifest: dataset.Manifest | None) -> bool:
    """Return whether the stage is finished, and the manifest that is there names the units of this one."""
    if manifest is None:
        return False
    try:
        before = dataset.load(stage.folder)
    except DatasetError:
        return False
    return [unit.fingerprint for unit in before.units] == [unit.fingerprint for unit in manifest.units]


def _explain(stage: Stage, pending: list[Planned], error: Exception, teller: Teller) -> str:
    note = records.error(stage.folder, pending)
    if note is not None:
        teller.note("unit failed", stage=stage.name, unit=note["unit"], error=note["error"])
        return f"{stage.name} stopped at {note['unit']}: {note['error']}\n{_ADVICE}"
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"{stage.name} stopped: {type(error).__name__}: {last}\n{_ADVICE}"
