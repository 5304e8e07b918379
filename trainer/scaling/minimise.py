"""Minimise a law's objective: many starts at once by damped Gauss–Newton, then a polish by Newton.

Hoffmann et al. averaged their objective and so stopped early (Besiroglu et al. 2024, arXiv 2404.10102): at a
value of 1e-3 scipy's relative tolerance acts as an absolute one. Here the objective is the sum, divided by
delta², with analytic derivatives, in centred logarithms.
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
STEPS = 200
"""Largest number of Newton steps of a polish."""
NUDGE = 1e-4
"""Half the distance, in units of uncertainty, for differences of the gradient (its curvature)."""
WIDEST = 10.0
"""Largest change of a parameter per unit of uncertainty: undetermined parameters have no finite unit."""
DAMPINGS = np.append(1e-12, np.geomspace(1e-6, 1e6, 17))
"""Values added to the curvature, from a whole Newton step to a short gradient step."""
LONGER = np.array([2.0, 4.0, 8.0, 16.0, 64.0])
"""Multiples of Newton's step: towards a bound at infinity, such as E = 0, one step gains only one e-fold."""


@dataclass(frozen=True)
class Objective:
    """What is minimised: Σ penalty(residual), residual = prediction − observation.

    `space` "log": of ln loss, Huber's penalty with `delta` (Hoffmann et al. 2022 use 1e-3). "loss": of the
    loss itself; with an infinite `delta` these are plain squares. `overestimate` multiplies the penalty where
    the law is above a run: more than 1 pulls the fit to the lower edge, because badly tuned runs are above
    it.
    """

    space: str = "log"
    delta: float = 1e-3
    overestimate: float = 1.0

    @property
    def scale(self) -> float:
        """Return the divisor of the objective, so that its size is about the number of runs."""
        return self.delta**2 if np.isfinite(self.delta) else 1e-4

    def describe(self) -> str:
        """Return a description for tables."""
        penalty = f"Huber, delta {self.delta:g}" if np.isfinite(self.delta) else "half squares"
        lower = f", overestimates times {self.overestimate:g}" if self.overestimate != 1 else ""
        return f"sum of {penalty}{lower}, residuals of {'ln loss' if self.space == 'log' else 'loss'}"


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
        if self.objective.overestimate != 1:
            weights = weights * np.where(residual > 0, self.objective.overestimate, 1.0)
        size, delta = np.abs(residual), self.objective.delta
        inside = np.minimum(size, delta)
        # the quadratic that touches Huber's penalty at the residual and is above it everywhere
        stiff = weights * (inside / np.maximum(size, 1e-300)) / self.objective.scale
        stiff = np.where(size <= delta, weights / self.objective.scale, stiff)
        value = (weights * (inside * (size - inside / 2))).sum(axis=1) / self.objective.scale
        return value, stiff * residual, stiff, slopes


@dataclass(frozen=True)
class Descents:
    """The ends of descents: centred parameters [m, p], scaled objective [m], whether each converged [m]."""

    theta: Floats
    value: Floats
    settled: Floats


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
    return Descents(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("theta", "value", "settled")))


def _descend(problem: Problem, starts: Floats, weights: Floats, steps: int, rest: float) -> Descents:
    lower, upper = np.array(problem.law.bounds).T
    free = problem.free > 0
    theta = starts.copy()
    value, gradient, matrix = problem.system(theta, weights)
    out_value, settled = value.copy(), np.zeros(len(theta))
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
            theta[live], out_value[live], settled[live] = current, value, done
            keep = ~done
            if not keep.any():
                break
            live, current, value, damp = live[keep], current[keep], value[keep], damp[keep]
            gradient, matrix, recent = gradient[keep], matrix[keep], recent[keep]
    return Descents(theta, out_value, settled)


def polish(problem: Problem, theta: Floats, weights: Floats) -> tuple[Floats, float]:
    """Converge from one centred estimate [p], inside the bounds; return the end and its objective.

    Newton's steps, with the curvature of the gradient itself, by differences: Gauss–Newton's matrix contains
    neither the curvature of the law nor that of Huber's penalty beyond delta. The best of all dampings of a
    step is taken, so a kink or a saddle costs only more steps. It ends when no step gains anything, or after
    STEPS.
    """
    value = float(problem.values(theta[None], weights)[0])
    for _ in range(STEPS):
        # a step may press a parameter at its bound further out although its own gradient points in
        for inside in (False, True):
            frame = Frame.at(problem, theta, weights, inside)
            if not len(frame.slope):
                continue
            trials = frame.place(frame.steps(problem, weights))
            values = problem.values(trials, weights)
            i = int(values.argmin())
            if value - values[i] > 1e-14 * abs(value):
                theta, value = trials[i], float(values[i])
                break
        else:
            break
    return theta, value


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates z around centred parameters [p]: one unit is the uncertainty, or WIDEST if smaller.

    Fixed parameters are not included, nor those that press against a bound. `axes` [p, k] maps z to the
    parameters, `slope` [k] is the objective's gradient in z.
    """

    origin: Floats
    axes: Floats
    slope: Floats
    bounds: tuple[Floats, Floats]

    @classmethod
    def at(cls, problem: Problem, theta: Floats, weights: Floats, inside: bool = False) -> Frame:
        """Whiten by the Gauss–Newton matrix; `inside`: without parameters at a bound."""
        lower, upper = np.array(problem.law.bounds).T
        _, gradient, matrix = problem.system(theta[None], weights)
        out = ((theta <= lower) & (inside | (gradient[0] > 0))) | (
            (theta >= upper) & (inside | (gradient[0] < 0))
        )
        moving = np.flatnonzero((problem.free > 0) & ~out)
        axes = np.zeros((len(theta), len(moving)))
        if len(moving):
            sizes, own = np.linalg.eigh(matrix[0][np.ix_(moving, moving)])
            axes[moving] = own / np.sqrt(np.maximum(sizes, sizes.max() * 1e-12 + 1e-30))
            axes /= np.maximum(1.0, np.abs(axes).max(axis=0) / WIDEST)
        return cls(theta, axes, gradient[0] @ axes, (lower, upper))

    def place(self, z: Floats) -> Floats:
        """Return centred parameters [m, p] at coordinates [m, k], inside the bounds."""
        clipped = np.clip(self.origin + z @ self.axes.T, *self.bounds)
        return np.where(self.axes.any(axis=1), clipped, self.origin)

    def steps(self, problem: Problem, weights: Floats) -> Floats:
        """Return Newton's step [m, k] under every damping, and longer ones, also at negative curvature."""
        nudges = NUDGE * self.axes.T
        slopes = problem.system(self.origin + np.vstack([nudges, -nudges]), weights)[1] @ self.axes
        curvature = (slopes[: len(nudges)] - slopes[len(nudges) :]) / (2 * NUDGE)
        sizes, own = np.linalg.eigh((curvature + curvature.T) / 2)
        damped = -(self.slope @ own / (np.abs(sizes) + DAMPINGS[:, None])) @ own.T
        return np.concatenate([damped, damped[0] * LONGER[:, None]])
