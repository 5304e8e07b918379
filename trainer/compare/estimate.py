"""Differences between corpora in bits per byte, and what a token of one is worth in tokens of another.

Runs are paired by their seed, which sets initial weights and the order of windows. With `seeds` runs of each
corpus, the value of a corpus c and seed k is modelled as mean[c] + effect[k] + noise; the noise is pooled
over corpora, which for two corpora is the paired t test. The error over documents is added to that over
seeds: it counts how documents differ twice, so intervals are rather too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from trainer.compare.results import Measure, Results
from trainer.held_out import Floats


@dataclass(frozen=True)
class Difference:
    """A difference of two corpora in bits per byte, with its standard errors over seeds and documents."""

    value: float
    seed_error: float
    document_error: float
    freedom: float

    @property
    def error(self) -> float:
        """Return the standard error over seeds and documents together."""
        return math.hypot(self.seed_error, self.document_error)

    @property
    def effective_freedom(self) -> float:
        """Return the degrees of freedom of `error` (Satterthwaite; documents have many)."""
        if not self.seed_error:
            return 1e6
        return float(min(1e6, self.freedom * (self.error / self.seed_error) ** 4))

    def p(self) -> float:
        """Return the two-sided p-value of no difference; 1 if it is not known."""
        if not math.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return 0.0 if self.value else 1.0
        return float(2 * special.stdtr(self.effective_freedom, -abs(self.value) / self.error))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that a test of this level does not reject; infinite if errors are not known."""
        if not math.isfinite(self.error):
            return -math.inf, math.inf
        reach = -float(special.stdtrit(self.effective_freedom, level / 2)) * self.error
        return self.value - reach, self.value + reach


def noise(table: Floats) -> tuple[float, float]:
    """Return the standard deviation of one run in table[corpora, seeds] beside its corpus and its seed, and
    its degrees of freedom; NaN with fewer than two seeds."""
    corpora, seeds = table.shape
    freedom = (corpora - 1) * (seeds - 1)
    if freedom < 1:
        return math.nan, 0.0
    residual = table - table.mean(0, keepdims=True) - table.mean(1, keepdims=True) + table.mean()
    return math.sqrt(float(np.sum(residual**2)) / freedom), float(freedom)


def contrast(bits: Floats, bytes: NDArray[np.int64], measure: Measure, first: int, other: int) -> Difference:
    """Return corpus `other` minus corpus `first` for bits[corpora, seeds, documents]."""
    table = measure.of(bits)
    spread, freedom = noise(table)
    apart = (bits[other] - bits[first]).mean(0)
    seeds = table.shape[1]
    return Difference(
        value=float((table[other] - table[first]).mean()),
        seed_error=spread * math.sqrt(2 / seeds),
        document_error=measure.error(apart, bytes),
        freedom=freedom,
    )


def difference(
    results: Results, measure: Measure, other: int, size: int = -1, budget: int = -1, first: int = 0
) -> Difference:
    """Return how many bits per byte corpus `other` has more than corpus `first` (negative: it is better)."""
    return contrast(results.bits[:, size, budget], results.documents.bytes, measure, first, other)


def change_with_size(results: Results, measure: Measure, other: int, first: int = 0) -> Difference:
    """Return the difference at the largest size minus that at the smallest, at the largest budgets."""
    bits = results.bits[:, -1, -1] - results.bits[:, 0, -1]
    return contrast(bits, results.documents.bytes, measure, first, other)


@dataclass(frozen=True)
class Multiplier:
    """Tokens of the first corpus that one token of another is worth, at one size and the largest budget.

    `low` and `high` bound the interval; `reach` is the largest ratio that the budgets can show, so a value
    of infinity means more than `reach`, one of zero less than 1 / `reach`.
    """

    value: float
    low: float
    high: float
    reach: float


def multiplier(
    results: Results, measure: Measure, other: int, level: float, size: int = -1, first: int = 0
) -> Multiplier:
    """Return the ratio m at which the first corpus with m times the tokens has the other's bits per byte.

    The curve of the better corpus is read to the left of its largest budget D, linearly in ln tokens
    between budgets: for m >= 1 the other corpus at D / m against the first at D, for m < 1 the first at
    m D against the other at D. So nothing is extrapolated. The interval has the ratios whose difference a
    test of this level does not reject, as Fieller's does.
    """
    places = np.log(results.tokens[size].astype(np.float64))
    most = float(places[-1] - places[0])

    def at(ratio: float) -> Difference:
        return _at(results, measure, other, first, size, places, ratio)

    value = _crossing(lambda ratio: at(ratio).value, most)
    low = _crossing(lambda ratio: at(ratio).interval(level)[1], most)
    high = _crossing(lambda ratio: at(ratio).interval(level)[0], most)
    reach = math.exp(most)
    return Multiplier(value, min(low, reach), max(high, 1 / reach), reach)


def _crossing(rising: Callable[[float], float], most: float) -> float:
    """Return the exponential of where a function is zero: 0 or infinity if beyond -most or most."""
    left, right = rising(-most), rising(most)
    if left > 0 or right < 0:
        return 0.0 if left > 0 else math.inf
    if left == right:
        return 1.0
    return math.exp(float(optimize.brentq(rising, -most, most, xtol=1e-6)))


def _at(
    results: Results,
    measure: Measure,
    other: int,
    first: int,
    size: int,
    places: Floats,
    ratio: float,
) -> Difference:
    """Return the difference at a ratio of tokens (its logarithm): below zero if the other is worth more."""
    end = float(places[-1])
    bits = _read(results.bits[:, size], places, end - max(ratio, 0.0))
    bits[first] = _read(results.bits[first : first + 1, size], places, end + min(ratio, 0.0))[0]
    return contrast(bits, results.documents.bytes, measure, first, other)


def _read(bits: Floats, places: Floats, at: float) -> Floats:
    """Return bits[corpora, budgets, seeds, documents] at ln tokens `at`, linearly between budgets."""
    if places.size == 1:
        return bits[:, 0].copy()
    right = int(np.clip(np.searchsorted(places, at), 1, places.size - 1))
    share = (at - places[right - 1]) / (places[right] - places[right - 1])
    return np.asarray((1 - share) * bits[:, right - 1] + share * bits[:, right])
