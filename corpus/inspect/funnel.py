"""Counts from raw records to shards, stage by stage, and where the numbers disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from corpus import chain
from corpus.counts import Counts
from corpus.errors import CountsError
from corpus.inspect.build import Build, Stage


@dataclass(frozen=True, slots=True)
class Loss:
    """What left the corpus at a step: `why` names the kind, cause or rule."""

    why: str
    documents: int


@dataclass(frozen=True, slots=True)
class Step:
    """How many are there at a point of the way, and what then left before the next point.

    `verb` says what became of the losses (skipped, rejected, dropped, removed).
    """

    name: str
    documents: int
    verb: str = ""
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Funnel:
    """The steps in order, and a sentence for each pair of numbers that should agree and does not."""

    steps: tuple[Step, ...]
    faults: tuple[str, ...]


def funnel(build: Build, copies: int | None = None) -> Funnel:
    """Count from records to the last stage, over the stages that are finished.

    `copies` is the sum of the column of that name over all shards, where it has been read: it must be the
    number of documents that dedupe read.
    """
    steps: list[Step] = []
    faults: list[str] = []
    for row in chain.STAGES:
        stage = build.get(row.name)
        if stage is None or not row.files:  # a stage that neither keeps nor drops documents
            continue
        counts = stage.manifest.counts()
        if steps:
            before = steps.pop() if "dropped" in row.files.values() else steps[-1]
            read = f"{row.name} read" if "dropped" in row.files.values() else row.kept
            faults += _differ(before.name, before.documents, read, counts.seen, row.folder)
            steps += _steps(row, counts, before.name)
        else:
            steps += _steps(row, counts, "document records" if counts.skipped else f"into {row.name}")
        faults += [*_unit_faults(stage), *_row_faults(row, stage, counts)]
        if splits := _splits(stage):
            last = steps.pop()
            steps.append(Step(last.name, last.documents, "of them", _losses(splits)))
    dedupe = build.get("dedupe")
    if dedupe is not None and copies is not None:
        seen = dedupe.manifest.counts().seen
        faults += _differ("dedupe read", seen, "the documents in shards stand for", copies, "shards")
    return Funnel(tuple(steps), tuple(faults))


def _steps(row: chain.Stage, counts: Counts, name: str) -> list[Step]:
    """Return what came into a stage under `name`, what it rejected and dropped, and what it kept."""
    steps = []
    rejected = sum(counts.rejected.values())
    if counts.skipped:
        steps.append(
            Step("records", counts.seen + sum(counts.skipped.values()), "skipped", _losses(counts.skipped))
        )
    if "rejected" in row.files:
        steps.append(Step(name, counts.seen, "rejected", _losses(counts.rejected)))
        name = "documents read"
    if "dropped" in row.files.values():
        verb = "removed" if "removed" in row.files else "dropped"
        steps.append(Step(name, counts.seen - rejected, verb, _losses(counts.dropped)))
    steps.append(Step(row.kept, counts.kept))
    return steps


def _splits(stage: Stage) -> Counter[str]:
    """Return the documents of each split in a stage's shards; empty where its files belong to none."""
    splits: Counter[str] = Counter()
    for file in stage.manifest.files("shard"):
        splits[file.split] += file.rows
    return splits


def _losses(counts: Mapping[str, int]) -> tuple[Loss, ...]:
    return tuple(Loss(why, n) for why, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n)


def _row_faults(row: chain.Stage, stage: Stage, counts: Counts) -> list[str]:
    """Compare the rows of each kind of a stage's files with the count that they must equal."""
    rows: Counter[str] = Counter()
    for file in (file for unit in stage.manifest.units for file in unit.files):
        rows[file.kind] += file.rows
    return [
        fault
        for kind, number in rows.items()
        if (count := row.files.get(kind))
        for fault in _differ(
            f"{row.name} {count} by its counts", chain.number(counts, count), f"in its {kind} files", number
        )
    ]


def _unit_faults(stage: Stage) -> list[str]:
    faults = []
    for unit in stage.manifest.units:
        try:
            unit.counts.check(f"{stage.name}, unit {unit.name}")
        except CountsError as error:
            faults.append(str(error))
    return faults


def _differ(one: str, left: int, other: str, right: int, older: str = "") -> list[str]:
    """Return a message that two numbers differ; `older` is the stage that its input has outdated."""
    if left == right:
        return []
    advice = (
        f"{older}/ was probably made from an earlier state: run the build again"
        if older
        else "the files changed after they were counted: run `derlem verify` on the stage"
    )
    return [f"{one} {left:,}, but {other} {right:,}; {advice}"]
