"""How much main text each extractor finds, and how fast: `extraction.py DATA/html-gold [EXTRACTOR]`."""

from __future__ import annotations

import gzip
import json
import re
import statistics
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from corpus.text.charset import decode
from corpus.text.html import extract

SETS = {  # folder -> (key of the page's name, key of its main text)
    "article-extraction-benchmark": ("file", "articleBody"),
    "readability-test-pages": ("source", "expected_text"),
    "tr-libreoffice-help": ("file", "gold_text"),
    "trafilatura-eval": ("file", ""),
}


def pages(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each page of a set as decoded HTML with its gold row."""
    key, _ = SETS[folder.name]
    with tarfile.open(folder / "pages.tar.gz") as tar:
        payloads = {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m))}
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield decode(payloads[row[key]]).text, row


def f1(text: str, gold: str) -> tuple[float, float, float]:
    """Token F1, precision and recall, counting repeated tokens."""
    found, wanted = Counter(re.findall(r"\w+", text)), Counter(re.findall(r"\w+", gold))
    if not wanted:
        return (1.0, 1.0, 1.0) if not found else (0.0, 0.0, 1.0)
    shared = (found & wanted).total()
    precision, recall = shared / max(1, found.total()), shared / wanted.total()
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def snippets(text: str, row: dict[str, object]) -> tuple[float, float, float]:
    """The same from strings that must and must not be there."""
    flat = " ".join(text.split())
    wanted = [" ".join(str(s).split()) in flat for s in row["with"]]  # type: ignore[attr-defined]
    unwanted = [" ".join(str(s).split()) in flat for s in row["without"]]  # type: ignore[attr-defined]
    hits = sum(wanted)
    precision, recall = hits / max(1, hits + sum(unwanted)), hits / max(1, len(wanted))
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def main(data: Path) -> None:
    """Print a table: set, extractor, mean F1, precision, recall, empty pages, median ms and pages/s."""
    print(
        f"{'set':30}{'extractor':13}{'pages':>6}{'F1':>7}{'prec':>7}{'recall':>7}{'empty':>6}{'ms':>7}{'pages/s':>9}"
    )
    for name, (_, gold) in SETS.items():
        examples = list(pages(data / name))
        for extractor in sys.argv[2:] or ("resiliparse", "trafilatura"):
            extract("<p>warm", extractor, 60)
            scores, seconds, empty = [], [], 0
            for html, row in examples:
                start = time.perf_counter()
                text = extract(html, extractor, 60)
                seconds.append(time.perf_counter() - start)
                empty += not text
                scores.append(f1(text, str(row[gold])) if gold else snippets(text, row))
            means = "".join(f"{statistics.mean(column):7.3f}" for column in zip(*scores, strict=True))
            rate = len(seconds) / sum(seconds)
            print(
                f"{name:30}{extractor:13}{len(examples):6}{means}{empty:6}"
                f"{statistics.median(seconds) * 1000:7.1f}{rate:9.0f}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
