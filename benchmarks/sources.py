"""Pages per processor second of the readers of PDF files and of Wikipedia, beside the bare parsers.

python -m benchmarks.sources ../shared/data/pdf-tr ../shared/data/wiki/ltgwiki-latest-pages-articles.xml.bz2
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import mwparserfromhell
import pypdfium2 as pdfium

from corpus.config import Source
from corpus.items import RawDocument
from corpus.sources import wikipedia
from corpus.text import pdf, wikitext

ROUNDS = 5
COPIES = 10  # of each sample's pages in the long document


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def bare(file: bytes) -> None:
    """Let PDFium read every page, and take its text as it comes."""
    document = pdfium.PdfDocument(file)
    for page in document:
        page.get_textpage().get_text_range()


def long_document(folder: Path) -> tuple[bytes, int]:
    """Return the pages of all samples, many times over, as one file, and how many they are."""
    document = pdfium.PdfDocument.new()
    for path in sorted(folder.glob("*.pdf")):
        for _ in range(COPIES):
            document.import_pages(pdfium.PdfDocument(path))
    place = Path(tempfile.mkdtemp()) / "long.pdf"
    document.save(place)
    content = place.read_bytes()
    place.unlink()
    return content, len(document)


def score(folder: Path) -> None:
    """Print the word F1 of each sample."""
    for path in sorted(folder.glob("*.pdf")):
        ours, theirs = (
            Counter(re.findall(r"\w+", words.lower()))
            for words in (
                json.loads(pdf.answer(path.read_bytes()))["text"],
                path.with_suffix(".txt").read_text(),
            )
        )
        print(f"{path.stem:<18} F1 {2 * (ours & theirs).total() / (ours.total() + theirs.total()):.4f}")


def compare(name: str, pages: int, ours: Callable[[], object], peer: Callable[[], object]) -> None:
    """Print the medians of both, in turn, in pages per processor second, and their ratio."""
    times = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
    mine, other = (statistics.median(each) for each in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"{name:<18} {pages / mine:,.0f} pages/s; bare parser {pages / other:,.0f}; time {ratio:.2f} times")


def main(folder: str, dump: str) -> None:
    """Measure both."""
    score(Path(folder))
    content, pages = long_document(Path(folder))
    compare("pdf", pages, lambda: pdf.answer(content), lambda: bare(content))

    class Here:
        """In this process, so that its time counts."""

        def ask(self, request: bytes, _: float) -> bytes:
            asked.append(request)
            return wikitext.answer(request)

    asked: list[bytes] = []
    vars(wikipedia)["_child"] = Here()
    source = Source(name="w", format="wikipedia", paths=(dump,))
    articles = sum(isinstance(item, RawDocument) for item in wikipedia.read(source, dump))
    requests = [json.loads(each)["wikitext"] for each in asked]
    compare(
        "wikipedia",
        articles,
        lambda: list(wikipedia.read(source, dump)),
        lambda: [mwparserfromhell.parse(each).strip_code() for each in requests],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
