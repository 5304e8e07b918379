"""The numbers of the report as Beam's counters and distributions, for the console of a remote runner."""

from __future__ import annotations

from typing import Any

from apache_beam.metrics import Metrics

from pipelines.records import Record

_SPACE = "derlem"


def count(record: Record) -> str:
    """Count what a finished unit's record says; return the unit's fingerprint."""
    counts = record.unit.counts
    numbers = {"documents in": counts.seen, "documents kept": counts.kept}
    for fate, causes in (
        ("dropped", counts.dropped),
        ("rejected", counts.rejected),
        ("skipped", counts.skipped),
    ):
        numbers |= {f"{fate}: {cause}": number for cause, number in causes.items()}
    for topic, names in counts.noted.items():
        numbers |= {f"{topic}: {name}": number for name, number in names.items()}
    for name, number in numbers.items():
        Metrics.counter(_SPACE, name).inc(number)
    Metrics.counter(_SPACE, "units").inc()
    for step, seconds in record.seconds.items():
        Metrics.distribution(_SPACE, f"{step} (ms of a unit)").update(round(seconds * 1000))
    Metrics.distribution(_SPACE, "documents of a unit").update(counts.seen)
    Metrics.distribution(_SPACE, "seconds of a unit").update(round(record.wall_s))
    Metrics.distribution(_SPACE, "processor time (ms of a unit)").update(round(record.processor_s * 1000))
    Metrics.distribution(_SPACE, "peak memory (MiB)").update(round(record.peak_mb))
    return record.unit.fingerprint


def count_partition(record: dict[str, Any]) -> dict[str, Any]:
    """Count what the record of a partition of documents says, such as its buckets; return the record."""
    for name, number in record.items():
        if isinstance(number, int) and name not in ("band", "run"):
            Metrics.counter(_SPACE, name.replace("_", " ")).inc(number)
            Metrics.distribution(_SPACE, f"{name.replace('_', ' ')} of a partition").update(number)
    return record
