"""Judge each task of a table of outputs: curves of every metric over scale, and whether an ability breaks.

An ability is called emergent only if the smooth metric itself breaks (breaks.find: beyond noise, and for
held-out sizes), upwards, and the sharp metric's Wilson intervals on both sides of the break do not overlap.
Noise comes from items and seeds, so it can only be known from two models per size. Many tasks are judged at
once: p-values are Holm's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from corpus.errors import OutputsError
from trainer.abilities import breaks
from trainer.abilities.outputs import Output
from trainer.abilities.scores import (
    METRICS,
    SHARP,
    SMOOTH,
    emergence_score,
    independent_match,
    wilson,
)

LEVEL = 0.05
HALF = 0.5  # of the range from the worst size to the best: seeds this far apart hide the effect of size
LEAST_NOISE = 1e-6  # for equal answers to all items: no metric is known more exactly than this

Kind = Literal["emergent", "metric", "smooth", "absent", "unclear"]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a metric over `n` items, and its standard error over items."""

    value: float
    error: float
    n: int


@dataclass(frozen=True, slots=True)
class Point:
    """A model's results on a task: its metrics by name, and the match that independent digits would have."""

    model: str
    scale: float
    metrics: dict[str, Mean]
    independent: float | None


@dataclass(frozen=True, slots=True)
class Size:
    """All models of one scale: the sharp metric with Wilson's interval, the smooth one with its noise.

    Wilson's interval covers items only; `apart` is the range of the models' smooth metrics.
    """

    scale: float
    models: int
    n: int
    sharp: float
    lower: float
    upper: float
    smooth: float
    noise: float
    apart: float


@dataclass(frozen=True, slots=True)
class Ability:
    """A task over scale. `p` is Holm's over all judged tasks; `below` is the last size below the break."""

    task: str
    items: int
    chance: float | None
    resolution: float
    sharp: str
    smooth: str
    sizes: tuple[Size, ...]
    points: tuple[Point, ...]
    sharp_score: float | None
    smooth_score: float | None
    p: float | None
    gain: float | None
    below: int | None
    jump: float | None
    seeds: bool
    kind: Kind = "unclear"
    why: str = ""
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def judge(outputs: Iterable[Output], seed: int = 0) -> list[Ability]:
    """Judge every task of a table, sorted by name. Raises OutputsError for a task without any metric."""
    by_task: dict[str, list[Output]] = defaultdict(list)
    for output in outputs:
        by_task[output.task].append(output)
    found = [_measure(task, rows, seed) for task, rows in sorted(by_task.items())]
    tested = [number for number, ability in enumerate(found) if ability.p is not None]
    corrected = breaks.holm([p for n in tested if (p := found[n].p) is not None])
    for number, p in zip(tested, corrected, strict=True):
        found[number] = replace(found[number], p=p)
    return [_decided(ability) for ability in found]


def points(rows: Sequence[Output]) -> list[Point]:
    """Return every model's means of all metrics that its outputs of one task allow, by scale, then name."""
    by_model: dict[str, list[Output]] = defaultdict(list)
    for row in rows:
        by_model[row.model].append(row)
    made = []
    for model, own in by_model.items():
        metrics = {}
        for name, metric in METRICS.items():
            values = [value for row in own if (value := metric.of(row)) is not None]
            if values:
                metrics[name] = _mean(values)
        made.append(Point(model, own[0].scale, metrics, independent_match(own)))
    return sorted(made, key=lambda point: (point.scale, point.model))


