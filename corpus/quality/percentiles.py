"""How the values of a build's models are spread, by source and language, and the limits that keep a share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from corpus import dataset, filters
from corpus.errors import NotThereError
from corpus.inspect.build import open_build
from corpus.schema import MEASURED

POINTS = (5, 10, 25, 50, 75, 90, 95)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The values of a model for the kept documents of a source (empty: of all) in a language.

    `points` has the value at each of POINTS; `limit` is what the share that was asked for is above.
    """

    rule: str
    source: str
    language: str
    documents: int
    points: tuple[float, ...]
    limit: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self) | {"points": dict(zip(map(str, POINTS), self.points, strict=True))}


def percentiles(folder: str, keep_top: float | None = None) -> list[Percentiles]:
    """Return the percentiles of every model's values in a build, of each language and of its sources.

    With `keep_top` the highest share of a language's documents would be kept by `limit`. Documents that other
    rules drop do not count. Raises NotThereError where the build has no values of models.
    """
    stage = open_build(folder).need("filter", "know what was measured")
    values: dict[tuple[str, str, str], list[np.ndarray[Any, np.dtype[np.float64]]]] = {}
    for file in stage.manifest.files(MEASURED.name):
        for batch in dataset.batches(stage.folder, file.path):
            rules = [name for name in batch.schema.names if name.startswith(f"{filters.QUALITY}.")]
            fates, sources, languages = (
                np.array(batch[name].to_pylist(), dtype=object) for name in ("rule", "source", "language")
            )
            for rule in rules:
                column = np.asarray(batch[rule].cast("float64").fill_null(np.nan))
                counts = (np.isin(fates, ["", rule])) & ~np.isnan(column)
                for language in np.unique(languages[counts]):
                    mine = counts & (languages == language)
                    values.setdefault((rule, language, ""), []).append(column[mine])
                    for source in np.unique(sources[mine]):
                        place = (rule, language, source)
                        values.setdefault(place, []).append(column[mine & (sources == source)])
    if not values:
        raise NotThereError(f"{folder}: no values of models; name one in [filter.quality] and build again")
    return [
        _of(rule, language, source, np.concatenate(values[rule, language, source]), keep_top)
        for rule, language, source in sorted(values)
    ]


def _of(
    rule: str,
    language: str,
    source: str,
    values: np.ndarray[Any, np.dtype[np.float64]],
    keep_top: float | None,
) -> Percentiles:
    points = tuple(np.percentile(values, POINTS).tolist())
    limit = None if keep_top is None or source else float(np.quantile(values, 1 - keep_top))
    return Percentiles(rule, source, language, values.size, points, limit)
