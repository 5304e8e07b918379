"""Training runs as columns: parameters, tokens, unique tokens, loss, and the run of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.errors import RunsError
from trainer.scaling.laws import Floats, Logs


@dataclass(frozen=True, eq=False)
class Runs:
    """`columns` by name, each float64[n]: params, tokens, unique, compute if known; `loss` [n], above zero.

    `group` [n] names the training run of a row: rows of one run (checkpoints) are not independent.
    """

    columns: Mapping[str, Floats]
    loss: Floats
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.loss)

    def logs(self) -> Logs:
        """Return the natural logarithm of every column."""
        return {name: np.log(column) for name, column in self.columns.items()}

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Runs:
        """Return some rows, by index or by mask."""
        return Runs({k: v[rows] for k, v in self.columns.items()}, self.loss[rows], self.group[rows])

    def with_loss(self, loss: Floats) -> Runs:
        """Return the same runs with other losses."""
        return Runs(self.columns, loss, self.group)

    def compute(self) -> Floats:
        """Return the training FLOPs [n]: as counted, or 6·N·D; without one of the two, 6 times the other."""
        if "compute" in self.columns:
            return self.columns["compute"]
        product = np.full(len(self), 6.0)
        for name in ("params", "tokens"):
            if name in self.columns:
                product = product * self.columns[name]
        return product

    def clusters(self) -> NDArray[np.int64]:
        """Number the runs from 0 [n]: rows with the same number are of one run."""
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)


def runs(
    loss: Floats,
    *,
    params: Floats | None = None,
    tokens: Floats | None = None,
    unique: Floats | None = None,
    compute: Floats | None = None,
    group: NDArray[np.str_] | None = None,
) -> Runs:
    """Make runs from arrays; without `group` each row is its own run, without `unique` nothing repeats."""
    unique = tokens if unique is None else unique
    columns = {"params": params, "tokens": tokens, "unique": unique, "compute": compute}
    known = {name: np.asarray(column, dtype=float) for name, column in columns.items() if column is not None}
    loss = np.asarray(loss, dtype=float)
    wrong = {name: len(column) for name, column in known.items() if len(column) != len(loss)}
    if wrong:
        raise RunsError(f"{len(loss)} losses, but {wrong}: expected columns of one length")
    names = np.array([str(i) for i in range(len(loss))]) if group is None else np.asarray(group, dtype=str)
    return Runs(known, loss, names)
