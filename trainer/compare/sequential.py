"""When a comparison may stop: a group sequential rule over seeds, and what it can see.

After each seed from the first look on, every corpus is compared with the first one at one nominal level.
The level is the quantile `error` of the smallest p-value over all looks and all comparisons when no corpus
differs (Pocock's boundary, with an unknown variance; Jennison and Turnbull, Group Sequential Methods, 2000,
chapters 2 and 4), computed by simulation of the very statistic that is used. So the chance that anything is
called different in a comparison of equals is `error`, at whichever look it stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from trainer.compare.estimate import Difference
from trainer.held_out import Floats

PATHS = 40_000
"""Simulated comparisons of equals that set the nominal level: 2 % of its value at 5 % errors."""

BETTER, WORSE, TIE, OPEN = "better", "worse", "tie", "not decided"


@dataclass(frozen=True)
class Rule:
    """Look after each seed from `first` to `most`; `error` is the chance of a wrong difference.

    `tie` in bits per byte: two corpora whose interval is within ± this are called a tie; 0: never.
    """

    first: int
    most: int
    error: float
    tie: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.most or not 0 < self.error < 1 or self.tie < 0:
            raise ValueError(f"{self}: expected 2 <= first <= most, 0 < error < 1, tie >= 0")

    @property
    def looks(self) -> range:
        """Return the numbers of seeds after which it looks."""
        return range(self.first, self.most + 1)

    def level(self, corpora: int) -> float:
        """Return the nominal level of each test of a comparison of this many corpora."""
        return _level(self.first, self.most, self.error, corpora)

    def verdict(self, found: Difference, corpora: int) -> str:
        """Return what a difference from the first corpus shows so far."""
        low, high = found.interval(self.level(corpora))
        if high < 0:
            return BETTER
        if low > 0:
            return WORSE
        return TIE if -self.tie <= low and high <= self.tie else OPEN

    def stops(self, seeds: int, found: Sequence[Difference]) -> bool:
        """Return whether a comparison ends: every corpus is decided, or this is the last seed."""
        if seeds >= self.most:
            return True
        corpora = len(found) + 1
        return seeds >= self.first and OPEN not in [self.verdict(each, corpora) for each in found]


@cache
def _level(first: int, most: int, error: float, corpora: int) -> float:
    draws = np.random.default_rng(0).standard_normal((PATHS, corpora, most))
    smallest = np.ones(PATHS)
    for seeds in range(first, most + 1):
        apart, errors = _statistic(draws[:, :, :seeds])
        freedom = (corpora - 1) * (seeds - 1)
        largest = np.abs(apart).max(1) / errors
        smallest = np.minimum(smallest, 2 * stats.t.sf(largest, freedom))
    return float(np.quantile(smallest, error))


def _statistic(draws: Floats) -> tuple[Floats, Floats]:
    """Return differences from the first corpus and their error, as `estimate.contrast` has them."""
    corpora, seeds = draws.shape[1:]
    means = draws.mean(2)
    residual = draws - means[:, :, None] - draws.mean(1, keepdims=True) + means.mean(1)[:, None, None]
    freedom = (corpora - 1) * (seeds - 1)
    spread = np.sqrt((residual**2).sum((1, 2)) / freedom)
    return means[:, 1:] - means[:, :1], np.asarray(spread * math.sqrt(2 / seeds))


def smallest_difference(
    rule: Rule, noise: float, corpora: int, power: float = 0.8, document_error: float = 0.0
) -> float:
    """Return the difference in bits per byte that the last look finds with this probability.

    `noise` is the standard deviation of one run beside its seed's effect, `document_error` the standard error
    of a difference over the held-out documents. Earlier looks add a little power.
    """
    seed_error = noise * math.sqrt(2 / rule.most)
    found = Difference(0.0, seed_error, document_error, (corpora - 1) * (rule.most - 1))
    freedom = found.effective_freedom
    bound = float(stats.t.isf(rule.level(corpora) / 2, freedom))

    # Over quantiles of the estimated spread: scipy's noncentral t is not a number for some shifts.
    spread = np.sqrt(stats.chi2.ppf((np.arange(400) + 0.5) / 400, freedom) / freedom)

    def missing(shift: float) -> float:
        seen = stats.norm.sf(bound * spread - shift) + stats.norm.cdf(-bound * spread - shift)
        return float(seen.mean()) - power

    shift = optimize.brentq(missing, 0.0, 4 * bound + 20.0)
    return float(shift) * found.error


@dataclass(frozen=True)
class Simulated:
    """What the rule did in simulated comparisons of two corpora: shares of verdicts, mean seeds used."""

    better: float
    worse: float
    tie: float
    undecided: float
    seeds: float


def simulate(rule: Rule, effect: float, draws: Floats) -> Simulated:
    """Apply the rule to noise draws[paths, 2, most]; the second corpus has `effect` bits per byte more."""
    values = draws + np.array([0.0, effect])[:, None]
    paths = values.shape[0]
    verdicts: NDArray[np.str_] = np.full(paths, OPEN, "U16")
    used = np.full(paths, rule.most)
    running = np.full(paths, True)
    for seeds in rule.looks:
        apart, errors = _statistic(values[running][:, :, :seeds])
        reach = stats.t.isf(rule.level(2) / 2, seeds - 1) * errors
        low, high = apart[:, 0] - reach, apart[:, 0] + reach
        now = np.select(
            [high < 0, low > 0, (low >= -rule.tie) & (high <= rule.tie)], [BETTER, WORSE, TIE], OPEN
        )
        verdicts[running] = now
        used[running] = seeds
        running &= verdicts == OPEN
    better, worse, tie, undecided = (float(np.mean(verdicts == each)) for each in (BETTER, WORSE, TIE, OPEN))
    return Simulated(better, worse, tie, undecided, float(used.mean()))
