"""The way from raw records to shards, counted step by step, with a word where the numbers disagree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from corpus.counts import CountsError
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
    """Count from records to shards over the stages that are there.

    `copies` is the sum of the column of that name over all shards, where it has been read: it must be the
    number of documents that clean kept.
    """
    steps: list[Step] = []
    faults = [fault for stage in build.stages() for fault in _unit_faults(stage)]
    if build.clean is not None:
        steps += _clean_steps(build.clean)
        faults += _clean_faults(build.clean)
    if build.dedupe is not None:
        counts = build.dedupe.manifest.counts()
        if steps:
            faults += _differ("clean kept", steps[-1].documents, "dedupe read", counts.seen, "dedupe")
        before = steps.pop() if steps else Step("into dedupe", counts.seen)
        removed = sum(counts.dropped.values())
        steps.append(Step(before.name, before.documents, "removed", _losses(counts.dropped)))
        steps.append(Step("surviving", before.documents - removed))
        rows = sum(file.rows for file in build.dedupe.manifest.files("removed"))
        faults += _differ("dedupe removed by its counts", removed, "in its removed files", rows)
    if build.shards is not None:
        splits = Counter({"train": 0, "validation": 0})
        for file in build.shards.manifest.files("shard"):
            splits[file.split] += file.rows
        if steps:
            faults += _differ(steps[-1].name, steps[-1].documents, "in shards", splits.total(), "shards")
        steps.append(Step("in shards", splits.total(), "of them", _losses(splits)))
        if build.clean is not None and copies is not None:
            kept = sum(file.rows for file in build.clean.manifest.files("documents"))
            faults += _differ("clean kept", kept, "the documents in shards stand for", copies, "shards")
    if build.tokens is not None:
        rows = build.tokens.manifest.counts().kept
        if steps:
            faults += _differ(steps[-1].name, steps[-1].documents, "in token shards", rows, "tokens")
        steps.append(Step("in token shards", rows))
    return Funnel(tuple(steps), tuple(faults))


def _losses(counts: dict[str, int]) -> tuple[Loss, ...]:
    return tuple(Loss(why, n) for why, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n)


def _clean_steps(clean: Stage) -> list[Step]:
    counts = clean.manifest.counts()
    rejected, dropped = sum(counts.rejected.values()), sum(counts.dropped.values())
    return [
        Step("records", counts.seen + sum(counts.skipped.values()), "skipped", _losses(counts.skipped)),
        Step("document records", counts.seen, "rejected", _losses(counts.rejected)),
        Step("documents read", counts.seen - rejected, "dropped", _losses(counts.dropped)),
        Step("kept by clean", counts.seen - rejected - dropped),
    ]


def _clean_faults(clean: Stage) -> list[str]:
    counts = clean.manifest.counts()
    pairs = (
        ("documents", counts.kept, "kept"),
        ("signatures", counts.kept, "kept"),
        ("dropped", sum(counts.dropped.values()), "dropped"),
        ("rejected", sum(counts.rejected.values()), "rejected"),
    )
    faults = []
    for kind, number, verb in pairs:
        rows = sum(file.rows for file in clean.manifest.files(kind))
        faults += _differ(f"clean {verb} by its counts", number, f"in its {kind} files", rows)
    return faults


def _unit_faults(stage: Stage) -> list[str]:
    faults = []
    for unit in stage.manifest.units:
        try:
            unit.counts.check(f"{stage.name}, unit {unit.name}")
        except CountsError as error:
            faults.append(str(error))
    return faults


def _differ(one: str, left: int, other: str, right: int, older: str = "") -> list[str]:
    """Say that two numbers differ; `older` names the stage that was made before its input changed."""
    if left == right:
        return []
    advice = (
        f"{older}/ was probably made from an earlier state: run the build again"
        if older
        else "the files are not those that were counted: run `derlem verify` on the stage"
    )
    return [f"{one} {left:,}, but {other} {right:,}; {advice}"]
