"""What kind of page a page is, by a linear model over the means of its lines' features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.text.maintext.columns import FEATURES

KINDS = ("article", "forum", "product", "listing", "documentation", "service", "collection")
"""In the order of the columns of the model."""


class Kind(NamedTuple):
    """One of KINDS, and in [0, 1] how sure that is."""

    name: str
    score: float


UNKNOWN = Kind("", 0.0)

_FARTHEST = 4.0  # standard deviations that a feature is from its mean at most


@dataclass(frozen=True, slots=True)
class Model:
    """Multinomial logistic regression: a column for each kind, a row for each feature, the last for none."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weight: NDArray[np.float32]


@cache
def model() -> Model:
    """Return the model that benchmarks/train_kinds.py made; ValueError where it is of other features."""
    with (files("corpus.text.maintext") / "kinds.npz").open("rb") as file:
        table = np.load(file)
        if list(table["features"]) != list(FEATURES):
            raise ValueError("kinds.npz was made for other features: run benchmarks/train_kinds.py")
        return Model(**{name: table[name] for name in Model.__slots__})


def summary(total: NDArray[np.float64], lines: int) -> NDArray[np.float64]:
    """Return what the model reads of a page: roots of the means of its features, by their sums over lines."""
    mean = total / max(1, lines)
    return np.asarray(np.sign(mean) * np.sqrt(np.abs(mean)))


def scaled(
    seen: NDArray[np.float64], mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return summaries in standard deviations from the mean."""
    return np.asarray(np.clip((seen - mean) / deviation, -_FARTHEST, _FARTHEST))


def probabilities(seen: NDArray[np.float64], made: Model | None = None) -> NDArray[np.float64]:
    """Return how likely a page is of each of KINDS, by its summary; of many pages a row for each."""
    made = made or model()
    scores = scaled(seen, made.mean, made.deviation) @ made.weight[:-1] + made.weight[-1]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def likeliest(of_kinds: NDArray[np.float64]) -> Kind:
    """Return the likeliest kind of a page."""
    at = int(of_kinds.argmax())
    return Kind(KINDS[at], float(of_kinds[at]))
