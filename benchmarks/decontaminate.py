"""Planted evaluation texts found in documents, false alarms on clean ones, and the time it takes.

    python -m benchmarks.decontaminate TEXT_TR TURBLIMP [--mixed 1000000]

TURBLIMP is `base.jsonl.gz` of TurBLiMP (sentences of 5 to 16 words), TEXT_TR the sample texts in Turkish. Two
sets of 1,000 are planted into pieces of 4 kB: sentences of TurBLiMP, and passages of 20 to 60 words of one
product's manuals, whose other pages are left out of the clean texts. They are planted verbatim, in capitals
without marks, and with one word in ten given another suffix. Clean documents are all pieces of the other
texts, and `--mixed` documents of sentences drawn from them at random.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zstandard

from corpus.decontaminate import overlap, references
from corpus.decontaminate.stems import stems, stems_of
from corpus.text.view import view

CLEAN = ("mevzuat", "powerbi-docs", "libreoffice-help", "cpp-docs-mt")
LIMIT = 0.8
PLANTED = 1_000
SUFFIXES = ("lar", "ler", "da", "de", "dan", "nın", "in", "ı", "i", "a", "e", "la", "lı", "sız", "mış")


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def pieces(text: str, size: int = 4_000) -> Iterator[str]:
    """Yield pieces of a text, cut at blanks."""
    while len(text) > size // 2:
        end = text.find(" ", size)
        yield text[: end if end > 0 else len(text)]
        text = text[end:] if end > 0 else ""


def other_case(text: str, _: random.Random) -> str:
    """Return the text in capitals, without its marks."""
    return re.sub(r"[.,;:!?()\"“”]", " ", text.replace("i", "İ").replace("ı", "I").upper())


def other_suffixes(text: str, draw: random.Random) -> str:
    """Return the text with another suffix on one word in ten, at least on one."""
    words = text.split()
    for at in draw.sample(range(len(words)), max(1, round(len(words) / 10))):
        word = words[at].rstrip(".,;:!?")
        kept = word if len(word) < 5 else word[: len(word) - draw.randint(1, 3)]
        words[at] = kept + draw.choice(SUFFIXES)
    return " ".join(words)


KINDS = {"verbatim": lambda text, _: text, "case and marks": other_case, "suffixes": other_suffixes}


def measure(name: str, rows: list[str], clean: list[str], mixed: int) -> None:
    """Print recall of planted texts, false alarms and times of one set."""
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
        found = references.read([str(path)], ["text"])
    index = overlap.build(found.pieces)
    overlap.best(stems_of("bir iki üç dört beş altı"), index)
    print(f"{name}: {len(found.pieces):,} pieces of {found.texts:,} texts, {found.too_short} too short")
    long_enough = [row for row in rows if np.unique(stems_of(row)).size >= 5]
    for kind, change in KINDS.items():
        hits = 0
        for text in long_enough:
            host = draw.choice(clean)
            cut = host.find(" ", draw.randrange(len(host) // 2))
            planted = f"{host[:cut]} {change(text, draw)} {host[cut:]}"
            hits += overlap.best(stems_of(planted), index)[0] >= LIMIT
        print(f"  {kind}: {hits} of {len(long_enough)} found ({hits / len(long_enough):.3f})")
    seen = [view(piece) for piece in clean]
    start = time.process_time()
    scores = [overlap.best(stems(each), index) for each in seen]
    spent = time.process_time() - start
    wrong = [number for number, (score, _) in enumerate(scores) if score >= LIMIT]
    size = sum(len(piece.encode()) for piece in clean)
    print(f"  clean pieces: {len(wrong)} of {len(clean):,} found, {spent * 4096e6 / size:.1f} µs for 4 KB")
    for number in wrong[:5]:
        score, which = scores[number]
        print(f"    {score:.2f} {found.pieces[which].name}")
    sentences = [stems_of(each) for piece in clean[::4] for each in piece.split(". ") if each]
    alarms = 0
    for _ in range(mixed):
        document = np.concatenate(draw.choices(sentences, k=40))
        alarms += overlap.best(document, index)[0] >= LIMIT
    print(f"  mixed documents: {alarms} of {mixed:,} found")


def main() -> None:
    """Measure both sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text_tr", type=Path)
    parser.add_argument("turblimp", type=Path)
    parser.add_argument("--mixed", type=int, default=1_000_000)
    asked = parser.parse_args()
    draw = random.Random(0)
    clean = [
        piece
        for name in CLEAN
        for text in texts(asked.text_tr / f"{name}.jsonl.zst")
        for piece in pieces(text)
    ]
    with gzip.open(asked.turblimp, "rt", encoding="utf-8") as lines:
        sentences = [json.loads(line)["good_sentence"] for line in lines]
    measure("turblimp", draw.sample(sentences, PLANTED), clean, asked.mixed)
    passages = [
        text
        for page in texts(asked.text_tr / "d365-docs.jsonl.zst")
        for text in page.splitlines()
        if 20 <= len(text.split()) <= 60
    ]
    measure("passages", draw.sample(passages, PLANTED), clean, asked.mixed)


if __name__ == "__main__":
    main()
