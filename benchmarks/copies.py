"""Copies of every grain together, by the dedupe stage: time, memory, shuffle, recall, false removals by size.

    python -m benchmarks.copies DATA [--mb 100 1000] [--workers 1] [--folder FOLDER]

DATA is a folder of Turkish JSON lines (`text`), whose words, in their frequencies, make the documents: 600
words each on average, in lines of 60. Of twenty documents one is an exact copy of an earlier one, one has a
tenth of its words changed, one holds a passage of another one of 520 to 2,000 characters, and one a line of
40 words that about fifty documents share, its number changed. With --folder the documents stay there.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.dedupe import anonymous_mb, family
from benchmarks.proved import part, save_filter
from corpus import dataset
from corpus.config import parse
from corpus.dedup.passages import gathered
from corpus.teller import SILENT
from pipelines import dedupe, records, settling, stage
from pipelines.options import Runner
from pipelines.stage import Context

BYTES = 5_300  # of a document, about
EXACT, NEAR, PASSAGE, LINE = 1, 3, 5, 7  # what a document is, by its number modulo 20
USES = 50  # documents that have one line in common

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"substrings": {"length": 500}},
    {"substrings": {"length": 500}, "paragraphs": {"most": 10}},
)
"""What is measured: exact and near copies alone, with passages, and with paragraphs too."""


class Texts(Sequence[str]):
    """Documents by number, made when they are asked for; those of even numbers are originals."""

    def __init__(self, words: Sequence[str], number: int, length: int = 600) -> None:
        spaced = [f"{word} ".encode() for word in words]
        self._bytes = np.frombuffer(b"".join(spaced), np.uint8)
        self._sizes = np.array([len(word) for word in spaced])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._number, self._length = number, length

    def __len__(self) -> int:
        return self._number

    def original(self, number: int) -> int:
        """Return the original that a document takes from: one of even number before it."""
        return 2 * int(np.random.default_rng([number, 1]).integers(0, (number + 1) // 2))

    def line(self, number: int) -> int:
        """Return which of the lines that many have in common a document holds."""
        return number // 20 // USES

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        assert isinstance(number, int)
        kind = number % 20
        if kind == EXACT:
            return self[self.original(number)]
        random = np.random.default_rng(number)
        if kind == NEAR:
            words = self._own(np.random.default_rng(self.original(number)))
            changed = words.size // 10
            return self._text(np.concatenate([words[: words.size - changed], self._drawn(random, changed)]))
        own = self._own(random)
        if kind == PASSAGE:
            other = self[self.original(number)]
            start = int(random.integers(0, max(1, len(other) - 2_000)))
            passage = other[start : start + int(random.integers(520, 2_000))]
            return f"{self._text(own[:100])} {passage} {self._text(own[100:])}"
        if kind == LINE:
            line = self._text(self._drawn(np.random.default_rng([self.line(number), 2]), 40))
            return f"{self._text(own[:120])}\n{number}. {line}\n{self._text(own[120:])}"
        return self._text(own)

    def _own(self, random: np.random.Generator) -> NDArray[np.int64]:
        return self._drawn(random, int(random.integers(self._length // 3, 5 * self._length // 3)))

    def _drawn(self, random: np.random.Generator, number: int) -> NDArray[np.int64]:
        return random.integers(0, self._sizes.size, number)

    def _text(self, words: NDArray[np.int64]) -> str:
        sizes = self._sizes[words]
        text = gathered(self._bytes, self._starts[words], sizes)
        text[np.cumsum(sizes)[59::60] - 1] = ord("\n")
        return bytes(text[:-1].tobytes()).decode()


def words(folder: Path) -> Iterator[str]:
    """Yield the words of all texts of a folder."""
    for path in sorted(folder.glob("*.jsonl*")):
        with pa.input_stream(str(path), compression="detect") as file:
            for line in io.BytesIO(file.read()):
                yield from (sys.intern(word) for word in json.loads(line)["text"].split() if len(word) < 30)


def write(folder: Path, texts: Texts, parts: int, workers: int) -> None:
    """Write a finished filter stage of the texts, by some processes."""
    numbers = list(enumerate(np.array_split(np.arange(len(texts)), parts)))
    with ProcessPoolExecutor(workers, initializer=_texts.append, initargs=(texts,)) as pool:
        save_filter(folder, pool.map(partial(_part, folder), numbers))


_texts: list[Texts] = []  # of a worker process


def _part(folder: Path, numbered: tuple[int, Any]) -> dataset.Unit:
    return part(folder, _texts[0], *numbered)


class Memory(threading.Thread):
    """The largest memory of this process and of any single worker, mapped files not counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.driver_mb = self.worker_mb = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            driver, *workers = map(anonymous_mb, family())
            self.driver_mb = max(self.driver_mb, driver)
            self.worker_mb = max(self.worker_mb, *workers, 0.0)

    def stop(self) -> dict[str, float]:
        """Return the peaks so far, MiB."""
        self._over.set()
        self.join()
        return {"driver_mb": self.driver_mb, "worker_mb": self.worker_mb}


