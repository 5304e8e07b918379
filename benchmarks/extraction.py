"""Score main text on every set of gold pages: `extraction.py DATA/html-gold [EXTRACTOR ...] [--worst N]`.

The extractors run one after another in this process on the same pages. Time is processor time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import statistics
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SETS = {  # folder -> (key of the page's name, key of its main text; none where strings are the gold)
    "article-extraction-benchmark": ("file", "articleBody"),
    "readability-test-pages": ("source", "expected_text"),
    "tr-libreoffice-help": ("file", "gold_text"),
    "trafilatura-eval": ("file", ""),
    "wcxb-dev": ("file", "gold_text"),
}
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Page:
    """One page with its gold: its text, or the strings that must and must not be in the output."""

    set: str
    kind: str  # the set, for wcxb-dev with the type of the page
    name: str
    host: str
    html: str
    gold: str | None
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """How one extractor did on one page."""

    f1: float
    precision: float
    recall: float
    seconds: float


def pages(data: Path) -> Iterator[Page]:
    """Yield the pages of all sets."""
    from corpus.text.charset import decode

    for name, (key, gold) in SETS.items():
        payloads: dict[str, bytes] = {}
        for archive in sorted((data / name).glob("pages*.tar.*")):
            with tarfile.open(archive) as tar:
                payloads |= {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m))}
        with gzip.open(data / name / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                payload = payloads[row[key]]
                # wcxb-dev stores UTF-8 whatever the page declares.
                html = payload.decode("utf-8", "replace") if name == "wcxb-dev" else decode(payload).text
                yield Page(
                    name,
                    f"{name}/{row['page_type']}" if "page_type" in row else name,
                    row[key],
                    _host(row.get("url", row[key])),
                    html,
                    row[gold] if gold else None,
                    *(tuple(" ".join(s.split()) for s in row.get(k, ())) for k in ("with", "without")),
                )


def _host(url: str) -> str:
    name = url.split("::", 1)[-1]
    return (urlsplit(name).hostname or name.split("-", 1)[0]).removeprefix("www.")


def fold(host: str, folds: int) -> int:
    """Return the fold of a host's pages."""
    return int(hashlib.md5(host.encode()).hexdigest(), 16) % folds


def score(text: str, page: Page) -> tuple[float, float, float]:
    """Return F1, precision and recall: of words in lower case, or of strings for a set of strings."""
    if page.gold is None:
        flat = " ".join(text.split())
        hits, faults = sum(s in flat for s in page.wanted), sum(s in flat for s in page.unwanted)
        return _f1(hits, hits + faults, len(page.wanted))
    found, wanted = (Counter(_WORD.findall(side.lower())) for side in (text, page.gold))
    if not wanted:
        return (1.0, 1.0, 1.0) if not found else (0.0, 0.0, 1.0)
    return _f1((found & wanted).total(), found.total(), wanted.total())


def _f1(shared: int, found: int, wanted: int) -> tuple[float, float, float]:
    precision, recall = shared / max(1, found), shared / max(1, wanted)
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def _extractors() -> dict[str, Callable[[str], str]]:
    import trafilatura
    from resiliparse.extract.html2text import extract_plain_text

    from corpus.text.html import extract

    return {
        "derlem": extract,
        "resiliparse": lambda html: extract_plain_text(html, main_content=True, alt_texts=False),
        "trafilatura": lambda html: trafilatura.extract(html, include_comments=False) or "",
        "trafilatura-precision": lambda html: (
            trafilatura.extract(html, favor_precision=True, include_comments=False) or ""
        ),
    }


def _scored(extract: Callable[[str], str], page: Page) -> Score:
    start = time.process_time()
    try:
        text = extract(page.html)
    except Exception as error:  # a peer's fault is an empty text
        print(f"{page.name}: {error}")
        text = ""
    seconds = time.process_time() - start
    return Score(*score(text, page), seconds)


def main() -> None:
    """Print a row for each extractor and kind of page, then the worst pages of derlem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("extractors", nargs="*", default=["derlem", "resiliparse", "trafilatura"])
    parser.add_argument("--worst", type=int, default=20)
    options = parser.parse_args()
    examples = list(pages(options.data))
    known = _extractors()
    results: dict[str, list[Score]] = {}
    print(f"{'extractor':22}{'pages of':40}{'number':>7}{'F1':>7}{'P':>7}{'R':>7}{'pages/s':>9}")
    for name in options.extractors:
        known[name]("<p>warm")
        results[name] = [_scored(known[name], page) for page in examples]
        groups: dict[str, list[Score]] = defaultdict(list)
        for page, result in zip(examples, results[name], strict=True):
            for kind in dict.fromkeys((page.set, page.kind, "all")):
                groups[kind].append(result)
        for kind, scores in groups.items():
            f1, precision, recall = (
                statistics.mean(getattr(s, key) for s in scores) for key in ("f1", "precision", "recall")
            )
            rate = len(scores) / sum(s.seconds for s in scores)
            print(f"{name:22}{kind:40}{len(scores):7}{f1:7.3f}{precision:7.3f}{recall:7.3f}{rate:9.1f}")
    ours = options.extractors[0]
    lost = [
        (result.f1, best, page)
        for at, (page, result) in enumerate(zip(examples, results[ours], strict=True))
        if result.f1 < 0.5
        and (best := max((r[at].f1 for n, r in results.items() if n != ours), default=0)) > 0.8
    ]
    print(f"\nmain text lost by {ours} (F1 below .5 where a peer has over .8): {len(lost)}")
    for f1, best, page in lost:
        print(f"{f1:7.3f} {best:7.3f}  {page.kind}  {page.name}  {page.host}")
    print(f"\nworst pages of {ours}")
    for result, page in sorted(zip(results[ours], examples, strict=True), key=lambda pair: pair[0].f1)[
        : options.worst
    ]:
        print(
            f"{result.f1:7.3f} {result.precision:7.3f} {result.recall:7.3f}"
            f"  {page.kind}  {page.name}  {page.host}"
        )


if __name__ == "__main__":
    main()
