"""What dedupe reads, shuffles and keeps on disk on machines that map no file, by step: bytes, counted.

    python -m benchmarks.dedupe_bytes [--documents 1000000] [--parts 85] [--compare]

The signatures are those of `benchmarks/dedupe.py`. Every step runs here, one group after the other, as a
worker elsewhere would: what it fetches is counted by the length of the files, what is shuffled by its blocks,
and its disk by what lies there at once.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dedupe import THRESHOLD, parts_of, planted, write
from corpus.dedup.store import SentRows, SignatureStore
from pipelines import handover, linking, settling, shuffle
from pipelines.handover import Parts
from pipelines.options import Runner
from pipelines.shuffle import Keyed, Step


@dataclass
class Spent:
    """The bytes of one step over all its groups; `disk` is the most that one group had there."""

    groups: int = 0
    fetched: int = 0
    shuffled: int = 0  # by what it yields
    disk: int = 0
    _here: int = 0

    def begins(self) -> None:
        self.groups, self._here = self.groups + 1, 0

    def keeps(self, size: int) -> None:
        self._here += size
        self.disk = max(self.disk, self._here)


@dataclass
class Meter:
    """The steps in the order in which they were first run."""

    steps: dict[str, Spent] = field(default_factory=dict)
    now: Spent = field(default_factory=Spent)

    def step(self, name: str) -> Spent:
        return self.steps.setdefault(name, Spent())

    def run(self, source: Iterable[Any], steps: Sequence[Step], last: Any, names: Sequence[str]) -> list[Any]:
        items: Iterable[Any] = source
        for name, (_, do) in zip(names, steps, strict=False):
            items = shuffle._grouped(self._blocks(self.step(name), do, items))
        done = []
        for item in items:
            self.now = self.step(names[-1])
            self.now.begins()
            done.append(last(item))
        return done

    def _blocks(self, spent: Spent, do: Any, items: Iterable[Any]) -> Iterator[Keyed]:
        for item in items:
            self.now = spent
            spent.begins()
            for key, block in do(item):
                spent.shuffled += len(block)
                yield key, block

    def install(self) -> None:
        """Count what the steps of this process do from now on."""
        opened, received = SignatureStore._local, SentRows.__init__

        def fetched(store: SignatureStore, path: str, number: int) -> str:
            size = Path(path).stat().st_size
            self.now.fetched += size
            self.now.keeps(size)
            return opened(store, path, number)

        def sent(rows: SentRows, pieces: Iterable[bytes], folder: Path) -> None:
            received(rows, pieces, folder)
            self.now.keeps(rows.bytes)

        SignatureStore._local, SentRows.__init__ = fetched, sent  # type: ignore[method-assign]
        shuffle_run = shuffle.run

        def run(
            runner: Runner, folder: str, job: str, source: Any, steps: Any, last: Any, listed: str
        ) -> Any:
            stage = job.rstrip("-0123456789").removeprefix("dedupe-")
            names = [f"{stage}: {name}" for name, _ in [*steps, last]]
            shuffle._here = lambda *_: self.run(source, steps, last[1], names)  # type: ignore[assignment]
            return shuffle_run(runner, folder, job, source, steps, last, listed)

        shuffle.run = run


def dedupe(parts: Parts, folder: Path) -> tuple[list[str], linking.Copies]:
    scratch = str(folder / "scratch")
    copies = linking.find_copies(parts, scratch, THRESHOLD, True, 50_000_000, Runner(), ())
    listed = settling.write_list(scratch, copies.settled, str(folder), "f", Runner())
    return [file["sha256"] for run in listed for file in run.files], copies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=85)
    parser.add_argument("--compare", action="store_true", help="with the removal list of mapped files, too")
    arguments = parser.parse_args()
    documents = arguments.documents
    with tempfile.TemporaryDirectory() as name:
        columns, _, _ = planted(documents)
        order = np.random.default_rng(1).permutation(documents)
        paths = write(Path(name) / "parts", columns, order, arguments.parts)
        names = tuple(f"{number:016x}" for number in range(len(paths)))
        parts = replace(parts_of(paths), names=names)
        del columns
        stored = sum(Path(path).stat().st_size for path in paths)
        mapped = dedupe(parts, Path(name) / "mapped")[0] if arguments.compare else []
        handover.transported = lambda parts, runner: replace(parts, sent=True)
        handover.is_sent = lambda folder, runner: True
        meter = Meter()
        meter.install()
        sent, copies = dedupe(parts, Path(name) / "sent")
    print(f"{documents:,} documents, {len(parts.runs())} runs of {len(paths)} parts, {copies.passes} passes")
    print(f"signature files {stored / 1e6:,.0f} MB")
    if arguments.compare:
        print(f"removal list as with mapped files: {sent == mapped}")
    print("step | groups | fetched, MB | shuffled, MB | disk of a group, MB")
    for step, spent in meter.steps.items():
        sizes = " | ".join(f"{size / 1e6:,.1f}" for size in (spent.fetched, spent.shuffled, spent.disk))
        print(f"{step} | {spent.groups} | {sizes}")
    every = meter.steps.values()
    print(f"all | | {sum(s.fetched for s in every) / 1e6:,.0f} | {sum(s.shuffled for s in every) / 1e6:,.0f}")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
