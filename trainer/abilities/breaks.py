"""Find a break in a curve over scale: compare smooth and broken curves by their fit and by held-out sizes.

The smooth curves: constant + amplitude × shape. A shape is a logistic, a Gompertz curve in either direction
or an exponential in log scale, of any midpoint, and wide: from 10 to 90 % in no less than two steps of the
grid of sizes. (A power law in scale is an exponential in log scale.) A narrower rise is between two sizes,
where no data distinguish it from a jump, so that is the definition of a break here: the grid decides how
sharp it must be. The broken curves: such a curve with a jump between two sizes, or two straight lines.

Two tests must both find a break. Noise: how much closer is the broken curve to all sizes than the smooth
one, and how often would noise around the smooth one cause that (simulated)? Held-out sizes: every size but
the smallest and the largest is held out in turn; which curve, fitted to the others, predicts it better?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIZES = 6
"""The fewest different sizes: two on each side of a break, with one between held out."""
SIMULATIONS = 1999
_WIDTHS = tuple(2.0 * 2 ** (k / 6) for k in range(19))  # from 10 to 90 %, in steps of the grid: 2 to 16
_FINE, _COARSE = 48, 4  # midpoints per width: dense enough that the error between two does not matter
_SIDE = 2  # sizes on each side of a break, because one value does not show a level


@dataclass(frozen=True, eq=False)
class Break:
    """The result: the p-value of "no break", and where the best broken curve jumps, by how much.

    `gain` is how much smaller the broken curve's errors on held-out sizes are, summed in squared units of
    noise, over `held_out` of them; `smooth` [S] is the best smooth curve; the jump is between sizes `below`
    and `below` + 1 (counted from 0).
    """

    p: float
    gain: float
    held_out: int
    smooth: Floats
    below: int
    jump: float


def find(x: Floats, y: Floats, noise: Floats, seed: int = 0, simulations: int = SIMULATIONS) -> Break:
    """Compare smooth and broken curves of y [S] over x [S], rising log scales, with standard errors `noise`.

    ValueError for fewer than SIZES sizes, sizes that are not rising, or noise that is not above 0.
    """
    if len(x) < SIZES:
        raise ValueError(f"{len(x)} sizes: a break needs at least {SIZES}")
    if not (np.diff(x) > 0).all() or not (noise > 0).all() or not np.isfinite([y, noise]).all():
        raise ValueError("expected rising sizes, finite values and noise above 0")
    smooth, broken = _Family(_smooth(x), noise), _Family(_broken(x), noise)
    everywhere = np.ones(len(x), np.bool_)
    level = smooth.fit(y, everywhere)[0]
    drawn = level + noise * np.random.default_rng(seed).standard_normal((simulations, len(x)))
    curves = np.vstack([y, drawn])
    better = smooth.misses(curves) - broken.misses(curves)
    gain, held_out = _held_out(smooth, broken, y, noise)
    below, jump = broken.jump(y, everywhere)
    return Break(
        p=(1 + int((better[1:] >= better[0]).sum())) / (1 + simulations),
        gain=gain,
        held_out=held_out,
        smooth=level,
        below=below,
        jump=jump,
    )


def _held_out(smooth: _Family, broken: _Family, y: Floats, noise: Floats) -> tuple[float, int]:
    """Return how much smaller the broken curves' errors on held-out sizes are, and the number of sizes.

    If the others put the jump into the gap of the held-out size, the broken curve does not say on which side
    of the jump the size is: it is not counted.
    """
    gain, counted = 0.0, 0
    for out in range(1, len(y) - 1):
        keep = np.arange(len(y)) != out
        below, _ = broken.jump(y, keep)
        if below in (out - 1, out):
            continue
        counted += 1
        for family, sign in ((smooth, 1), (broken, -1)):
            gain += sign * float((y[out] - family.fit(y, keep)[0][out]) / noise[out]) ** 2
    return gain, counted


class _Family:
    """Curves that are linear in all but a choice among designs [M, S, P], fitted by least squares."""

    def __init__(self, designs: Floats, noise: Floats) -> None:
        self.designs, self.root = designs, 1 / noise

    def _bases(self, keep: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return designs in units of noise, 0 at sizes not kept, and orthonormal bases [M, S, P]."""
        weighted = self.designs * (self.root * keep)[:, None]
        left, size, _ = np.linalg.svd(weighted, full_matrices=False)
        return weighted, left * (size > 1e-9 * size[:, :1])[:, None]

    def misses(self, y: Floats) -> Floats:
        """Return [B] the squared errors, in units of noise, of the best curve for each of y [B, S]."""
        _, bases = self._bases(np.ones(y.shape[1], np.bool_))
        scaled = y * self.root
        sides = bases.transpose(2, 1, 0)  # [P, S, M]
        best = [
            np.sum([(part @ side) ** 2 for side in sides], axis=0).max(1)
            for part in np.array_split(scaled, -(-len(scaled) // 100))
        ]
        return np.asarray((scaled**2).sum(1) - np.concatenate(best))

    def fit(self, y: Floats, keep: NDArray[np.bool_]) -> tuple[Floats, int, Floats]:
        """Return the best curve [S] for y [S] at the sizes kept, its design's number and coefficients [P]."""
        weighted, bases = self._bases(keep)
        scaled = y * self.root * keep
        number = int(((scaled @ bases) ** 2).sum(1).argmax())
        found = np.asarray(np.linalg.lstsq(weighted[number], scaled, rcond=None)[0])
        return self.designs[number] @ found, number, found

    def jump(self, y: Floats, keep: NDArray[np.bool_]) -> tuple[int, float]:
        """Return the last size below the jump of the best broken curve, and the height of the jump."""
        _, number, found = self.fit(y, keep)
        return int((self.designs[number, :, 3] == 0).sum()) - 1, float(found[3])


def _shapes(x: Floats, widths: Sequence[float], midpoints: int) -> Floats:
    """Return shapes [M, S] that go from 0 to 1 over the sizes, monotone and wide; `midpoints` per width."""
    step = float(np.median(np.diff(x)))
    span = float(x[-1] - x[0])
    made = [((x - x[0]) / span)[None]]
    for width in widths:
        number = max(5, math.ceil(2 * span / (width * step) * midpoints))
        middles = np.linspace(x[0] - span / 2, x[-1] + span / 2, number)
        z = (x - middles[:, None]) / (width * step)
        fall = np.exp(-np.clip(3.0843 * z, -30, 30))  # widths from 10 to 90 % are 1 in z
        rise = np.exp(-np.clip(-3.0843 * z, -30, 30))
        made += [1 / (1 + np.exp(-4.3944 * z)), np.exp(-fall), 1 - np.exp(-rise)]
        made += [np.exp(sign * (x - x[0]) * math.log(9) / (width * step))[None] for sign in (1, -1)]
    shapes = np.concatenate(made)
    shapes = shapes[np.abs(shapes[:, -1] - shapes[:, 0]) > 1e-6]
    begin, end = shapes[:, :1], shapes[:, -1:]
    return np.asarray((shapes - begin) / (end - begin))


def _smooth(x: Floats) -> Floats:
    shapes = _shapes(x, _WIDTHS, _FINE)
    return np.stack([np.ones_like(shapes), shapes], axis=2)


def _broken(x: Floats) -> Floats:
    """Return designs of a smooth curve with a jump, and of two lines: [M, S, 4], the jump's column last."""
    shapes = _shapes(x, (3.0, 8.0), _COARSE)
    line, one = (x - x[0]) / (x[-1] - x[0]), np.ones_like(x)
    made = []
    for below in range(_SIDE - 1, len(x) - _SIDE):
        jump = (np.arange(len(x)) > below).astype(float)
        made += [np.stack([one, shape, 0 * one, jump], 1) for shape in shapes]
        centre = (line[below] + line[below + 1]) / 2
        made.append(np.stack([one, (line - centre) * (1 - jump), (line - centre) * jump, jump], 1))
    return np.array(made)


def holm(values: list[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[number]))
        corrected[number] = highest
    return corrected