def _mean(values: Sequence[float]) -> Mean:
    array = np.array(values)
    if not np.isfinite(array).all():  # with an answer of probability 0 the mean is infinite and has no error
        return Mean(float(array.mean()), math.inf, len(values))
    error = float(array.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf
    return Mean(float(array.mean()), error, len(values))


def _measure(task: str, rows: Sequence[Output], seed: int) -> Ability:
    """Return a task's curves with a search for a break; the decision comes after all tasks are measured."""
    made = points(rows)
    sharp, smooth = (_first(task, made, names) for names in (SHARP, SMOOTH))
    n = min(point.metrics[sharp].n for point in made)
    remarks = []
    if len({frozenset(row.id for row in rows if row.model == point.model) for point in made}) > 1:
        remarks.append("models were asked different items: their differences are partly the items'")
    sizes = _sizes(made, sharp, smooth)
    finite = all(math.isfinite(size.smooth) and math.isfinite(size.noise) for size in sizes)
    if not finite:
        remarks.append(f"{smooth} is infinite for some models: an answer has probability 0")
    found = None
    if len(sizes) >= breaks.SIZES and finite:
        x = np.log([size.scale for size in sizes])
        y, noise = np.array([s.smooth for s in sizes]), np.array([s.noise for s in sizes])
        found = breaks.find(x, y, noise, seed)
    several = len(sizes) > 1
    return Ability(
        task=task,
        items=n,
        chance=_chance(rows, sharp),
        resolution=1 / n,
        sharp=sharp,
        smooth=smooth,
        sizes=tuple(sizes),
        points=tuple(made),
        sharp_score=emergence_score([size.sharp for size in sizes]) if several else None,
        smooth_score=emergence_score([size.smooth for size in sizes]) if several and finite else None,
        p=found.p if found else None,
        gain=found.gain if found else None,
        below=found.below if found else None,
        jump=found.jump if found else None,
        seeds=any(size.models > 1 for size in sizes),
        remarks=tuple(remarks),
    )


def _first(task: str, made: Sequence[Point], names: Sequence[str]) -> str:
    for name in names:
        if all(name in point.metrics for point in made):
            return name
    raise OutputsError(
        f"{task}: the outputs allow none of {', '.join(names)} for every model; see the columns of a table"
    )


def _chance(rows: Sequence[Output], sharp: str) -> float | None:
    """Return the mean of the sharp metric by guessing."""
    if sharp == "choice_grade":
        return float(np.mean([1 / len(row.options) for row in rows if row.options]))
    known = [row.chance for row in rows if row.chance is not None]
    return float(np.mean(known)) if known else None


def _sizes(made: Sequence[Point], sharp: str, smooth: str) -> list[Size]:
    """Group models by scale; noise comes from items, and from seeds at sizes with several models.

    A size's own spread counts if it is larger than that of all: seeds differ most where an ability grows.
    The answers of several seeds to the same items count as one set of n, because they are not independent.
    """
    groups: dict[float, list[Point]] = defaultdict(list)
    for point in made:
        groups[point.scale].append(point)
    spreads = {
        scale: float(np.var([point.metrics[smooth].value for point in group], ddof=1))
        for scale, group in groups.items()
        if len(group) > 1
    }
    free = sum(len(groups[scale]) - 1 for scale in spreads)
    common = sum((len(groups[s]) - 1) * spread for s, spread in spreads.items()) / free if free else 0.0
    sizes = []
    for scale, group in sorted(groups.items()):
        values = [point.metrics[smooth] for point in group]
        items = float(np.mean([each.error for each in values]))
        seeds = max(common, spreads.get(scale, 0.0)) / len(group)
        n = min(point.metrics[sharp].n for point in group)
        share = float(np.mean([point.metrics[sharp].value for point in group]))
        lower, upper = wilson(share * n, n)
        noise = max(LEAST_NOISE, math.sqrt(items**2 + seeds))
        value = float(np.mean([each.value for each in values]))
        apart = max(each.value for each in values) - min(each.value for each in values)
        sizes.append(Size(scale, len(group), n, share, lower, upper, value, noise, apart))
    return sizes


def _decided(ability: Ability) -> Ability:
    kind, why = _decide(ability)
    return replace(ability, kind=kind, why=why)


def _decide(a: Ability) -> tuple[Kind, str]:
    """Return the verdict on a task, and its reason."""
    floor = max(a.chance or 0.0, a.resolution)
    if all(size.lower <= floor for size in a.sizes):
        return "absent", (
            f"no size's {a.sharp} exceeds chance and 1/n = {a.resolution:.2g}: use more items, larger models"
        )
    if a.p is None or a.gain is None or a.below is None or a.jump is None:
        need = f"{len(a.sizes)} different sizes: to distinguish a break from a curve takes {breaks.SIZES}"
        return "unclear", need if len(a.sizes) < breaks.SIZES else a.remarks[-1]
    below, above = a.sizes[a.below], a.sizes[a.below + 1]
    where = f"between {below.scale:.3g} and {above.scale:.3g}"
    upwards = a.jump > 0 if METRICS[a.smooth].better == "higher" else a.jump < 0
    apart = above.lower > below.upper
    if a.p < LEVEL and a.gain > 0 and upwards and apart:
        if not a.seeds:
            return "unclear", (
                f"{a.smooth} breaks {where} (p = {a.p:.2g}) beyond the noise of items, but there is only one "
                "model per size: another seed might change this"
            )
        return "emergent", (
            f"{a.smooth} itself breaks {where} by {a.jump:+.3g} (p = {a.p:.2g}; held-out sizes agree), and "
            f"{a.sharp} goes from {below.sharp:.3f} to {above.sharp:.3f}, without overlap of Wilson intervals"
        )
    farthest = max(a.sizes, key=lambda size: size.apart)
    means = [size.smooth for size in a.sizes]
    if farthest.apart > HALF * (max(means) - min(means)):
        return "unclear", (
            f"the {farthest.models} models of {farthest.scale:.3g} differ by {farthest.apart:.3g} in "
            f"{a.smooth}, the means of sizes by {max(means) - min(means):.3g}: seeds matter as much as "
            "size does, so more seeds are needed"
        )
    reason = _reason(a, upwards, apart, where)
    if _looks_emergent(a, floor):
        return "metric", f"{a.sharp} stays at chance, then rises; but {reason}"
    return "smooth", reason


def _reason(a: Ability, upwards: bool, apart: bool, where: str) -> str:
    """Return why a task's smooth metric is not called broken."""
    assert a.p is not None
    assert a.gain is not None
    if a.p >= LEVEL:
        return f"{a.smooth} has no break beyond noise (p = {a.p:.2g})"
    if a.gain <= 0:
        return f"the break in {a.smooth} {where} does not improve the prediction of held-out sizes"
    if not upwards:
        return f"{a.smooth} breaks {where}, downwards"
    return f"{a.smooth} breaks {where}, where {a.sharp} does not change beyond its Wilson intervals"


def _looks_emergent(a: Ability, floor: float) -> bool:
    """Return whether the sharp metric alone would be called emergent: near chance for two sizes or more, then
    clearly above (Wei et al. 2022, 2206.07682)."""
    return all(size.lower <= floor for size in a.sizes[:2]) and a.sizes[-1].lower > floor
