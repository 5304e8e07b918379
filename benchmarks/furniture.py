"""Lines that hosts repeat: how many are taken out rightly, by gold texts, and the time that counting takes.

    python -m benchmarks.furniture ../shared/data/html-gold

The pages of hosts with ten or more, as a crawl would have them, with all their text: menus and notices too. A
line is taken out rightly where the page's gold text does not have it. The same with the main text alone.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text

from corpus import furniture
from corpus.text import charset, html

Page = tuple[str, str, str]
"""All text, the main text, and the gold text."""


def raw_pages(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Yield host, bytes and gold text of the pages of sets that have whole gold texts."""
    for path in sorted(folder.glob("*/gold.jsonl.gz")):
        held = {}
        for packed in sorted(path.parent.glob("pages*.tar.*")):
            with tarfile.open(packed) as archive:
                held |= {each.name: archive.extractfile(each) for each in archive if each.isfile()}
                held = {
                    name: part if isinstance(part, bytes) else part.read()
                    for name, part in held.items()
                    if part
                }
        for gold in map(json.loads, gzip.decompress(path.read_bytes()).splitlines()):
            if gold.get("gold_text") and gold["file"] in held and gold.get("url"):
                yield furniture.host_of(gold["url"]), held[gold["file"]], " ".join(gold["gold_text"].split())


def judge(hosts: dict[str, list[Page]], which: int) -> None:
    """Print how many lines are taken out of all text (0) or of the main text (1), and how many rightly."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for host, pages in hosts.items():
        counter = furniture.Counter()
        for number, page in enumerate(pages):
            counter.add(f"https://{host}/", page[which], number)
        found = furniture.judge([counter.counted()], {furniture.hashed(host): len(pages)})
        removed = set(found.lines["line"].tolist())
        for page in pages:
            for line, key in furniture.lines(page[which]):
                if key in removed:
                    (wrong if " ".join(line.split()) in page[2] else right)[line] += 1
    total = right.total() + wrong.total()
    share = f", {right.total() / total:.1%} rightly" if total else ""
    print(f"{('all text', 'main text')[which]}: {total:,} lines of {len(right | wrong)} kinds{share}")
    for line, times in (right + wrong).most_common(20):
        print(f"  {times:5} {'WRONG ' * bool(wrong[line])}{line[:90]}")


def main(folder: str) -> None:
    """Measure all hosts of ten or more pages."""
    raw: dict[str, list[tuple[bytes, str]]] = defaultdict(list)
    for host, page, gold in raw_pages(Path(folder)):
        raw[host].append((page, gold))
    hosts: dict[str, list[Page]] = {}
    extracting = counting = 0.0
    for host, pages in raw.items():
        for page, gold in pages if len(pages) >= furniture.PAGES else ():
            text = charset.decode(page, None, html=True).text
            lines = extract_plain_text(text, alt_texts=False).split("\n")
            started = time.process_time()
            found = html.extract(text)
            extracting += time.process_time() - started
            hosts.setdefault(host, []).append(("\n".join(filter(None, map(str.strip, lines))), found, gold))
    counter = furniture.Counter()
    for host, found_pages in hosts.items():
        started = time.process_time()
        for number, each in enumerate(found_pages):
            counter.add(f"https://{host}/", each[1], number)
        counting += time.process_time() - started
    print({host: len(pages) for host, pages in hosts.items()})
    print(f"counting takes {counting / extracting:.1%} of the time of extracting the main text")
    judge(hosts, 0)
    judge(hosts, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
