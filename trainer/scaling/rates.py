"""Check a study's learning rates: are other rates better than the formula's at the smallest size?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Row: TypeAlias = Mapping[str, Any]
"""A row of runs.jsonl or checks.jsonl."""
CLEAR = 2.0
"""Standard deviations between seeds by which another rate must be better."""
LEAST = 0.005
"""The smallest share of the loss by which it must be better: few seeds may agree by chance."""


@dataclass(frozen=True)
class Checked:
    """The losses of one cell by the factor of its rates (1: the formula's), and the noise of ln loss."""

    size: str
    losses: Mapping[float, float]
    noise: float

    @property
    def best(self) -> float:
        """Return the factor of the lowest loss, the formula's if no other is lower."""
        return min(self.losses, key=lambda factor: (self.losses[factor], factor != 1))

    @property
    def better(self) -> bool:
        """Return whether another factor's loss is lower than the formula's by more than the noise."""
        if self.best == 1:
            return False
        own = self.losses[1.0]
        gain = math.log(own / self.losses[self.best]) if math.isfinite(own) else math.inf
        return gain > max(LEAST, CLEAR * self.noise)

    def __str__(self) -> str:
        shown = ", ".join(f"× {factor:g}: {self.losses[factor]:.4f}" for factor in sorted(self.losses))
        if self.best == 1:
            verdict = "the formula's is best"
        elif self.better:
            verdict = f"× {self.best:g} is better beyond the noise between seeds ({self.noise:.2%})"
        else:
            verdict = "no other is better by more than the noise between seeds"
        return f"learning rates of {self.size}: {shown}: {verdict}"


def learning_rate_check(rows: Sequence[Row], checks: Sequence[Row]) -> Checked | None:
    """Compare the check's cells with the same cell at the formula's rates; None until all exist."""
    if not checks:
        return None
    keys = ("corpus", "size", "seed", "multiple", "lr_factor")
    like = {**checks[0], "lr_factor": 1.0}
    same = [row for row in rows if all(row[key] == like[key] for key in keys) and row["epochs"] <= 1.001]
    if not same:
        return None
    losses = {float(row["lr_factor"]): loss(row) for row in (*checks, same[0])}
    return Checked(checks[0]["size"], losses, seed_noise(map(cell, rows))[0])


def loss(row: Row) -> float:
    """Return a row's loss; infinite where the run diverged, which is null in the table."""
    found = row["loss"]
    return float(found) if found is not None and math.isfinite(found) else math.inf


def cell(row: Row) -> tuple[tuple[object, ...], float]:
    """Return what a row's seeds have in common, and its loss."""
    return (row["corpus"], row["size"], row["tokens"], row["unique_tokens"]), loss(row)


def seed_noise(runs: Iterable[tuple[object, float]]) -> tuple[float, int]:
    """Return the standard deviation of ln loss between runs of one cell, and the number of such runs.

    A run is (cell, loss); runs of one cell that are equal to the last digit are copies, not seeds, and
    those that diverged do not count.
    """
    groups: dict[object, list[float]] = {}
    for key, measured in runs:
        if math.isfinite(measured):
            groups.setdefault(key, []).append(math.log(measured))
    several = [losses for losses in groups.values() if len(losses) > 1 and np.ptp(losses) > 0]
    freedom = sum(len(losses) - 1 for losses in several)
    squares = sum(float(np.var(losses)) * len(losses) for losses in several)
    return (float(np.sqrt(squares / freedom)) if freedom else 0.0), sum(map(len, several))
