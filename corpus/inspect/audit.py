"""Removed copies at random, compared with what was kept: the true similarity beside the stored one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import dataset
from corpus.config import Dedupe
from corpus.dedup.shingles import jaccard, shingles
from corpus.inspect import rows
from corpus.inspect.build import Stage, open_build
from corpus.inspect.documents import part_file
from corpus.inspect.rows import Place

WIDTH = 0.05  # of a band of similarities

_INEXACT = pa.array(["near", "url"])


@dataclass(frozen=True, slots=True)
class Band:
    """Sampled removals whose stored similarity is from `low` to below `high` (1.0 included)."""

    low: float
    high: float
    removals: int
    true: int  # with a true similarity of at least the threshold
    least: float  # true similarity
    mean: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What a sample of the near and URL copies that were removed is, by band of the stored similarity."""

    threshold: float
    removed: int  # near and URL copies, from which the sample is
    bands: list[Band]

    @property
    def sampled(self) -> int:
        return sum(band.removals for band in self.bands)

    @property
    def true(self) -> int:
        return sum(band.true for band in self.bands)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {**asdict(self), "sampled": self.sampled, "true": self.true}


def audit(root: str, sample: int = 1_000, seed: int = 1) -> Audit:
    """Compare a sample of removed near and URL copies with the kept documents, shingle by shingle.

    The sample is uniform and without exact copies. Raises DatasetError where dedupe or its parts are
    missing or do not belong together.
    """
    build = open_build(root)
    dedupe = build.need("dedupe", "audit it")
    home = build.need_last("documents", "compare texts")
    threshold = dedupe.manifest.settings.get("threshold", Dedupe().threshold)
    assert isinstance(threshold, float)
    files = home.manifest.by_unit("documents")
    removed, chosen = _sample(dedupe, list(files), sample, np.random.default_rng(seed))
    places = [
        Place(home.folder, part_file(home.name, files, part), row)
        for removal in chosen
        for part, row in (
            (removal["part"], removal["row"]),
            (removal["survivor_part"], removal["survivor_row"]),
        )
    ]
    sets = [shingles(document["text"]) for document in rows.read(places)]
    true = (jaccard(*pair) for pair in zip(sets[::2], sets[1::2], strict=True))
    pairs = [(removal["jaccard"], similarity) for removal, similarity in zip(chosen, true, strict=True)]
    return Audit(threshold, removed, list(bands(pairs, threshold)))


def bands(pairs: Iterable[tuple[float, float]], threshold: float) -> Iterator[Band]:
    """Yield the bands of (stored, true) similarities, the lowest first."""
    found: dict[int, list[float]] = {}
    last = round(1 / WIDTH) - 1
    for stored, true in pairs:
        found.setdefault(min(last, int(stored / WIDTH + 1e-6)), []).append(true)
    for number, similarities in sorted(found.items()):
        true_ones = sum(each >= threshold for each in similarities)
        low, high = round(number * WIDTH, 2), round((number + 1) * WIDTH, 2)
        mean = sum(similarities) / len(similarities)
        yield Band(low, high, len(similarities), true_ones, min(similarities), mean)


def _sample(
    dedupe: Stage, parts: list[str], number: int, random: np.random.Generator
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many near and URL copies of documents of `parts` there are, and `number` of them."""
    columns = ["part", "row", "kind", "survivor_part", "survivor_row", "jaccard"]
    seen, best = 0, list[tuple[float, int, dict[str, Any]]]()
    for file in dedupe.manifest.files("removed"):
        for batch in dataset.batches(dedupe.folder, file.path, columns):
            is_own = pc.is_in(batch.column("survivor_part"), value_set=pa.array(parts, pa.string()))
            is_inexact = pc.and_(is_own, pc.is_in(batch.column("kind"), value_set=_INEXACT))
            inexact = np.flatnonzero(is_inexact.to_numpy(zero_copy_only=False))
            drawn = random.random(inexact.size)
            few = np.argsort(drawn, kind="stable")[:number]  # the smallest draws of all are a uniform sample
            found = batch.take(inexact[few]).to_pylist()
            best += zip(drawn[few].tolist(), (seen + few).tolist(), found, strict=True)
            best = sorted(best, key=lambda each: each[:2])[:number]
            seen += inexact.size
    return seen, [removal for _, _, removal in sorted(best, key=lambda each: each[1])]
