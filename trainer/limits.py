"""What limits a run, and what another epoch or fresh text would give, by its own curve and published laws.

The held-out loss of the run follows L = E + B/D'^0.35, fitted by least squares to its last evaluations at a
constant learning rate. D' are tokens worth as much as fresh ones: U unique tokens that are read R times more
are worth U + U·r·(1 − exp(−R/r)), and 0.35 is the exponent of data and size (Muennighoff et al. 2023, arXiv
2305.16264). One run cannot tell what a larger model would give: that comes from the published balance, 20
tokens a parameter (Hoffmann et al. 2022, arXiv 2203.15556), at which twice the data and twice the parameters
lower the loss alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from trainer.order import Order
from trainer.schedule import Rates

EXPONENT = 0.3526596
EPOCHS = 15.387756
EPOCHS_AT_LEAST = 2.9157
"""r of the law in which data alone decay, from the same runs: no verdict where the two disagree."""
BALANCE = 20.0
UNSURE = 3.0
"""Within this factor of the balance there is no verdict."""
LITTLE = 0.01
"""Neither limits a run whose loss twice the data, or twice the parameters, would lower by less than this."""
NOISE, SCATTERS = 0.005, 5.0
"""A rise of the loss on repeated text counts from this share of its lowest value on, and from this many
standard deviations of the evaluations around their curve: of a level one 2 to 4 % of them seem to rise."""
WINDOW = 8.0
"""Evaluations with more than 1/WINDOW of the present tokens are fitted: earlier ones fall by another law."""

Limit = Literal["data", "size", "neither"]


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation: tokens trained on until then, how many of them were different, the held-out loss."""

    tokens: float
    unique: float
    loss: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """The loss after reading a run's unique tokens once more, and after as many fresh ones; what limits it.

    `now`, `epoch` and `fresh` are in the loss's unit, for a run bits per byte. A number is None where the
    curve does not tell, `limit` where the run is too near the balance.
    """

    now: float
    epoch: float | None
    fresh: float | None
    limit: Limit | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        limited = f"limited by {self.limit}" if self.limit else "near the balance of data and size"
        told = [f"another epoch will give about {self.epoch:.4f}"] if self.epoch is not None else []
        told += [f"as much fresh text {self.fresh:.4f}"] if self.fresh is not None else []
        return f"held out {self.now:.4f} bits/byte: {', '.join([*told, f'this run is now {limited}'])}"


def worth(tokens: float, unique: float, epochs: float = EPOCHS) -> float:
    """Return D', the fresh tokens that `tokens` of which `unique` are different are worth."""
    return float(unique * (1 - epochs * np.expm1(-(tokens / unique - 1) / epochs)))


def outlook(now: Point, curve: Sequence[Point], parameters: int, unsure: float = UNSURE) -> Outlook:
    """Return what another epoch and fresh text would give after an evaluation.

    `curve`: the evaluations at a constant learning rate, in their order; `now` is its last, or comes
    after it. The numbers need three of them that span twice the tokens, and a loss that falls.
    """
    data = worth(now.tokens, now.unique)
    rise = _rise(curve) if curve and curve[-1] == now else 0.0
    if rise > 0:  # learned by heart: the next epoch does what the last ones did
        return Outlook(now.loss, now.loss + rise * now.unique, None, "data")
    slope = _slope(curve)

    def after(more: float) -> float | None:
        return now.loss - slope * float(data**-EXPONENT - more**-EXPONENT) if slope is not None else None

    doubled = after(2 * data)
    by_data = 1 - doubled / now.loss if doubled is not None else None
    limits = {
        _limit(worth(now.tokens, now.unique, epochs) / parameters, by_data, unsure)
        for epochs in (EPOCHS_AT_LEAST, EPOCHS)
    }
    return Outlook(
        now.loss,
        after(worth(now.tokens + now.unique, now.unique)),
        after(data + now.unique),
        limits.pop() if len(limits) == 1 else None,
    )


class Curve:
    """The evaluations of a run, taken one by one, so that no evaluation reads those before it again."""

    def __init__(self, order: Order, rates: Rates, parameters: int) -> None:
        self._order, self._rates, self._parameters = order, rates, parameters
        self._steady: list[Point] = []  # at the constant learning rate

    def add(self, step: int, bits_per_byte: float | None) -> Outlook | None:
        """Take the evaluation after `step` steps and return the outlook then; None without a score."""
        if bits_per_byte is None or not math.isfinite(bits_per_byte):
            return None
        now = _point(self._order, step, bits_per_byte)
        if self._rates.warmup <= now.tokens <= self._rates.stable:
            self._steady.append(now)
        return outlook(now, self._steady, self._parameters)


def _point(order: Order, step: int, loss: float) -> Point:
    read = order.progress(step)
    sizes = np.array([stream.tokens.sum() for stream in order.streams])
    return Point(order.tokens(step), float(np.where(read.epochs > 0, sizes, read.targets).sum()), loss)


def _rise(curve: Sequence[Point]) -> float:
    """Return by how much a token the loss has risen since it was lowest on repeated text; 0 within the noise.

    Since then, not since the evaluation before: of frequent ones no two differ by more than their noise.
    """
    repeated = [point for point in curve if point.tokens > 1.001 * point.unique]
    if not repeated or curve[-1] is not repeated[-1]:
        return 0.0
    low, now = min(repeated, key=lambda point: point.loss), repeated[-1]
    noise = max(NOISE, SCATTERS * _scatter(_near(curve)))
    is_rise = math.log(now.loss / low.loss) > noise
    return (now.loss - low.loss) / (now.tokens - low.tokens) if is_rise else 0.0


def _near(curve: Sequence[Point]) -> list[Point]:
    """Return the last evaluations, which follow one law."""
    return [point for point in curve if point.tokens * WINDOW > curve[-1].tokens]


def _scatter(curve: Sequence[Point]) -> float:
    """Return the standard deviation of evaluations around a smooth curve, as a share of the loss.

    By the median of their second differences, of which √6 standard deviations are one; 0 for fewer than five.
    """
    if len(curve) < 5:
        return 0.0
    bends = np.abs(np.diff(np.log([point.loss for point in curve]), 2))
    return float(np.median(bends)) / (0.6745 * math.sqrt(6))


def _slope(curve: Sequence[Point]) -> float | None:
    """Return B of the last evaluations; None for too few, or where the loss does not fall with D'."""
    near = _near(curve) if curve else []
    data = [worth(point.tokens, point.unique) for point in near]
    if len(near) < 3 or data[-1] < 2 * data[0]:
        return None
    slope = float(np.polyfit([each**-EXPONENT for each in data], [point.loss for point in near], 1)[0])
    return slope if slope > 0 else None


def _limit(ratio: float, by_data: float | None, unsure: float) -> Limit | None:
    """Return what limits a run of `ratio` tokens a parameter; twice the data lower its loss by a share."""
    share = ratio / BALANCE
    if by_data is not None and by_data * max(1.0, share**EXPONENT) < LITTLE:
        return "neither"
    if share < 1 / unsure:
        return "data"
    return "size" if share > unsure else None
