"""The scaling laws: each a function of a run's logarithms with its derivatives, its bounds and its starts.

A law returns the natural logarithm of the loss. Its parameters are those that enter linearly or as exponents:
`a` = ln A, `alpha`, `e` = ln E and so on; `derived` returns the numbers that papers print. Every law keeps
its form when a column is measured in another unit: dividing N by s turns `a` into a − alpha·ln s. Fits use
this to centre the logarithms, so that a coefficient and its exponent are nearly uncorrelated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Logs: TypeAlias = Mapping[str, Floats]
"""Natural logarithms of runs' columns, each [n]."""
Evaluate: TypeAlias = Callable[[Floats, Logs], tuple[Floats, Floats]]
"""(theta [m, p], logs) → (ln loss [m, n], its derivatives [m, p, n])."""

EXPONENT = (0.0, 10.0)
COEFFICIENT = (-40.0, 40.0)
CONSTANT = (-14.0, 10.0)
NEVER = -60.0
"""The logarithm of a penalty that does not apply."""
EPOCHS = (-7.0, 14.0)
"""Bounds of ln R*: 14 is a million further epochs, so that an estimate there means 'no decay seen'."""


@dataclass(frozen=True)
class Law:
    """A scaling law: its name, the columns it needs, its evaluation and its starts.

    `scales` lists (coefficient, exponent, column): ln column − s turns coefficient into coefficient −
    exponent·s.
    `bounds` are for centred parameters; an estimate at a bound means that the data do not determine it.
    `grid` has starts: of a sum all its parameters, of other laws those that fresh data do not need, centred.
    """

    name: str
    formula: str
    source: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    scales: tuple[tuple[str, str, str], ...]
    grid: Mapping[str, tuple[float, ...]]
    evaluate: Evaluate
    exponentials: Mapping[str, str]
    """Numbers that papers print, by label: the exponential of this parameter."""
    more: Callable[[Mapping[str, float]], dict[str, float]] = field(default=lambda _: {})
    """Other numbers that papers print."""
    powers: tuple[tuple[str, str, str], ...] = field(default=())
    """(coefficient, exponent, column) of laws that are a sum of powers and a constant."""

    def index(self, name: str) -> int:
        """Return a parameter's position; ValueError if the law has none of that name."""
        if name not in self.parameters:
            known = ", ".join(self.parameters)
            raise ValueError(f"law {self.name} has no parameter {name!r}; it has {known}")
        return self.parameters.index(name)

    def derived(self, parameters: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers that papers print, by label, from parameters by name."""
        out = {label: float(np.exp(parameters[name])) for label, name in self.exponentials.items()}
        return out | self.more(parameters)

    def log_loss(self, theta: Floats, logs: Logs) -> Floats:
        """Return ln loss [n] at one parameter vector [p], or [m, n] at several [m, p]."""
        values = self.evaluate(np.atleast_2d(theta), logs)[0]
        return values if theta.ndim == 2 else values[0]

    def rescale(self, theta: Floats, shift: Mapping[str, float]) -> Floats:
        """Convert parameters [..., p] to columns whose logarithms had `shift` subtracted."""
        out = np.array(theta, dtype=float)
        for coefficient, exponent, column in self.scales:
            out[..., self.index(coefficient)] -= out[..., self.index(exponent)] * shift[column]
        return out

    def starts(self) -> Floats:
        """Return the whole start grid [k, p] of a sum, in the units of the columns."""
        return np.array(list(itertools.product(*(self.grid[name] for name in self.parameters))))


def additive(parameters: tuple[str, ...], powers: tuple[tuple[str, str, str], ...]) -> Evaluate:
    """Return ln(E + Σ exp(coefficient)·column^−exponent); its derivatives are the terms' shares."""
    constant = parameters.index("e")
    places = [(parameters.index(c), parameters.index(x), column) for c, x, column in powers]

    def evaluate(theta: Floats, logs: Logs) -> tuple[Floats, Floats]:
        terms = [theta[:, [i]] - theta[:, [j]] * logs[column] for i, j, column in places]
        terms.append(np.broadcast_to(theta[:, [constant]], terms[0].shape))
        stack = np.stack(terms)
        top = stack.max(axis=0)
        shares = np.exp(stack - top)
        total = shares.sum(axis=0)
        shares /= total
        slopes = np.zeros((len(theta), len(parameters), stack.shape[2]))
        for share, (i, j, column) in zip(shares, places, strict=False):
            slopes[:, i] += share
            slopes[:, j] -= share * logs[column]
        slopes[:, constant] = shares[-1]
        return top + np.log(total), slopes

    return evaluate


def _repetition(theta: Floats, logs: Logs) -> tuple[Floats, Floats]:
    """Evaluate Muennighoff's law over (a, b, e, alpha, beta, log_rd, log_rn)."""
    a, b, _, alpha, beta, log_rd, log_rn = (theta[:, [k]] for k in range(7))
    n, d, u = logs["params"], logs["tokens"], logs["unique"]
    # dL/dN = dL/dD along N·D = const: alpha A N^-alpha = beta B U^-beta gives the optimal size for U
    safe_alpha, safe_beta = np.maximum(alpha, 1e-9), np.maximum(beta, 1e-9)
    deserved = (a + np.log(safe_alpha) - b - np.log(safe_beta) + beta * u) / safe_alpha
    beyond = deserved < n
    used = np.where(beyond, deserved, n)
    size, size_by_used, size_by_r = _saturated(n, used, log_rn)
    data, _, data_by_r = _saturated(d, np.broadcast_to(u, used.shape), log_rd)
    terms = np.stack([a - alpha * size, b - beta * data, np.broadcast_to(theta[:, [2]], used.shape)])
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    by_size, by_data = -alpha * shares[0], -beta * shares[1]
    by_used = np.where(beyond, by_size * size_by_used, 0.0)
    slopes = np.empty((len(theta), 7, used.shape[1]))
    slopes[:, 0] = shares[0] + by_used / safe_alpha
    slopes[:, 1] = shares[1] - by_used / safe_alpha
    slopes[:, 2] = shares[2]
    slopes[:, 3] = -shares[0] * size + by_used * (1 / safe_alpha - deserved) / safe_alpha
    slopes[:, 4] = -shares[1] * data + by_used * (u - 1 / safe_beta) / safe_alpha
    slopes[:, 5] = by_data * data_by_r
    slopes[:, 6] = by_size * size_by_r
    return top + np.log(total), slopes


def _repetition_tied(theta: Floats, logs: Logs) -> tuple[Floats, Floats]:
    """Evaluate the same law with beta = alpha, over (a, b, e, alpha, log_rd, log_rn)."""
    value, slopes = _repetition(theta[:, [0, 1, 2, 3, 3, 4, 5]], logs)
    tied = slopes[:, [3]] + slopes[:, [4]]
    return value, np.concatenate([slopes[:, :3], tied, slopes[:, 5:]], axis=1)


def _saturated(seen: Floats, unique: Floats, log_r: Floats) -> tuple[Floats, Floats, Floats]:
    """Return ln(U + U·R*(1 − exp(−R/R*))), R = seen/U − 1, and its slopes by ln U (seen fixed) and ln R*."""
    r = np.exp(log_r)
    ratio = np.exp(np.minimum(seen - unique, 700.0))
    x = np.maximum(ratio - 1, 0.0) / r
    decay = np.exp(-x)
    gain = -r * np.expm1(-x)
    return (
        unique + np.log1p(gain),
        1 - decay * ratio / (1 + gain),
        (gain - r * x * decay) / (1 + gain),
    )


def _joint(theta: Floats, logs: Logs) -> tuple[Floats, Floats]:
    """Evaluate the joint law over (a, b, e, alpha, beta, log_tau, p, gamma, kappa, delta)."""
    a, b, e, alpha, beta, tau, p, gamma, kappa, delta = (theta[:, [k]] for k in range(10))
    n, d, u, decay = logs["params"], logs["tokens"], logs["unique"], logs["decay"]
    with np.errstate(divide="ignore"):  # without a second language ln 0, which adds nothing
        second = d + np.log(np.expm1(-logs["share"]))
    data = np.logaddexp(d, tau + second)
    ratio = np.expm1(d - u)
    again = ratio > 1e-3
    reread = np.log(np.where(again, ratio, 1.0))
    penalty = np.where(again, p + gamma * reread - kappa * u - delta * decay, NEVER)
    terms = np.stack([a - alpha * n, b - beta * data, np.broadcast_to(e, data.shape), penalty])
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    over = shares[3] * again
    by_data = -shares[1] * beta * np.exp(tau + second - data)
    slopes = [*shares[:3], -shares[0] * n, -shares[1] * data, by_data]
    slopes += [over, over * reread, -over * u, -over * decay]
    return top + np.log(total), np.stack(slopes, axis=1)


def _frontier(theta: Mapping[str, float]) -> dict[str, float]:
    # N* ~ C^a and D* ~ C^(1 − a) along C = 6·N·D
    alpha, beta = theta["alpha"], theta.get("beta", theta["alpha"])
    a = beta / (alpha + beta) if alpha + beta else float("nan")
    return {"N exponent": a, "D exponent": 1 - a}


def optimum(theta: Mapping[str, float], compute: float) -> tuple[float, float]:
    """Return the parameters and the fresh tokens of the lowest loss at a compute 6·N·D, NaN without any.

    Of every law with exponents of N and D: where A/N^alpha and B/D^beta fall alike (Hoffmann et al. 2022,
    equation 4), a law of repeated data says the same as one of fresh data.
    """
    alpha, beta = theta["alpha"], theta.get("beta", theta["alpha"])
    if alpha <= 0 or beta <= 0:  # an exponent of zero has no optimum
        return float("nan"), float("nan")
    balance = np.log(alpha) + theta["a"] - np.log(beta) - theta["b"]
    product = np.log(compute / 6)
    log_n = (balance + beta * product) / (alpha + beta)
    with np.errstate(over="ignore"):  # exponents of a resample that determines none
        return float(np.exp(log_n)), float(np.exp(product - log_n))


_STEPS = (0.0, 0.5, 1.0, 1.5, 2.0)
_HEIGHTS = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0)
_FLOORS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_N, _D = ("a", "alpha", "params"), ("b", "beta", "tokens")
_HEIGHT_NAMES = {"E": "e", "A": "a", "B": "b"}
_TIED = (_N, ("b", "alpha", "tokens"))
_EPOCHS = {"R_D*": "log_rd", "R_N*": "log_rn"}


