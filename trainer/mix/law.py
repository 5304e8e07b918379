"""How bits per byte follow from a mix, and the mix for which they are lowest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from corpus.errors import RunsError
from trainer.held_out import Floats
from trainer.scaling.uncertainty import LEVEL, Interval

STARTS = (0.5, 0.8, 0.95)
"""Where fits start: the part of a domain's lowest loss that no mix takes away."""


@dataclass(frozen=True, eq=False)
class Law:
    """loss = floor + exp(shares · slopes), for each domain (data mixing laws, Ye et al., arXiv 2403.16952).

    `floor` float64[domains], `slopes` float64[domains, streams]; the lower a stream's slope, the more a
    domain gains from it.
    """

    floor: Floats
    slopes: Floats

    def losses(self, shares: Floats) -> Floats:
        """Return the losses of mixes [..., streams]: float64[..., domains]."""
        return np.asarray(self.floor + np.exp(shares @ self.slopes.T), np.float64)


def fit(shares: Floats, losses: Floats, begin: Law | None = None) -> Law:
    """Fit the law of every domain to mixes [runs, streams] and losses [runs, domains], by least squares.

    RunsError if there are fewer runs than twice the parameters of a domain.
    """
    runs, streams = shares.shape
    if runs < 2 * (streams + 1):
        raise RunsError(
            f"{runs} mixes of {streams} streams: a law of {streams + 1} parameters needs "
            f"{2 * (streams + 1)} or more; raise runs"
        )
    found = [_fit(shares, losses[:, d], begin, d) for d in range(losses.shape[1])]
    return Law(np.array([each[0] for each in found]), np.array([each[1:] for each in found]))


def _fit(shares: Floats, losses: Floats, begin: Law | None, domain: int) -> Floats:
    """Return floor and slopes of one domain, the best of some starts; with `begin`, from there alone."""
    if begin is not None:
        starts = [np.concatenate([begin.floor[domain : domain + 1], begin.slopes[domain]])]
    else:
        starts = []
        for part in STARTS:
            floor = part * float(losses.min())
            slopes = np.linalg.lstsq(shares, np.log(losses - floor), rcond=None)[0]
            starts.append(np.concatenate([[floor], slopes]))

    def residuals(theta: Floats) -> Floats:
        return np.asarray(theta[0] + np.exp(np.clip(shares @ theta[1:], -50, 50)) - losses, np.float64)

    limits = ([0.0, *[-np.inf] * shares.shape[1]], [float(losses.min()), *[np.inf] * shares.shape[1]])
    ends = [optimize.least_squares(residuals, np.clip(start, *limits), bounds=limits) for start in starts]
    return np.asarray(min(ends, key=lambda end: end.cost).x, np.float64)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A law, and the laws without each run: their errors on that run make intervals for new mixes.

    Jackknife+ (Barber et al. 2021, arXiv 1905.02928): valid for exchangeable mixes whatever the law.
    """

    law: Law
    without: tuple[Law, ...]
    importance: Floats
    misses: Floats

    def value(self, shares: Floats) -> Floats:
        """Return the mean loss over the domains, by importance, of mixes [..., streams]."""
        return np.asarray(self.law.losses(shares) @ self.importance, np.float64)

    def interval(self, shares: Floats) -> Interval:
        """Return the mean loss of one mix, with the interval of a run that reads it."""
        at = np.array([law.losses(shares) @ self.importance for law in self.without])
        return _jackknife(float(self.value(shares)), at, self.misses)

    def gain(self, before: Floats, after: Floats) -> Interval:
        """Return the share by which the mean loss falls from one mix to another, by every law."""
        at = np.array(
            [[law.losses(each) @ self.importance for each in (before, after)] for law in self.without]
        )
        value = 1 - float(self.value(after) / self.value(before))
        shares = 1 - at[:, 1] / at[:, 0]
        # The laws without one run differ by a part of what laws of other runs would: the jackknife's factor.
        error = float(np.sqrt((shares.size - 1) * shares.var()))
        reach = float(stats.t.ppf((1 + LEVEL) / 2, shares.size - 1)) * error
        return Interval(value, value - reach, value + reach)


def fitted(shares: Floats, losses: Floats, importance: Floats) -> Fitted:
    """Fit the law to all runs, and to all but each."""
    law = fit(shares, losses)
    rows = np.arange(len(shares))
    without = tuple(fit(shares[rows != row], losses[rows != row], law) for row in rows)
    own = losses @ importance
    away = np.array([one.losses(shares[row]) @ importance for row, one in enumerate(without)])
    return Fitted(law, without, importance, np.abs(own - away))


def _jackknife(value: float, at: Floats, misses: Floats) -> Interval:
    """Return the jackknife+ interval of a new run; open where there are too few runs for its level."""
    runs = at.size
    place = int(np.ceil(LEVEL * (runs + 1)))
    if place > runs:
        return Interval(value, float((at - misses).min()), float((at + misses).max()), runs / (runs + 1))
    low, high = np.sort(at - misses)[runs - place], np.sort(at + misses)[place - 1]
    return Interval(value, float(low), float(high))


def best(found: Fitted, caps: Floats) -> Floats:
    """Return the mix of the lowest mean loss in which no stream has more than its cap.

    A sum of exponentials of linear functions is convex, so one descent finds it.
    """
    streams = caps.size
    start = np.minimum(caps, 1.0) / np.minimum(caps, 1.0).sum()
    law = found.law

    def slope(shares: Floats) -> Floats:
        return np.asarray((found.importance * np.exp(shares @ law.slopes.T)) @ law.slopes, np.float64)

    ended = optimize.minimize(
        lambda shares: float(found.value(shares)),
        start,
        jac=slope,
        bounds=[(0.0, min(1.0, cap)) for cap in caps.tolist()],
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1.0, "jac": lambda s: np.ones(streams)},
        options={"maxiter": 1_000, "ftol": 1e-12},
    )
    shares = np.clip(ended.x, 0.0, caps)
    return np.asarray(shares / shares.sum(), np.float64)