def measure(texts: Texts, folder: Path, settings: dict[str, Any], workers: int) -> dict[str, float]:
    """Run the stage; return processor and wall seconds, peak memory, and the bytes that steps exchange."""
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    given = {**settings, "max_cluster_share": 1.0}
    config = parse({"output": str(folder), "source": [source], "dedupe": given}, "benchmark")
    exchanged: dict[str, int] = {}
    plain = settling.write_list

    def counted(scratch: str, *more: Any, **named: Any) -> Any:  # all steps but the list are done by then
        for path in Path(scratch).rglob("*.npy"):
            name = path.relative_to(scratch).parts[0].split("-")[0]
            exchanged[name] = exchanged.get(name, 0) + path.stat().st_size
        return plain(scratch, *more, **named)

    settling.write_list = counted
    memory = Memory()
    memory.start()
    started, spent = time.perf_counter(), records.processor_s()
    runner = Runner(workers=workers)
    manifest = stage.run(dedupe.plan(Context(config, runner=runner)), runner, SILENT)
    found = {
        "processor_s": records.processor_s() - spent,
        "wall_s": time.perf_counter() - started,
        **memory.stop(),
        "exchanged_mb": sum(exchanged.values()) / 1e6,
    }
    settling.write_list = plain
    print(f"  {settings}: " + ", ".join(f"{name} {value:,.1f}" for name, value in found.items()))
    million = {name: f"{size / len(texts) / 1_000:,.2f} GB" for name, size in sorted(exchanged.items())}
    print(f"    exchanged a million documents: {million}")
    print(f"    {manifest.counts().dropped}, {manifest.facts.get('spans_by_kind', [])}", flush=True)
    _recall(texts, folder, manifest, settings)
    return found


def _recall(texts: Texts, folder: Path, manifest: dataset.Manifest, settings: dict[str, Any]) -> None:
    """Print how many of the planted copies were found, and what else was removed."""
    home = str(folder / "dedupe")

    def ids(kind: str) -> set[int]:
        tables = (dataset.table(home, file.path, ["id"]) for file in manifest.files(kind))
        return {int(id, 16) for table in tables for id in table["id"].to_pylist()}

    gone, cut = ids("removed"), ids("spans")
    planted: set[int] = set(range(LINE, len(texts), 20)) if "paragraphs" in settings else set()
    for kind, name in ((EXACT, "exact"), (NEAR, "near"), (PASSAGE, "passage")):
        pairs = [(number, texts.original(number)) for number in range(kind, len(texts), 20)]
        planted.update(number for pair in pairs for number in pair)
        if kind != PASSAGE or "substrings" in settings:
            lost = gone if kind != PASSAGE else gone | cut
            found = sum(not lost.isdisjoint(pair) for pair in pairs)
            print(f"    {name} copies: {len(pairs):,} planted, recall {found / len(pairs):.4f}")
    if "paragraphs" in settings:
        most = settings["paragraphs"]["most"]
        uses = Counter(texts.line(number) for number in range(LINE, len(texts), 20))
        too_many = sum(max(0, number - most) for number in uses.values())
        found = sum(number % 20 == LINE for number in cut | gone)
        print(f"    lines: {too_many:,} planted beyond {most} places, {found:,} removed")
    print(f"    documents that lost something without anything planted: {len((gone | cut) - planted):,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mb", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    known: list[str] = list(words(options.data))
    spent: list[tuple[int, dict[str, float]]] = []
    for size in options.mb:
        texts = Texts(known, size * 1_000_000 // BYTES)
        with tempfile.TemporaryDirectory() as name:
            folder = (options.folder or Path(name)) / f"{size}-mb"
            print(f"{size:,} MB, {len(texts):,} documents", flush=True)
            if not (folder / "filter" / dataset.MANIFEST).exists():
                write(folder, texts, max(2, size // 50), options.workers)
            for settings in SETTINGS:
                found = measure(texts, folder, settings, options.workers)
            spent.append((len(texts), found))
    (few, one), (many, other) = spent[0], spent[-1]
    for key in ("processor_s", "exchanged_mb"):
        print(f"{key}: {other[key] / one[key]:.2f} times for {many / few:.1f} times the documents")


if __name__ == "__main__":
    main()
