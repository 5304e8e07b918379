"""The chain of stages: one table of the stages of a build, with their order, folders, inputs and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the command line reads the table before it imports anything
    from corpus.counts import Counts

Count = Literal["kept", "dropped", "rejected", "seen"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a build.

    `plan` is the function in `pipelines` that plans it, as "module:name", so that `corpus` need not import
    Beam. `section` is its section of the configuration. `files` are the kinds of its files
    (`corpus.schema`), each with the count that their rows must equal; a stage that writes no kind of
    documents (dedupe) passes on those of the stage before it. `kept` is the name of its kept documents in
    the funnel.
    """

    name: str
    folder: str
    plan: str
    section: str
    kept: str
    files: Mapping[str, Count] = field(default_factory=dict)


STAGES: tuple[Stage, ...] = (
    Stage(
        name="extract",
        folder="extract",
        plan="pipelines.extract:plan",
        section="extract",
        kept="texts",
        files={"extracted": "kept", "dropped": "dropped", "rejected": "rejected"},
    ),
    Stage(
        name="furniture",
        folder="furniture",
        plan="pipelines.furniture:plan",
        section="",
        kept="texts",
    ),
    Stage(
        name="filter",
        folder="filter",
        plan="pipelines.filter:plan",
        section="filter",
        kept="kept by filter",
        files={"documents": "kept", "signatures": "kept", "dropped": "dropped", "measured": "seen"},
    ),
    Stage(
        name="dedupe",
        folder="dedupe",
        plan="pipelines.dedupe:plan",
        section="dedupe",
        kept="surviving",
        files={"removed": "dropped"},
    ),
    Stage(
        name="shard",
        folder="shards",
        plan="pipelines.shard:plan",
        section="shard",
        kept="in shards",
        files={"shard": "kept"},
    ),
    Stage(
        name="tokenize",
        folder="tokens",
        plan="pipelines.tokenize:plan",
        section="tokenizer",
        kept="in token shards",
        files={"tokens16": "kept", "tokens32": "kept"},
    ),
)
"""The stages of a build in order. A new stage is a row here and a module in `pipelines`."""

BESIDE = ("tokenizer",)
"""Folders of a build that do not belong to a stage."""


def find(name: str) -> Stage:
    """Return the stage called `name`; KeyError where the chain has none."""
    return _by_name()[name]


def _by_name() -> dict[str, Stage]:
    return {stage.name: stage for stage in STAGES}


def names() -> tuple[str, ...]:
    """Return the names of all stages in order."""
    return tuple(stage.name for stage in STAGES)


def folders() -> tuple[str, ...]:
    """Return every folder that a build writes into, those of its stages first."""
    return (*(stage.folder for stage in STAGES), *BESIDE)


def upstream(name: str, kind: str) -> Stage:
    """Return the nearest stage before `name` that writes files of `kind`; KeyError where none does."""
    before = STAGES[: names().index(name)]
    for stage in reversed(before):
        if kind in stage.files:
            return stage
    raise KeyError(f"no stage before {name} writes files of kind {kind!r}")


def writes(kind: str) -> tuple[Stage, ...]:
    """Return the stages that write files of `kind`, in order."""
    return tuple(stage for stage in STAGES if kind in stage.files)


def number(counts: Counts, count: Count) -> int:
    """Return one of a unit's or a stage's counts by its name in `Stage.files`."""
    found = getattr(counts, count)
    return found if isinstance(found, int) else sum(found.values())
