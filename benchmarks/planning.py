"""What the driver does in a corpus of many units and parts: seconds and memory by step.

    python -m benchmarks.planning [--parts 10000 100000]

Units are made up, planned and submitted: written down for workers, with the graph of their job. Then parts of
10,000 documents each: dedupe is planned, its parts are written down for workers,
the index of a removal list is written from what a thousand runs would return, and shard is planned from that.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import apache_beam as beam

from benchmarks import nothing_to_do
from corpus import dataset
from corpus.config import parse
from corpus.counts import Counts
from corpus.dedup import removals
from corpus.dedup.bands import ALL_BANDS
from pipelines import dedupe, handover, linking, plans, shard, stage
from pipelines.handover import Parts
from pipelines.stage import Context

ROWS = 10_000  # documents of a part


def made_up(parts: int) -> Iterator[dataset.Unit]:
    """Yield the units of a filter stage."""
    for number in range(parts):
        name = f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}"
        files = tuple(
            dataset.File(
                kind=kind, path=f"{kind}/{kind}-{name}.arrow", rows=ROWS, bytes=size, sha256=name * 4
            )
            for kind, size in (("documents", 20 << 20), ("signatures", 587 * ROWS))
        )
        counts = Counts(seen=ROWS, kept=ROWS)
        counts.note("text", "bytes", 64 << 20)
        given = (dataset.Input(name=f"CC-MAIN-{number:06d}.warc.gz", checksum=f"etag:{number:032x}"),)
        yield dataset.Unit(name=f"{number}", fingerprint=name, inputs=given, files=files, counts=counts)


def index(names: tuple[str, ...], runs: list[range]) -> Iterator[dict[str, object]]:
    """Yield the rows of an index: a tenth of each part was removed."""
    for number, run in enumerate(runs):
        for at, part in enumerate(run):
            row: dict[str, object] = {"part": names[part], "digest": f"{part:032x}"}
            for kind in ("removed", "survivors"):
                path = f"{kind}-{number:05d}-f.arrow"
                place = removals.Place(path, at * ROWS // 10 // 64_000, at * ROWS // 10 % 64_000, ROWS // 10)
                row |= removals._columns(kind, place)
            yield row


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print what a step took, and the most memory until its end."""
    began = time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {what} | {time.process_time() - began:.1f} | {peak:,.0f} |", flush=True)


def submit(units: int, folder: str) -> None:
    """Plan units of one file each, and make the job that would do them."""
    with told("units planned"):
        planned = nothing_to_do.plan(Path(folder), units, 1)
    with told("units written for the workers"):
        pieces = plans.write(folder, "f", list(planned.units))
    with told("graph of the job made"):
        job = beam.Pipeline()
        _ = (
            job
            | beam.Create(range(pieces))
            | beam.FlatMap(plans.read, folder, "f")
            | beam.Map(partial(stage._do, folder=folder, work=planned.work))
        )
        size = len(job.to_runner_api().SerializeToString())
    print(f"| {size:,} bytes of graph | | |", flush=True)


def measure(parts: int) -> None:
    """Submit as many units, and plan a corpus of as many parts."""
    with tempfile.TemporaryDirectory() as folder:
        source = {"name": "a", "format": "warc", "paths": ["a"]}
        context = Context(parse({"output": folder, "source": [source]}, "benchmark"), Path(folder))
        home, target = context.input_of(dedupe.NAME, "signatures"), context.folder(dedupe.NAME)
        units = tuple(made_up(parts))
        dataset.save(home, dataset.Manifest(stage="filter", version=1, settings={}, units=units))
        del units
        print(f"| **{parts:,} units or parts** | | |")
        submit(parts, f"{folder}/submitted")
        with told("dedupe planned"):
            (unit,) = dedupe.plan(context).units
        with told("parts written for the workers, and read"):
            task = unit.task
            handover.save_parts(target, Parts(task.signatures, task.rows, task.parts))
            runs = handover.runs_of(target)
        blocks = len(runs) * ALL_BANDS * -(-parts * ROWS // linking.ROWS_A_PARTITION)
        print(f"| {len(runs):,} runs, at most {blocks:,} blocks | | |")
        with told("index of the removal list written"):
            written = removals.write_index(target, "f", list(index(task.parts, runs)))
        lists = tuple(
            dataset.File(
                kind=kind, path=f"{kind}-{number:05d}-f.arrow", rows=0, bytes=1 << 20, sha256="0" * 64
            )
            for number in range(len(runs))
            for kind in ("removed", "survivors")
        )
        made = (*lists, written)
        done = dataset.Unit(name="all parts", fingerprint="f", inputs=(), files=made, counts=Counts())
        dataset.save(target, dataset.Manifest(stage="dedupe", version=1, settings={}, units=(done,)))
        with told("shard planned"):
            shard.plan(context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--measure", action="store_true", help="in this process")
    given = parser.parse_args()
    if not given.measure:
        print("| | seconds of processor time | MB |\n|---|---|---|", flush=True)
    for parts in given.parts:
        if given.measure:
            measure(parts)
        else:
            own = [sys.executable, "-m", "benchmarks.planning", "--measure", "--parts", str(parts)]
            subprocess.run(own, check=True)


if __name__ == "__main__":
    main()
