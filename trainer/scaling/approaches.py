"""Chinchilla's three approaches to the compute-optimal size, and what counts as N and as compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trainer.scaling.fit import Fit
from trainer.scaling.laws import Floats
from trainer.scaling.runs import Runs
from trainer.shape import Shape

SIZES = 4
"""The fewest sizes of one budget to which a parabola is fitted."""
BUDGETS = 1500
"""The number of budgets at which approach 1 looks for the lowest curve."""
SAME_BUDGET = 0.12
"""Runs whose ln compute differs by less than this belong to one isoFLOP curve."""


@dataclass(frozen=True)
class Frontier:
    """N* = N_0·C^a and D* = D_0·C^b by one approach from `budgets` points; `why` if it has no result."""

    approach: int
    a: float
    b: float
    log_n: float
    log_d: float
    budgets: int
    why: str = ""

    def optimum(self, compute: float) -> tuple[float, float]:
        """Return the parameters and the tokens that are optimal for a compute in FLOPs."""
        log = np.log(compute)
        with np.errstate(over="ignore"):  # exponents of a resample that determines none
            return float(np.exp(self.log_n + self.a * log)), float(np.exp(self.log_d + self.b * log))


@dataclass(frozen=True)
class Vertex:
    """The lowest point of one isoFLOP parabola of `sizes` points; `error` is the standard error of ln N*."""

    compute: float
    params: float
    tokens: float
    loss: float
    error: float
    sizes: int


def _nothing(approach: int, why: str) -> Frontier:
    nan = float("nan")
    return Frontier(approach, nan, nan, nan, nan, 0, why)


def power(compute: Floats, values: Floats, weights: Floats | None = None) -> tuple[float, float]:
    """Regress ln values on ln compute; return (intercept, exponent)."""
    slope, intercept = np.polyfit(np.log(compute), np.log(values), 1, w=weights)
    return float(intercept), float(slope)


def approach_1(runs: Runs) -> Frontier:
    """Regress size and tokens of the lowest of all training curves on compute (Hoffmann et al., 3.1).

    A curve joins the rows of one group in ln compute; budgets are on a logarithmic grid and count if the
    lowest curve is of neither the smallest nor the largest available size. Each curve's learning rate should
    have ended where it is read: checkpoints of a longer schedule bias the result.
    """
    compute = runs.compute()
    curves = []
    for cluster in range(int(runs.clusters().max()) + 1):
        rows = np.flatnonzero(runs.clusters() == cluster)
        if len(rows) > 1 and len(np.unique(runs.columns["params"][rows])) == 1:
            curves.append(rows[np.argsort(compute[rows])])
    if len(curves) < 3:
        return _nothing(
            1, f"needs training curves (several rows of one run): {len(curves)} found, expected 3"
        )
    grid = np.geomspace(min(compute[c[0]] for c in curves), max(compute[c[-1]] for c in curves), BUDGETS)
    lowest, smallest, largest = np.full(BUDGETS, np.inf), np.full(BUDGETS, np.inf), np.zeros(BUDGETS)
    size, tokens = np.zeros(BUDGETS), np.zeros(BUDGETS)
    for curve in curves:
        inside = (grid >= compute[curve[0]]) & (grid <= compute[curve[-1]])
        loss = np.interp(np.log(grid), np.log(compute[curve]), runs.loss[curve])
        seen = np.interp(np.log(grid), np.log(compute[curve]), np.log(runs.columns["tokens"][curve]))
        better = inside & (loss < lowest)
        own = runs.columns["params"][curve[0]]
        lowest[better], size[better], tokens[better] = loss[better], own, np.exp(seen[better])
        smallest = np.where(inside, np.minimum(smallest, own), smallest)
        largest = np.where(inside, np.maximum(largest, own), largest)
    # if the smallest or largest available size is best, the optimum may be beyond it
    sure = (size > smallest) & (size < largest)
    if len(np.unique(size[sure])) < 3:
        return _nothing(1, "fewer than 3 sizes win against both a smaller and a larger one: give more sizes")
    log_n, a = power(grid[sure], size[sure])
    log_d, b = power(grid[sure], tokens[sure])
    return Frontier(1, a, b, log_n, log_d, int(sure.sum()))


def vertices(compute: Floats, params: Floats, tokens: Floats, loss: Floats) -> tuple[list[Vertex], int]:
    """Fit a parabola in ln N to each budget; return the accepted vertices, and how many were refused.

    Accepted budgets have at least SIZES sizes, an upward parabola, and a vertex strictly inside, in ln N and
    in ln D.
    """
    order = np.argsort(compute)
    gaps = np.diff(np.log(compute[order])) > SAME_BUDGET
    found, refused = [], 0
    for rows in np.split(order, np.flatnonzero(gaps) + 1):
        x = np.log(params[rows])
        if len(np.unique(x)) < SIZES:
            refused += 1
            continue
        centre = x.mean()
        c2, c1, c0 = np.polyfit(x - centre, loss[rows], 2)
        at = -c1 / (2 * c2) if c2 else np.inf
        if c2 <= 0 or not x.min() < at + centre < x.max():
            refused += 1
            continue
        y = np.log(tokens[rows])
        d2, d1, _ = np.polyfit(y - y.mean(), loss[rows], 2)
        at_d = -d1 / (2 * d2) + y.mean() if d2 > 0 else np.inf
        if not y.min() < at_d < y.max():
            refused += 1
            continue
        left = loss[rows] - np.polyval([c2, c1, c0], x - centre)
        design = np.vander(x - centre, 3)
        noise = float((left**2).sum()) / max(len(rows) - 3, 1)
        spread = noise * np.linalg.inv(design.T @ design)
        slope = np.array([c1 / (2 * c2**2), -1 / (2 * c2), 0.0])
        found.append(
            Vertex(
                compute=float(np.exp(np.log(compute[rows]).mean())),
                params=float(np.exp(at + centre)),
                tokens=float(np.exp(at_d)),
                loss=float(np.polyval([c2, c1, c0], at)),
                error=float(np.sqrt(slope @ spread @ slope)),
                sizes=len(rows),
            )
        )
    return found, refused


def approach_2(runs: Runs) -> Frontier:
    """Regress the vertices of isoFLOP curves on compute (Hoffmann et al., 3.2), weighted by 1/error²."""
    found, refused = vertices(runs.compute(), runs.columns["params"], runs.columns["tokens"], runs.loss)
    if len(found) < 2:
        why = f"needs two budgets of {SIZES} sizes around their optimum: {len(found)} usable, {refused} not"
        return _nothing(2, why)
    compute = np.array([v.compute for v in found])
    error = np.array([v.error for v in found])
    weights = 1 / np.maximum(error, max(np.median(error) / 10, 1e-9))
    log_n, a = power(compute, np.array([v.params for v in found]), weights)
    log_d, b = power(compute, np.array([v.tokens for v in found]), weights)
    return Frontier(2, a, b, log_n, log_d, len(found))


def approach_3(parameters: Mapping[str, float], runs: int = 0) -> Frontier:
    """Return the optimum of L = E + A/N^alpha + B/D^beta under C = 6·N·D (Hoffmann et al., equation 4)."""
    alpha, beta = parameters["alpha"], parameters.get("beta", parameters["alpha"])
    if alpha <= 0 or beta <= 0:
        return _nothing(3, f"alpha {alpha:.3g}, beta {beta:.3g}: an exponent of zero has no optimum")
    log_g = (np.log(alpha) + parameters["a"] - np.log(beta) - parameters["b"]) / (alpha + beta)
    a, b = beta / (alpha + beta), alpha / (alpha + beta)
    return Frontier(3, a, b, float(log_g - a * np.log(6)), float(-log_g - b * np.log(6)), runs)


def side_by_side(runs: Runs, fitted: Fit) -> tuple[Frontier, Frontier, Frontier]:
    """Return all three approaches on the same runs; one that the data do not allow says why."""
    return approach_1(runs), approach_2(runs), approach_3(fitted.parameters, fitted.runs)


def parabola_bias(alpha: float, beta: float, half_width: float, sizes: int, off_centre: float = 0.0) -> float:
    """Return ln(N at a noise-free isoFLOP parabola's vertex) − ln N*: the bias of approach 2 without noise.

    The surface has exponents alpha, beta; `sizes` are spaced evenly over ±half_width in ln N, their middle
    `off_centre` from the optimum. Along a budget the loss is E + K·(beta e^(−alpha w) + alpha e^(beta w))
    with w = ln N/N*: it depends neither on the budget nor on A, B, E, so the shift is one constant (arXiv
    2603.22339). With even points x and odd moments zero, the parabola's vertex is the ratio of two
    projections.
    """
    x = np.linspace(-half_width, half_width, sizes)
    w = x + off_centre
    loss = beta * np.exp(-alpha * w) + alpha * np.exp(beta * w)
    m2, m4 = (x**2).mean(), (x**4).mean()
    first = (x * loss).mean() / m2
    second = ((x**2 - m2) * loss).mean() / (m4 - m2**2)
    return float(-first / (2 * second) + off_centre)


@dataclass(frozen=True)
class Convention:
    """A paper's way to count: parameters of a shape, and training FLOPs per token at a window length."""

    name: str
    source: str
    params: Callable[[Shape], int]
    flops: Callable[[Shape, int], float]


def _chinchilla_flops(s: Shape, length: int) -> float:
    # forward, per token of a sequence of `length`: matrices, lookups as products with one-hot rows,
    # attention's scores and values, three FLOPs per score for its softmax; backward costs twice as much
    matrices = 2 * s.non_embedding_parameters + 4 * s.vocabulary * s.width
    attention = s.layers * s.heads * length * (4 * s.head + 3)
    return 3.0 * (matrices + attention)


CONVENTIONS: dict[str, Convention] = {
    c.name: c
    for c in (
        Convention(
            "kaplan",
            "Kaplan et al. 2020, table 1: no embeddings; attention's window counted once",
            lambda s: s.non_embedding_parameters,
            lambda s, length: 6.0 * s.non_embedding_parameters + 6.0 * s.layers * length * s.heads * s.head,
        ),
        Convention(
            "chinchilla",
            "Hoffmann et al. 2022, appendix F: all parameters; embeddings and softmax counted",
            lambda s: s.active_parameters,
            _chinchilla_flops,
        ),
        Convention(
            "palm",
            "Chowdhery et al. 2022, appendix B, and nanochat: matrices with the output layer, no lookups",
            lambda s: s.matmul_parameters,
            lambda s, length: 6.0 * s.matmul_parameters + 12.0 * s.layers * s.heads * s.head * length,
        ),
        Convention(
            "porian",
            "Porian et al. 2024: matrices with the output layer, without attention",
            lambda s: s.matmul_parameters,
            lambda s, length: 6.0 * s.matmul_parameters,
        ),
    )
}
