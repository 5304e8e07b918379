"""Small models in fastText's file format, made of random numbers, for tests to read."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SUPERVISED, SKIPGRAM = 3, 2


@dataclass(frozen=True)
class Recipe:
    """What a model is made of; `pruned` counts the buckets that are left, -1 for all."""

    words: tuple[str, ...] = ("bir", "kitap", "ağaç", "</s>")
    labels: int = 5
    loss: int = 3  # 1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one against all
    shortest: int = 2
    longest: int = 4
    word_ngrams: int = 1
    buckets: int = 50
    pruned: int = -1
    dim: int = 6
    quantised: bool = False
    quantised_output: bool = False
    norms: bool = True
    version: int = 12
    kind: int = SUPERVISED
    seed: int = 0


def write(path: Path, recipe: Recipe) -> Path:
    """Write a model and return its path."""
    random = np.random.default_rng(recipe.seed)
    names = [*recipe.words, *(f"__label__l{n}" for n in range(recipe.labels))]
    counts = sorted(random.integers(1, 100, len(recipe.words)).tolist(), reverse=True)
    counts += sorted(random.integers(1, 100, recipe.labels).tolist(), reverse=True)
    out = struct.pack("<ii", 793712314, recipe.version)
    out += struct.pack(
        "<12id", recipe.dim, 5, 5, 1, 5, recipe.word_ngrams, recipe.loss, recipe.kind, recipe.buckets,
        recipe.shortest, recipe.longest, 100, 1e-4,
    )  # fmt: skip
    out += struct.pack("<iiiqq", len(names), len(recipe.words), recipe.labels, 1000, recipe.pruned)
    for n, (name, count) in enumerate(zip(names, counts, strict=True)):
        out += name.encode() + b"\0" + struct.pack("<qb", count, n >= len(recipe.words))
    rows = recipe.buckets
    if recipe.pruned >= 0:
        rows = recipe.pruned
        kept = random.permutation(recipe.buckets)[:rows].tolist()
        for row, bucket in enumerate(kept):
            out += struct.pack("<ii", bucket, row)
    out += struct.pack("<?", recipe.quantised)
    out += _matrix(random, len(recipe.words) + rows, recipe, recipe.quantised)
    is_coded = recipe.quantised and recipe.quantised_output
    out += struct.pack("<?", is_coded)
    out += _matrix(random, recipe.labels, recipe, is_coded)
    path.write_bytes(out)
    return path


def _matrix(random: np.random.Generator, rows: int, recipe: Recipe, is_coded: bool) -> bytes:
    if not is_coded:
        numbers = random.normal(size=(rows, recipe.dim)).astype("<f4")
        return struct.pack("<qq", rows, recipe.dim) + numbers.tobytes()
    parts = -(-recipe.dim // 2)
    codes = random.integers(0, 256, rows * parts, dtype=np.uint8)
    out = struct.pack("<?qqi", recipe.norms, rows, recipe.dim, codes.size) + codes.tobytes()
    out += _quantiser(random, recipe.dim, parts, 2, recipe.dim - 2 * (parts - 1))
    if recipe.norms:
        out += random.integers(0, 256, rows, dtype=np.uint8).tobytes() + _quantiser(random, 1, 1, 1, 1)
    return out


def _quantiser(random: np.random.Generator, dim: int, parts: int, width: int, last: int) -> bytes:
    centroids = random.normal(size=dim * 256).astype("<f4")
    return struct.pack("<4i", dim, parts, width, last) + centroids.tobytes()
