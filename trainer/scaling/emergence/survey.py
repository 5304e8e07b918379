"""Ask all finished runs in some folders: first how many items a task needs, then all items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import ConfigError
from corpus.teller import Teller
from trainer import trained
from trainer.identity import RESULT, RUN
from trainer.scaling.emergence import tasks
from trainer.scaling.emergence.ask import answer, merged
from trainer.scaling.emergence.outputs import Output
from trainer.scaling.emergence.scores import METRICS
from trainer.trained import Trained

PILOT = 200
"""Number of items that the smallest model is asked first, to find how many are needed."""

SCALES = ("parameters", "non_embedding_parameters", "matmul_parameters", "tokens", "compute")


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
    """Return the finished runs in folders and below them, sorted; ConfigError if there are none."""
    found = {
        path.parent for folder in folders for path in folder.rglob(RUN) if (path.parent / RESULT).exists()
    }
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

    Raises ConfigError for unknown tasks and scales, and for items that do not fit a model.
    """
    if scale not in SCALES:
        raise ConfigError(f"--scale {scale}: expected one of {', '.join(SCALES)}")
    models = sorted(_open(folders, scale), key=lambda each: (each[1], each[0]))
    plans, outputs, remarks = [], [], _remarks(models, scale)
    for task in wanted:
        plan = _plan(task, models[0], n, most, shots, seed)
        plans.append(plan)
        teller.say(plan.describe())
    for name, size, model in models:
        for plan in plans:
            items = tasks.make(plan.task, plan.n, seed, shots)
            outputs += answer(model, items, name, size)
        teller.say(f"asked {name} ({size:,.0f} {scale})")
    return Survey(outputs, plans, remarks)


def _open(folders: Sequence[Path], scale: str) -> Iterator[tuple[str, float, Trained]]:
    """Yield the name, scale and model of each run; a name is the path below the folders' common part."""
    found = runs(folders)
    names = {path: path.name for path in found}
    if len(set(names.values())) < len(found):
        names = {path: str(path) for path in found}
    for path in found:
        model = trained.open(path)
        yield names[path], _scale(model, scale), model


def _scale(model: Trained, name: str) -> float:
    tokens = float((model.result or {}).get("tokens", 0))
    if name == "tokens":
        return tokens
    if name == "compute":  # without attention: one convention for all that are compared
        return 6.0 * model.model.shape.matmul_parameters * tokens
    return float(getattr(model.model.shape, name))


def _plan(
    task: str, smallest: tuple[str, float, Trained], n: int | None, most: int, shots: int, seed: int
) -> Planned:
    """Ask the smallest model some items, to find how many are needed; or all if there are fewer."""
    items = tasks.make(task, PILOT, seed, shots)
    name, size, model = smallest
    if items[0].generates:
        values = [METRICS["expected_match"].of(o) for o in answer(model, items, name, size)]
        known = [value for value in values if value is not None]
        own = sum(known) / len(known) if known else 0.0
        expected = max(own, sum(item.chance for item in items) / len(items))
    else:
        expected = items[0].chance
    taken, needed = tasks.enough(min(1.0, expected), most=most)
    there = len(tasks.make(task, n or taken, seed, shots))
    return Planned(task, there, needed, expected)


def _remarks(models: Sequence[tuple[str, float, Trained]], scale: str) -> list[str]:
    """Return what makes the models' outputs less comparable."""
    found = []
    tokenizers = {model.tokenizer.sha256: (name, model.tokenizer) for name, _, model in models}
    for name, pieces in tokenizers.values():
        if several := merged(pieces):
            found.append(
                f"{name}: its tokenizer has pieces of several digits, such as {several[0]!r}: "
                "its digits cannot be scored one by one"
            )
    if len(tokenizers) > 1:
        found.append("models have different tokenizers: nats per token and per digit are not comparable")
    amounts = {float((m.result or {}).get("tokens", 0)) for _, _, m in models}
    if len(amounts) > 1 and scale not in ("tokens", "compute"):
        found.append(
            f"models of one scale were trained on different numbers of tokens ({min(amounts):,.0f} to "
            f"{max(amounts):,.0f}), which counts as noise of seeds: name runs of one length, or use "
            "--scale compute"
        )
    return found