def _sum_law(
    name: str,
    formula: str,
    source: str,
    powers: tuple[tuple[str, str, str], ...],
    exponentials: Mapping[str, str],
    more: Callable[[Mapping[str, float]], dict[str, float]] = lambda _: {},
) -> Law:
    coefficients = tuple(c for c, _, _ in powers)
    exponents = tuple(dict.fromkeys(x for _, x, _ in powers))
    parameters = (*coefficients, "e", *exponents)
    grid = dict.fromkeys(coefficients, _HEIGHTS) | {"e": _FLOORS} | dict.fromkeys(exponents, _STEPS)
    bounds = (*(COEFFICIENT for _ in coefficients), CONSTANT, *(EXPONENT for _ in exponents))
    columns = tuple(column for _, _, column in powers)
    evaluate = additive(parameters, powers)
    return Law(
        name, formula, source, parameters, columns, bounds, powers, grid, evaluate, exponentials, more, powers
    )


CHINCHILLA = _sum_law(
    "chinchilla",
    "L = E + A/N^alpha + B/D^beta",
    "Hoffmann et al. 2022, arXiv 2203.15556, approach 3; start grid of appendix D.3",
    (_N, _D),
    _HEIGHT_NAMES,
    _frontier,
)
TIED = _sum_law(
    "tied",
    "L = E + A/N^alpha + B/D^alpha",
    "the Chinchilla law with alpha = beta, a prior of Muennighoff et al. 2023",
    _TIED,
    _HEIGHT_NAMES,
    _frontier,
)
DATA = _sum_law(
    "data",
    "L = E + B/D^beta at one model size",
    "the data term of Hoffmann et al. 2022; E includes the loss due to the model's size",
    (_D,),
    {"E": "e", "B": "b"},
)
REPETITION = Law(
    name="repetition",
    formula="L = E + A/N'^alpha + B/D'^beta, D' = U + U R_D*(1 − exp(−(D/U − 1)/R_D*)), same for N'",
    source="Muennighoff et al. 2023, arXiv 2305.16264",
    parameters=("a", "b", "e", "alpha", "beta", "log_rd", "log_rn"),
    columns=("params", "tokens", "unique"),
    bounds=(COEFFICIENT, COEFFICIENT, CONSTANT, (1e-3, 10.0), (1e-3, 10.0), EPOCHS, EPOCHS),
    scales=(_N, _D),
    grid={
        "log_rd": tuple(np.log([0.5, 2.0, 5.0, 15.0, 50.0, 200.0, 1000.0])),
        "log_rn": tuple(np.log([0.3, 1.0, 2.0, 5.0, 15.0, 50.0])),
    },
    evaluate=_repetition,
    exponentials=_HEIGHT_NAMES | _EPOCHS,
    more=_frontier,
)

