"""What a stage did, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corpus.dataset import Manifest

_MIB = 1 << 20


def summarise(
    manifest: Manifest, rules: Sequence[str], fresh: list[Any], wall_s: float, weight: int | None
) -> dict[str, Any]:
    """Sum up a finished stage.

    `fresh` are the records of the units done in this run and `weight` their input bytes, if they have any:
    rates are of these, counts of the whole stage. `rules` are rules, or families of them, that could drop.
    """
    counts = manifest.counts()
    seen = sum(record["unit"]["counts"]["seen"] for record in fresh)
    seconds: dict[str, float] = {}
    for record in fresh:
        for step, spent in record["seconds"].items():
            seconds[step] = seconds.get(step, 0.0) + spent
    return {
        "stage": manifest.stage,
        "units": len(manifest.units),
        "units_done_before": len(manifest.units) - len(fresh),
        "wall_s": round(wall_s, 3),
        "documents_per_s": round(seen / wall_s, 1) if fresh else None,
        "mb_per_s": round(weight / _MIB / wall_s, 2) if fresh and weight is not None else None,
        "peak_mb": round(max((record["peak_mb"] for record in fresh), default=0.0), 1),
        "seconds": {step: round(spent, 3) for step, spent in seconds.items()},
        "counts": counts.model_dump(mode="json"),
        "silent_rules": [rule for rule in rules if counts.seen and not _dropped(counts.dropped, rule)],
        "facts": manifest.facts,
    }


def _dropped(dropped: dict[str, int], rule: str) -> int:
    return sum(number for name, number in dropped.items() if f"{name}.".startswith(f"{rule}."))
