"""The bits of every held-out document under every run of a comparison, and the averages taken of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.held_out import Documents, Floats


@dataclass(frozen=True, eq=False)
class Measure:
    """An average over held-out documents: bits per byte of each group, groups of equal weight.

    `kind` is "all", "set", "language" or "domain"; `groups` (int64[documents]) numbers the groups, -1 for
    documents that are not counted.
    """

    kind: str
    name: str
    groups: NDArray[np.int64]
    weights: Floats

    def of(self, bits: Floats) -> Floats:
        """Return the measure of bits[..., documents]."""
        return np.asarray(bits @ self.weights, np.float64)

    def error(self, bits: Floats, bytes: NDArray[np.int64]) -> float:
        """Return the standard error of `of(bits)` over documents, drawn separately for each group.

        It is that of a ratio estimate, linearised (Cochran, Sampling Techniques, 1977, chapter 6). Bits may
        be differences of two models'. NaN if a group has fewer than two documents.
        """
        variance = 0.0
        for group in range(int(self.groups.max()) + 1):
            inside = self.groups == group
            count = int(inside.sum())
            if count < 2:
                return float("nan")
            residual = bits[inside] - bits[inside].sum() / bytes[inside].sum() * bytes[inside]
            variance += float(np.sum((self.weights[inside] * residual) ** 2)) * count / (count - 1)
        return float(np.sqrt(variance))


def measure(kind: str, name: str, groups: NDArray[np.int64], bytes: NDArray[np.int64]) -> Measure:
    """Return the measure that averages bits per byte over groups; ValueError without documents."""
    count = int(groups.max(initial=-1)) + 1
    if count == 0:
        raise ValueError(f"{kind} {name}: no documents")
    inside = groups >= 0
    totals = np.bincount(groups[inside], bytes[inside], count)
    weights = np.where(inside, 1.0 / (count * totals[np.maximum(groups, 0)]), 0.0)
    return Measure(kind, name, groups, weights)


def measures(documents: Documents, main: Sequence[str]) -> tuple[Measure, ...]:
    """Return the main measure, the mean over the sets named `main`, then each set, language and domain.

    A domain is a source of one set: "SET LANGUAGE/SOURCE". Languages and domains that would repeat another
    measure of the list are omitted.
    """
    made = [_of("all", "mean of the held-out sets", documents, documents.sets, main)]
    made += [_of("set", name, documents, documents.sets, [name]) for name in _names(documents.sets)]
    languages = _names(documents.languages)
    if len(languages) > 1:
        made += [_of("language", name, documents, documents.languages, [name]) for name in languages]
    places = [documents.sets, documents.languages, documents.sources]
    domains = np.array([f"{a} {b}/{c}" for a, b, c in zip(*places, strict=True)])
    for name in _names(domains):
        found = _of("domain", name, documents, domains, [name])
        if not any(np.array_equal(found.groups, other.groups) for other in made):
            made.append(found)
    return tuple(made)


def _names(column: NDArray[np.str_]) -> list[str]:
    return [str(name) for name in dict.fromkeys(column.tolist())]


def _of(
    kind: str, name: str, documents: Documents, column: NDArray[np.str_], wanted: Sequence[str]
) -> Measure:
    groups = np.full(column.size, -1, np.int64)
    for number, each in enumerate(wanted):
        groups[column == each] = number
    return measure(kind, name, groups, documents.bytes)


@dataclass(frozen=True, eq=False)
class Results:
    """Finished runs: `bits` is float64[corpora, sizes, budgets, seeds, documents].

    `tokens` (int64[sizes, budgets]) ascends along budgets; `parameters` are those of matrix products.
    The first corpus is the one that the others are compared with.
    """

    corpora: tuple[str, ...]
    sizes: tuple[str, ...]
    parameters: NDArray[np.int64]
    tokens: NDArray[np.int64]
    documents: Documents
    bits: Floats

    @property
    def seeds(self) -> int:
        """Return the number of seeds."""
        return int(self.bits.shape[3])
