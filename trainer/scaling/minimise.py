"""Minimise a law's objective: many starts at once, by damped Gauss–Newton.

Hoffmann et al. averaged their objective and so stopped early (Besiroglu et al. 2024, arXiv 2404.10102): at a
value of 1e-3 scipy's relative tolerance acts as an absolute one. Here the objective is the sum, divided by
delta², with analytic derivatives, in centred logarithms. All starts, or all resamples, take their steps in
one batch; scipy's least_squares descends from one after the other, and stops early where runs leave
parameters open (benchmarks/README.md, "Simulated intervals").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainer.scaling.laws import Floats, Law, Logs

CHUNK = 1 << 21
"""Largest number of elements of a working array: more starts are processed in turns."""
STUCK = 1e10
"""Damping at which a step is too small to matter."""


@dataclass(frozen=True)
class Objective:
    """What is minimised: Σ penalty(residual), residual = prediction − observation.

    `space` "log": of ln loss, Huber's penalty with `delta` (Hoffmann et al. 2022 use 1e-3). "loss": of the
    loss itself; with an infinite `delta` these are plain squares.
    """

    space: str = "log"
    delta: float = 1e-3

    @property
    def scale(self) -> float:
        """Return the divisor of the objective, so that its size is about the number of runs."""
        return self.delta**2 if np.isfinite(self.delta) else 1e-4

    def describe(self) -> str:
        """Return a description for tables."""
        penalty = f"Huber, delta {self.delta:g}" if np.isfinite(self.delta) else "half squares"
        return f"sum of {penalty}, residuals of {'ln loss' if self.space == 'log' else 'loss'}"


HUBER = Objective()
SQUARES = Objective("loss", float("inf"))


@dataclass(frozen=True, eq=False)
class Problem:
    """A law, runs with centred logarithms, an objective, and the values of parameters that are fixed."""

    law: Law
    logs: Logs
    log_loss: Floats
    objective: Objective
    centres: Mapping[str, float]
    held: Mapping[str, float]
    """Fixed values in the runs' own units; they apply to every start."""

    @property
    def free(self) -> Floats:
        """Return 1 for a parameter that is fitted and 0 for one that is fixed [p]."""
        return np.array([name not in self.held for name in self.law.parameters], dtype=float)

    def centred(self, theta: Floats) -> Floats:
        """Set fixed values and convert from the columns' own units to centred ones, inside the bounds."""
        theta = np.array(np.atleast_2d(theta), dtype=float)
        for name, value in self.held.items():
            theta[:, self.law.index(name)] = value
        theta = self.law.rescale(theta, self.centres)
        lower, upper = np.array(self.law.bounds).T
        return np.where(self.free > 0, np.clip(theta, lower, upper), theta)

    def raw(self, theta: Floats) -> Floats:
        """Convert back to the columns' own units."""
        return self.law.rescale(theta, {column: -shift for column, shift in self.centres.items()})

    def values(self, theta: Floats, weights: Floats) -> Floats:
        """Return the scaled objective [m] at centred parameters [m, p]."""
        rows = max(1, CHUNK // (len(self.log_loss) * len(self.law.parameters)))
        out = [
            self._penalty(theta[i : i + rows], weights if len(weights) == 1 else weights[i : i + rows])[0]
            for i in range(0, len(theta), rows)
        ]
        return np.concatenate(out)

    def system(self, theta: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the scaled objective [m], its gradient [m, p] and Gauss–Newton matrix [m, p, p]."""
        value, pull, stiff, slopes = self._penalty(theta, weights)
        gradient = (slopes @ pull[:, :, None])[:, :, 0]
        return value, gradient, (slopes * stiff[:, None, :]) @ slopes.transpose(0, 2, 1)

    def _penalty(self, theta: Floats, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        prediction, slopes = self.law.evaluate(theta, self.logs)
        if self.objective.space == "log":
            residual = prediction - self.log_loss
        else:
            loss = np.exp(np.minimum(prediction, 50.0))
            residual = loss - np.exp(self.log_loss)
            slopes = slopes * loss[:, None, :]
        size, delta = np.abs(residual), self.objective.delta
        inside = np.minimum(size, delta)
        # the quadratic that touches Huber's penalty at the residual and is above it everywhere
        stiff = weights * (inside / np.maximum(size, 1e-300)) / self.objective.scale
        stiff = np.where(size <= delta, weights / self.objective.scale, stiff)
        value = (weights * (inside * (size - inside / 2))).sum(axis=1) / self.objective.scale
        return value, stiff * residual, stiff, slopes


@dataclass(frozen=True)
class Descents:
    """The ends of descents: centred parameters [m, p], scaled objective [m]."""

    theta: Floats
    value: Floats


def descend(
    problem: Problem, starts: Floats, weights: Floats, steps: int = 200, rest: float = 1e-9
) -> Descents:
    """Descend from centred starts [m, p], each with its weights ([1, n] for all, or [m, n]).

    Each step solves the damped Gauss–Newton system with Huber's weights, which never overshoots the
    penalty's curvature; it is taken only if the objective falls. A descent has converged when its last steps
    gained less than `rest` of its value, or when not even a tiny step gains anything.
    """
    count = len(starts)
    weights = np.broadcast_to(weights, (count, weights.shape[1]))
    rows = max(1, CHUNK // (weights.shape[1] * starts.shape[1]))
    parts = [
        _descend(problem, starts[i : i + rows], weights[i : i + rows], steps, rest)
        for i in range(0, count, rows)
    ]
    return Descents(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("theta", "value")))


def _descend(problem: Problem, starts: Floats, weights: Floats, steps: int, rest: float) -> Descents:
    lower, upper = np.array(problem.law.bounds).T
    free = problem.free > 0
    theta = starts.copy()
    value, gradient, matrix = problem.system(theta, weights)
    out_value = value.copy()
    live = np.arange(len(theta))
    damp = np.full(len(theta), 1e-2)
    recent = value.copy()
    current = theta.copy()
    diagonal = np.arange(theta.shape[1])
    for step in range(steps):
        stuck = ~free | ((current <= lower) & (gradient > 0)) | ((current >= upper) & (gradient < 0))
        system = np.where(stuck[:, :, None] | stuck[:, None, :], 0.0, matrix)
        own = system[:, diagonal, diagonal]
        system[:, diagonal, diagonal] = np.where(stuck, 1.0, own * (1 + damp[:, None]) + 1e-10)
        move = np.linalg.solve(system, np.where(stuck, 0.0, -gradient)[:, :, None])[:, :, 0]
        trial = np.where(stuck, current, np.clip(current + move, lower, upper))
        new_value, new_gradient, new_matrix = problem.system(trial, weights[live])
        better = new_value < value
        gain = np.where(better, value - new_value, 0.0)
        damp = np.maximum(np.where(better, damp / 6, damp * 8), 1e-9)
        current = np.where(better[:, None], trial, current)
        gradient = np.where(better[:, None], new_gradient, gradient)
        matrix = np.where(better[:, None, None], new_matrix, matrix)
        value = np.where(better, new_value, value)
        recent = np.where(better, recent / 5 + gain, recent)
        done = (recent <= rest * value) | (damp > STUCK) | (value < 1e-18)
        if done.any() or step == steps - 1:
            theta[live], out_value[live] = current, value
            keep = ~done
            if not keep.any():
                break
            live, current, value, damp = live[keep], current[keep], value[keep], damp[keep]
            gradient, matrix, recent = gradient[keep], matrix[keep], recent[keep]
    return Descents(theta, out_value)
