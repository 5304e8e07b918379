"""Ask all finished runs in some folders: first how many items a task needs, then all items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import settings
from corpus.errors import ConfigError
from corpus.teller import Teller
from corpus.tokenizer import Tokenizer
from trainer import identity
from trainer.abilities import tasks
from trainer.abilities.ask import answer, merged
from trainer.abilities.outputs import Output
from trainer.abilities.scores import METRICS
from trainer.config import Config
from trainer.identity import RESULT, RUN
from trainer.load_run import LoadedRun, load_run
from trainer.shape import shape

STUDY = "runs.jsonl"
"""The table of a scaling study."""
PILOT = 200
"""Number of items that the smallest model is asked first, to find how many are needed."""

COUNTS = ("parameters", "active_parameters", "non_embedding_parameters", "matmul_parameters")
SCALES = (*COUNTS, "tokens", "compute")


@dataclass(frozen=True, slots=True)
class Planned:
    """The number of items of a task, and the number needed to see the smallest model right once (95 %).

    `expected` is the smallest model's own probability of a right answer, at least chance.
    """

    task: str
    n: int
    needed: int
    expected: float

    def describe(self) -> str:
        """Return the numbers as text, and whether they are enough."""
        if self.n >= self.needed:
            return f"{self.task}: n = {self.n:,}, enough for the smallest model ({self.needed:,} needed)"
        return (
            f"{self.task}: n = {self.n:,}, but the smallest model, right with p = {self.expected:.1g}, needs "
            f"{self.needed:,}: its exact match will be 0, which says nothing; look at the smooth metrics"
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """All answers, the plans, and remarks about the models."""

    outputs: list[Output]
    plans: list[Planned]
    remarks: list[str]


def runs(folders: Sequence[Path]) -> list[Path]:
    """Return the finished runs in folders and below them, sorted; ConfigError if there are none.

    Of a scaling study only the runs of its table: base runs are not cooled down, and checks have other rates.
    """
    found: set[Path] = set()
    for folder in folders:
        table = folder / STUDY
        if table.exists():
            rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
            found |= {folder / row["folder"] for row in rows}
        else:
            found |= {path.parent for path in folder.rglob(RUN) if (path.parent / RESULT).exists()}
    if not found:
        where = ", ".join(map(str, folders))
        raise ConfigError(f"{where}: no finished run ({RUN} with {RESULT}) found; `derlem train` makes one")
    return sorted(found)


def survey(
    folders: Sequence[Path],
    wanted: Sequence[str],
    teller: Teller,
    *,
    scale: str = "parameters",
    n: int | None = None,
    most: int = 2000,
    shots: int = 2,
    seed: int = 0,
) -> Survey:
    """Ask every finished run below the folders all tasks, `n` items or as many as needed, at most `most`.

    One model is in memory at a time. Raises ConfigError for unknown tasks and scales, and for items that do
    not fit a model.
    """
    if scale not in SCALES:
        raise ConfigError(f"--scale {scale}: expected one of {', '.join(SCALES)}")
    found = runs(folders)
    short = {path.name for path in found}
    names = {path: path.name if len(short) == len(found) else str(path) for path in found}
    sizes = {path: size(path, scale) for path in found}
    order = sorted(found, key=lambda path: (sizes[path], names[path]))
    smallest = load_run(order[0])
    plans = [_plan(task, smallest, n, most, shots, seed) for task in wanted]
    for plan in plans:
        teller.say(plan.describe())
    outputs: list[Output] = []
    for path in order:
        model = smallest if path == order[0] else load_run(path)
        for plan in plans:
            items = tasks.make(plan.task, plan.n, seed, shots)
            outputs += answer(model, items, names[path], sizes[path])
        teller.say(f"asked {names[path]} ({sizes[path]:,.0f} {scale})")
    return Survey(outputs, plans, _remarks(order, names, scale))


def size(folder: Path, scale: str) -> float:
    """Return a finished run's value on a scale, from its record alone."""
    held = identity.read(folder)
    assert held is not None, folder
    if scale == "tokens":
        return _tokens(folder)
    config = settings.parse(Config, held["config"], f"{folder}/{RUN}")
    sizes = shape(config.model, _pieces(folder).vocabulary)
    if scale == "compute":  # without attention: one convention for all that are compared
        return 6.0 * sizes.matmul_parameters * _tokens(folder)
    return float(getattr(sizes, scale))


def _tokens(folder: Path) -> float:
    return float((identity.result(folder) or {}).get("tokens", 0))


def _pieces(folder: Path) -> Tokenizer:
    held = identity.read(folder)
    assert held is not None, folder
    return identity.tokenizer_of(folder, held)


def _plan(task: str, smallest: LoadedRun, n: int | None, most: int, shots: int, seed: int) -> Planned:
    """Ask the smallest model some items, to find how many are needed; or all if there are fewer."""
    items = tasks.make(task, PILOT, seed, shots)
    if items[0].generates:
        values = [METRICS["expected_match"].of(o) for o in answer(smallest, items, "", 1.0)]
        known = [value for value in values if value is not None]
        own = sum(known) / len(known) if known else 0.0
        expected = max(own, sum(item.chance for item in items) / len(items))
    else:
        expected = items[0].chance
    taken, needed = tasks.enough(min(1.0, expected), most=most)
    there = len(tasks.make(task, n or taken, seed, shots))
    return Planned(task, there, needed, expected)


def _remarks(order: Sequence[Path], names: Mapping[Path, str], scale: str) -> list[str]:
    """Return what makes the models' outputs less comparable."""
    found = []
    tokenizers = {pieces.sha256: (names[path], pieces) for path in order for pieces in (_pieces(path),)}
    for name, pieces in tokenizers.values():
        if several := merged(pieces):
            found.append(
                f"{name}: its tokenizer has pieces of several digits, such as {several[0]!r}: "
                "its digits cannot be scored one by one"
            )
    if len(tokenizers) > 1:
        found.append("models have different tokenizers: nats per token and per digit are not comparable")
    amounts = {_tokens(path) for path in order}
    if len(amounts) > 1 and scale not in ("tokens", "compute"):
        found.append(
            f"models of one scale were trained on different numbers of tokens ({min(amounts):,.0f} to "
            f"{max(amounts):,.0f}), which counts as noise of seeds: name runs of one length, or use "
            "--scale compute"
        )
    return found
