"""What tests of comparisons share: results that were not trained, and two small corpora to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from token_shards import named, tokenizer, write

from corpus.tokenizer import Tokenizer
from trainer.compare.results import Results
from trainer.held_out import Documents

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


def facts() -> dict[str, object]:
    """Return what the manifest of token shards says of the tokenizer."""
    return named(tokenizer())


def write_corpora(root: Path, held_from: int = 1_000) -> dict[str, str]:
    """Write token shards of 3,000 tokens that count upwards; of "noisy", half are random."""
    model, size = tokenizer(), Tokenizer(tokenizer()).vocabulary
    found = {}
    for name, noise in (("clean", 0.0), ("noisy", 0.7)):
        rng = np.random.default_rng(1)
        made = []
        for _ in range(120):
            counted = (np.arange(rng.integers(10, 40)) + rng.integers(size - 20)) % (size - 20) + 10
            other = rng.random(counted.size) < noise
            made.append([*np.where(other, rng.integers(10, size - 10, counted.size), counted).tolist(), 2])
        held = {"tur_Latn/web": [made[100:]]}
        write(
            root / name / "corpus",
            {"tur_Latn/web": [made[:100]]},
            validation=held,
            held_from=held_from,
            model=model,
        )
        found[name] = str(root / name / "corpus")
    return found
