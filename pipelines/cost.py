"""What a finished build took, from the records of its units, and what a larger one of its kind would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from typing import Any

from pydantic import ValidationError

from corpus import chain, files
from corpus.dataset import Manifest
from corpus.dedup.bands import ALL_BANDS
from corpus.errors import ConfigError, DatasetError
from corpus.inspect.build import Build
from corpus.prices import Price, Storage, Work, Worker, price
from pipelines.records import Record
from pipelines.sweep import UNITS

_AT_ONCE = 32  # records that are read side by side
_BAND_BYTES = 16  # of a document in the shuffle, for each band

FEW_SECONDS = 20.0
"""Below this, imports and the compilation of kernels are much of what was measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one stage took: its units, the documents that entered, its work, and how long that lasted.

    The seconds of the work are processor time: those of the clock grow with whatever else a machine does.
    """

    stage: str
    units: int
    documents: int
    steps: dict[str, float]
    lasted: float  # by the clock, all units together
    longest: float  # by the clock, one unit: a stage is never faster than that
    peak_mb: float
    work: Work


@dataclass(frozen=True, slots=True)
class Row:
    """What one stage needs: the documents that enter it, its work and the price of that."""

    measured: Measured
    documents: int
    work: Work
    price: Price


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build needs that is `factor` times as large as the measured one."""

    factor: float
    rows: tuple[Row, ...]

    @property
    def total(self) -> Price:
        """Return the sums of all stages."""
        return Price(
            *(sum(values) for values in zip(*(astuple(row.price) for row in self.rows), strict=True))
        )

    @property
    def seconds(self) -> float:
        """Return the measured processor time of all stages."""
        return sum(row.measured.work.seconds for row in self.rows)

    @property
    def lasted(self) -> float:
        """Return the time that all units lasted by the clock."""
        return sum(row.measured.lasted for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "total": asdict(self.total)}


def measure(build: Build) -> list[Measured]:
    """Return what each finished stage of a build took; DatasetError where records of units are missing."""
    return [_measure(stage.folder, stage.manifest) for stage in build.stages()]


def estimate(
    measured: Sequence[Measured],
    documents: int | None,
    worker: Worker,
    storage: Storage,
    slower: float = 1.0,
    months: float = 1.0,
) -> Estimate:
    """Return what a build needs into whose first stage `documents` enter; None: as many as were measured.

    Every stage grows as its documents do. ConfigError where no document was measured.
    """
    entered = measured[0].documents
    if not entered:
        raise ConfigError("no document entered the first stage: there is nothing to estimate from")
    factor = 1.0 if documents is None else documents / entered
    rows = []
    for each in measured:
        work = each.work.times(factor)
        rows.append(
            Row(each, round(each.documents * factor), work, price(work, worker, storage, slower, months))
        )
    return Estimate(factor, tuple(rows))


def _measure(folder: str, manifest: Manifest) -> Measured:
    seconds, lasted, longest, peak = 0.0, 0.0, 0.0, 0.0
    steps: dict[str, float] = {}
    for record in _records(folder, manifest):
        seconds += record.processor_s or record.wall_s  # 0 in records of an earlier version
        lasted += record.wall_s
        longest = max(longest, record.wall_s)
        peak = max(peak, record.peak_mb)
        for step, spent in record.seconds.items():
            steps[step] = steps.get(step, 0.0) + spent
    left = sum(file.bytes for unit in manifest.units for file in unit.files)
    documents = manifest.counts().seen
    links = manifest.stage in chain.names() and "removed" in chain.find(manifest.stage).files
    work = Work(seconds, left, documents * ALL_BANDS * _BAND_BYTES if links else 0)
    return Measured(manifest.stage, len(manifest.units), documents, steps, lasted, longest, peak, work)


def _records(folder: str, manifest: Manifest) -> Iterator[Record]:
    """Yield the records of all units."""

    def read(fingerprint: str) -> Record:
        name = f"{UNITS}/{fingerprint}.json"
        try:
            return Record.model_validate_json(files.read_bytes(folder, name) or b"")
        except ValidationError:
            raise DatasetError(
                f"{files.join(folder, name)}: no record of this unit, which says how long it took; "
                f"`derlem cost` needs the folder as the build left it, {UNITS}/ included"
            ) from None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(read, (unit.fingerprint for unit in manifest.units))
