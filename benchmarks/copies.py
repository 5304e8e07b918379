"""Exact, near and substring copies together, by the dedupe stage: time, memory, shuffle, recall by size.

    python -m benchmarks.copies DATA [--mb 100 1000] [--workers 1]

DATA is a folder of Turkish JSON lines (`text`), whose words, in their frequencies, make the documents: 600
words each on average. Of twenty documents one is an exact copy of an earlier one, one has a tenth of its
words changed, and one holds a passage of another one of 520 to 2,000 characters.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from benchmarks.dedupe import PeakMemory
from benchmarks.proved import write_filter
from corpus import dataset
from corpus.config import parse
from corpus.teller import SILENT
from pipelines import dedupe, handover, stage
from pipelines.options import Runner
from pipelines.stage import Context

BYTES = 4_700  # of a document, about
EXACT, NEAR, PASSAGE = 1, 3, 5  # what a document is, by its number modulo 20


class Texts(Sequence[str]):
    """Documents by number, made when they are asked for; those of even numbers are originals."""

    def __init__(self, words: Sequence[str], number: int, length: int = 600) -> None:
        self._words, self._number, self._length = np.array(words, dtype=object), number, length

    def __len__(self) -> int:
        return self._number

    def original(self, number: int) -> int:
        """Return the original that a document takes from: one of even number before it."""
        return 2 * int(np.random.default_rng([number, 1]).integers(0, (number + 1) // 2))

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        assert isinstance(number, int)
        random = np.random.default_rng(number)
        kind = number % 20
        if kind in (EXACT, NEAR):
            text = self[self.original(number)].split()
            changed = len(text) // 10 if kind == NEAR else 0
            return " ".join([*text[: len(text) - changed], *self._drawn(random, changed)])
        own = self._drawn(random, int(random.integers(self._length // 3, 5 * self._length // 3)))
        if kind == PASSAGE:
            other = self[self.original(number)]
            start = int(random.integers(0, max(1, len(other) - 2_000)))
            passage = other[start : start + int(random.integers(520, 2_000))]
            own[100:100] = [passage]
        return " ".join(own)

    def _drawn(self, random: np.random.Generator, number: int) -> list[str]:
        found: list[str] = self._words[random.integers(0, len(self._words), number)].tolist()
        return found


def words(folder: Path) -> Iterator[str]:
    """Yield the words of all texts of a folder."""
    for path in sorted(folder.glob("*.jsonl*")):
        with pa.input_stream(str(path), compression="detect") as file:
            for line in io.BytesIO(file.read()):
                yield from (sys.intern(word) for word in json.loads(line)["text"].split() if len(word) < 30)


def measure(texts: Texts, folder: Path, length: int, workers: int) -> dict[str, float]:
    """Run the stage; return processor and wall seconds, peak memory and the bytes of passed blocks."""
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    settings = {"substrings": {"length": length}, "max_cluster_share": 1.0}
    config = parse({"output": str(folder), "source": [source], "dedupe": settings}, "benchmark")
    blocks, plain = [0], handover.parcel

    def counted(folder: str, path: str, content: bytes, is_sent: bool) -> bytes:
        blocks[0] += len(content) * path.startswith("substrings/")
        return plain(folder, path, content, is_sent)

    handover.parcel = counted
    memory = PeakMemory()
    memory.start()
    started, spent = time.perf_counter(), time.process_time()
    runner = Runner(workers=workers)
    manifest = stage.run(dedupe.plan(Context(config, runner=runner)), runner, SILENT)
    found = {
        "processor_s": time.process_time() - spent,
        "wall_s": time.perf_counter() - started,
        "peak_mb": memory.stop(),
        "block_bytes": float(blocks[0]),
    }
    handover.parcel = plain
    print(f"  length {length}: " + ", ".join(f"{name} {value:,.1f}" for name, value in found.items()))
    print(f"    {manifest.counts().dropped}, {manifest.facts.get('span_bytes', 0):,} bytes of spans")
    if length:
        _recall(texts, folder, manifest)
    return found


def _recall(texts: Texts, folder: Path, manifest: dataset.Manifest) -> None:
    home = str(folder / "dedupe")

    def ids(kind: str) -> set[int]:
        tables = (dataset.table(home, file.path, ["id"]) for file in manifest.files(kind))
        return {int(id, 16) for table in tables for id in table["id"].to_pylist()}

    gone, cut = ids("removed"), ids("spans")
    for kind, name in ((EXACT, "exact"), (NEAR, "near"), (PASSAGE, "passage")):
        pairs = [(number, texts.original(number)) for number in range(kind, len(texts), 20)]
        lost = gone if kind != PASSAGE else gone | cut
        found = sum(bool(lost & {number, other}) for number, other in pairs)
        print(f"    {name} copies: {len(pairs):,} planted, recall {found / len(pairs):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mb", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    known: list[str] = list(words(options.data))
    spent: list[tuple[int, dict[str, float]]] = []
    for size in options.mb:
        texts = Texts(known, size * 1_000_000 // BYTES)
        with tempfile.TemporaryDirectory() as name:
            print(f"{size:,} MB, {len(texts):,} documents", flush=True)
            write_filter(Path(name), texts, parts=max(2, size // 50))
            measure(texts, Path(name), 0, options.workers)
            spent.append((len(texts), measure(texts, Path(name), 500, options.workers)))
    (few, one), (many, other) = spent[0], spent[-1]
    for key in ("processor_s", "block_bytes"):
        value: Any = other[key] / one[key]
        print(f"{key}: {value:.2f} times for {many / few:.1f} times the documents")


if __name__ == "__main__":
    main()
