"""The starts of a fit: the law's published grid, and starts from variable projection."""

from __future__ import annotations

import itertools

import numpy as np

from trainer.scaling.descent import Problem
from trainer.scaling.laws import CHINCHILLA, Floats, Law, Logs

EXPONENTS = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.43, 0.5, 0.6, 0.7, 0.85, 1.0, 1.3, 1.8])
KEPT = 12
"""Number of exponents of the projection's grid that become starts."""


def starts(task: Problem, grid: bool = True) -> Floats:
    """Return all starts [k, p] in the columns' own units; without `grid` only a few, for many quick fits."""
    law = task.law
    if law.powers:
        projected = task.raw(project(law, task.logs, task.log_loss))
        return np.concatenate([law.starts(), projected]) if grid else projected
    every = _repetition(task) if law.name == "repetition" else law.starts()
    return every if grid else every[:: max(1, len(every) // 50)]


def project(law: Law, logs: Logs, log_loss: Floats, kept: int = KEPT) -> Floats:
    """Return starts [kept, p] by variable projection (Golub and Pereyra 1973).

    With fixed exponents a sum of powers is linear in its coefficients, which non-negative least squares of
    the relative error finds directly; here over a grid of exponents, with the best of all subsets of terms.
    """
    names = list(dict.fromkeys(exponent for _, exponent, _ in law.powers))
    grid = np.array(list(itertools.product(EXPONENTS, repeat=len(names))))
    columns = [np.ones((len(grid), len(log_loss)))]
    for _, exponent, column in law.powers:
        columns.append(np.exp(-grid[:, [names.index(exponent)]] * logs[column]))
    design = np.stack(columns, axis=1) * np.exp(-log_loss)
    gram, right = design @ design.transpose(0, 2, 1), design.sum(axis=2)
    terms = design.shape[1]
    best = np.full(len(grid), np.inf)
    weights = np.zeros((len(grid), terms))
    for size in range(1, terms + 1):
        for subset in itertools.combinations(range(terms), size):
            part = gram[:, subset][:, :, subset] + 1e-12 * np.eye(size)
            solved = np.linalg.solve(part, right[:, subset][:, :, None])[:, :, 0]
            left = len(log_loss) - (solved * right[:, subset]).sum(axis=1)
            better = (solved > 0).all(axis=1) & (left < best)
            best = np.where(better, left, best)
            full = np.zeros((len(grid), terms))
            full[:, subset] = solved
            weights = np.where(better[:, None], full, weights)
    order = np.argsort(best, kind="stable")[:kept]
    heights = np.log(np.maximum(weights[order], 1e-6))
    theta = np.empty((len(order), len(law.parameters)))
    theta[:, law.index("e")] = heights[:, 0]
    for k, (coefficient, exponent, _) in enumerate(law.powers, 1):
        theta[:, law.index(coefficient)] = heights[:, k]
        theta[:, law.index(exponent)] = grid[order, names.index(exponent)]
    return theta


def _repetition(task: Problem) -> Floats:
    """Join starts of the base law, from the runs that repeat least, with the grid of R_D* and R_N*."""
    law = task.law
    epochs = task.logs["tokens"] - task.logs["unique"]
    single = epochs <= max(0.02, float(np.sort(epochs)[min(len(epochs) - 1, 2 * len(CHINCHILLA.parameters))]))
    logs = {column: task.logs[column][single] for column in CHINCHILLA.columns}
    base = project(CHINCHILLA, logs, task.log_loss[single])
    pairs = np.array(list(itertools.product(law.grid["log_rd"], law.grid["log_rn"])))
    theta = np.concatenate([np.column_stack([np.tile(one, (len(pairs), 1)), pairs]) for one in base])
    return task.raw(theta)
