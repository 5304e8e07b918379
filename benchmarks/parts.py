"""Pages made of Turkish and another language: how many are cut, and what is kept of each language.

    python -m benchmarks.parts DATA [--count 100]

DATA has `text-tr` and `text-multi`. A page has about 1,000 characters of prose in each language: one after
the other, in turns of a paragraph, or all in a single line. Then pages with 1,000 characters of the other
language and less of Turkish, which is wanted; and texts in one language, and how many are cut.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

import zstandard

from corpus import parts

ORDERS = ("after each other", "in turns", "in one line")


def texts(path: Path, count: int) -> list[str]:
    """Return the first texts of a file with at least 1,500 characters."""
    found: list[str] = []
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            found += [text] if len(text) > 1500 else []
            if len(found) == count:
                break
    return found


def prose(text: str, rng: random.Random, least: int = 1000) -> list[str]:
    """Return paragraphs of a text, of `least` characters together, and the rest of the last one."""
    lines = [line for line in text.split("\n") if len(line) > 60]
    found: list[str] = []
    for line in lines[rng.randrange(max(1, len(lines) // 3)) :]:
        found.append(line)
        if sum(map(len, found)) >= least:
            break
    return found


def page(own: list[str], other: list[str], order: str) -> str:
    """Return a page of both in an order of ORDERS."""
    if order == "in one line":
        return " ".join(own + other)
    if order == "after each other":
        return "\n".join(own + other)
    both = max(len(own), len(other))
    return "\n".join(line for n in range(both) for line in own[n : n + 1] + other[n : n + 1])


def made(name: str, turkish: list[str], others: list[str], order: str, count: int) -> None:
    """Print how made pages of one order are cut."""
    rng = random.Random(name + order)
    kinds: Counter[str] = Counter()
    kept = foreign = 0.0
    for _ in range(count):
        own, other = prose(rng.choice(turkish), rng), prose(rng.choice(others), rng)
        found = parts.separate(page(own, other, order))
        kind = "whole" if not found.shares else "cut" if found.separable else "not separable"
        kinds[kind] += 1
        if kind == "cut":
            left = Counter(found.text.split())
            words = [Counter(" ".join(lines).split()) for lines in (own, other)]
            only = [words[0] - words[1], words[1] - words[0]]
            shares = [(left & each).total() / max(1, each.total()) for each in only]
            kept += max(shares)
            foreign += min((left & each).total() for each in only) / max(1, left.total())
    cut = max(1, kinds["cut"])
    print(
        f"Turkish and {name}, {order}: whole {kinds['whole']}, cut {kinds['cut']}, not separable "
        f"{kinds['not separable']}; kept of the main part {kept / cut:.3f}, foreign {foreign / cut:.3f}"
    )


def wanted(name: str, turkish: list[str], others: list[str], count: int) -> None:
    """Print what is kept of pages whose smaller part is the wanted one."""
    rng = random.Random(name)
    total = kept = 0
    share = foreign = 0.0
    while total < count:
        own, other = prose(rng.choice(turkish), rng, 400), prose(rng.choice(others), rng)
        if len(" ".join(own)) >= len(" ".join(other)):
            continue
        total += 1
        left = Counter(parts.separate("\n".join(other + own), wanted=["tur_Latn"]).text.split())
        words = [Counter(" ".join(lines).split()) for lines in (own, other)]
        only = [words[0] - words[1], words[1] - words[0]]
        found = [(left & each).total() for each in only]
        if found[0] > found[1]:
            kept += 1
            share += found[0] / max(1, only[0].total())
            foreign += found[1] / max(1, left.total())
    print(
        f"{total} pages with less Turkish than {name}: Turkish kept of {kept}; of its words "
        f"{share / max(1, kept):.3f}, foreign {foreign / max(1, kept):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=100, help="pages of each kind")
    arguments = parser.parse_args()
    count = arguments.count
    turkish = texts(arguments.data / "text-tr" / "mevzuat.jsonl.zst", 3 * count)
    multi = arguments.data / "text-multi"
    others = {
        "English": texts(multi / "libreoffice-help-en.jsonl.zst", 3 * count),
        "German": texts(multi / "libreoffice-help-de.jsonl.zst", 3 * count),
    }
    for name, pool in others.items():
        for order in ORDERS:
            made(name, turkish, pool, order, count)
        wanted(name, turkish, pool, 2 * count)
    for name, pool in {"Turkish": turkish, **others}.items():
        started = time.process_time()
        found = [parts.separate(text) for text in pool]
        took = (time.process_time() - started) / len(pool)
        cut = sum(bool(each.shares) and each.separable for each in found)
        mixed = sum(not each.separable for each in found)
        print(
            f"{name} alone, {len(pool)} texts: cut {cut}, not separable {mixed}, {1000 * took:.2f} ms a text"
        )


if __name__ == "__main__":
    main()
