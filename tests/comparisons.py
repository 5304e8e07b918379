"""Results of comparisons that were not trained: bits per byte fall with ln tokens, with noise of seeds."""

from __future__ import annotations

import numpy as np

from trainer.compare.results import Documents, Results

BUDGETS = np.array([[1_000, 2_000, 4_000], [2_000, 4_000, 8_000]])


def documents(per_set: int = 30) -> Documents:
    """Return two held-out sets; "b" has two domains. Documents have 500 to 1,500 bytes."""
    rng = np.random.default_rng(0)
    sets = np.repeat(["a", "b"], per_set)
    sources = np.where(np.arange(sets.size) % 2 == 1, "web", "law")
    sources[:per_set] = "law"
    languages = np.full(sets.size, "tur_Latn")
    return Documents(sets, languages, sources, rng.integers(500, 1_500, sets.size))


def results(
    multipliers: tuple[float, ...], noise: float = 0.0, seeds: int = 4, seed: int = 0, slope: float = 0.2
) -> Results:
    """Return corpora of which a token is worth `multipliers` tokens of the first: 3 - slope ln(m tokens)."""
    rng = np.random.default_rng(seed)
    found = documents()
    shape = (len(multipliers), *BUDGETS.shape, seeds)
    tokens = BUDGETS[None, :, :, None] * np.array(multipliers)[:, None, None, None]
    values = 6.0 - slope * np.log(tokens) + noise * rng.standard_normal(shape)
    values += 0.05 * rng.standard_normal((1, 1, 1, seeds))  # of the seed: all corpora share it
    of_documents = 1 + 0.1 * np.linspace(-1, 1, found.bytes.size)[rng.permutation(found.bytes.size)]
    bits = values[..., None] * of_documents * found.bytes
    names = tuple("abcdefgh"[: len(multipliers)])
    return Results(names, ("small", "large"), np.array([10, 20]), BUDGETS, found, bits)