REPETITION_TIED = Law(
    name="repetition, tied",
    formula=REPETITION.formula.replace("D'^beta", "D'^alpha"),
    source=f"{REPETITION.source}, with alpha = beta as in the fit published there",
    parameters=tuple(name for name in REPETITION.parameters if name != "beta"),
    columns=REPETITION.columns,
    bounds=(*REPETITION.bounds[:4], *REPETITION.bounds[5:]),
    scales=_TIED,
    grid=REPETITION.grid,
    evaluate=_repetition_tied,
    exponentials=REPETITION.exponentials,
    more=_frontier,
)

JOINT = Law(
    name="joint",
    formula=(
        "L = E + A/N^alpha + B/(D + tau S)^beta + P (D/U − 1)^gamma / (U^kappa w^delta), "
        "S: tokens of a second language, w: weight decay"
    ),
    source="the penalty of repetition after arXiv 2605.01640, the worth of other languages after 2510.22037",
    parameters=("a", "b", "e", "alpha", "beta", "log_tau", "p", "gamma", "kappa", "delta"),
    columns=("params", "tokens", "unique", "share", "decay"),
    bounds=(
        *(COEFFICIENT, COEFFICIENT, CONSTANT, (1e-3, 10.0), (1e-3, 10.0)),
        *(CONSTANT, COEFFICIENT, (0.0, 10.0), (0.0, 10.0), (-5.0, 5.0)),
    ),
    scales=(_N, _D, ("p", "kappa", "unique"), ("p", "delta", "decay")),
    grid={
        "log_tau": (-4.0, -1.0, 0.0),
        "p": (-5.0, -3.0, -1.0),
        "gamma": (1.0, 2.0),
        "kappa": (0.5, 1.5),
        "delta": (0.1, 0.5),
    },
    evaluate=_joint,
    exponentials=_HEIGHT_NAMES | {"tau": "log_tau"},
    more=lambda theta: _frontier(theta) | {"penalty at ten times the decay": float(10 ** -theta["delta"])},
)

LAWS: dict[str, Law] = {law.name: law for law in (CHINCHILLA, TIED, DATA, REPETITION, REPETITION_TIED, JOINT)}
"""Every law by name, as for `derlem fit --law`."""
