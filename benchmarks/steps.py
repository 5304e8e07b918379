"""Processor time of each step of `extract` and `filter` over texts, and of fastText's predictor beside ours.

    python -m benchmarks.steps DATA/text-tr [--texts 4000] [--runs 3]

The predictor is the package fasttext-predict: it and ours answer the lines that `corpus.language` asks about.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import fasttext
import zstandard

from corpus import classifier, language
from corpus.config import Extract, Filter
from corpus.extraction import Extractor
from corpus.filtering import Filtering
from corpus.filters import in_force
from corpus.items import RawDocument

PIECE = 64  # as both stages take them


def read(folder: Path, wanted: int) -> list[str]:
    """Return every n-th text of a folder's JSON lines, so that about `wanted` come out."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        with path.open("rb") as file:
            lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
        texts += [json.loads(line)["text"] for line in lines]
    return texts[:: max(1, len(texts) // wanted)]


def steps(texts: list[str]) -> dict[str, float]:
    """Return the seconds of each step over all texts."""
    extractor = Extractor(Extract())
    filtering = Filtering(Filter(), in_force(Filter(), Path()))
    for first in range(0, len(texts), PIECE):
        raws = [RawDocument(text, "text", "", row) for row, text in enumerate(texts[first : first + PIECE])]
        rows = [
            {"text": each.text, "url": "", "language": each.language, "language_score": each.language_score,
             "source": "", "fetched": None}
            for each in extractor.extract(raws)
        ]  # fmt: skip
        filtering.filter(rows)
    return {**extractor.seconds, **{f"{name} (filter)": s for name, s in filtering.seconds.items()}}


def spent(predict: Callable[..., object], lines: list[str]) -> float:
    """Return microseconds a line."""
    started = time.process_time()
    for line in lines:
        predict(line, k=6)
    return (time.process_time() - started) / len(lines) * 1e6


def predictors(texts: list[str], runs: int) -> None:
    lines = [language._sample(text) for text in texts]
    asked = {
        language._lid176_path(): lines,
        language._SECOND_LOOKS["Latn"]: [language.neighbour_view(line) for line in lines],
    }
    for path, own in asked.items():
        ours, theirs = classifier.load(path), fasttext.load_model(path)
        ours.predict("", 6)  # its kernels are compiled
        pairs = [(spent(ours.predict, own), spent(theirs.predict, own)) for _ in range(runs)]
        mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{Path(path).name}: {mine:.0f} us a line, fastText's {other:.0f}; ratio {ratio:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of *.jsonl.zst")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    time.perf_counter = time.process_time  # of which the steps take their seconds: the machine may be busy
    texts = read(given.folder, given.texts)
    print(f"{len(texts)} texts of {sum(map(len, texts)) // len(texts)} characters")
    steps(texts[:PIECE])
    shares = []
    for _ in range(given.runs):
        found = steps(texts)
        shares.append(found["language"] / sum(found.values()))
        print({name: round(seconds, 2) for name, seconds in found.items()}, f"language: {shares[-1]:.1%}")
    print(f"median share of language: {statistics.median(shares):.1%}")
    predictors(texts, given.runs)


if __name__ == "__main__":
    main()
