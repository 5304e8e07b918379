"""Filters beside datatrove's: documents a second on one core and how often both decide alike.

    python benchmarks/filters.py DOCUMENTS.jsonl.zst ... [--peer-python /path/to/venv/bin/python]

Both run the same four families on every document, also where an earlier one has dropped it: Gopher quality
and repetition, C4 (lines of 3 words, 5 sentences), FineWeb, with FineWeb2's Turkish limits. Ours includes
finding lines and words. The peer's environment needs `datatrove[processing]` and spacy; without it only ours
runs.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAMILIES = ("gopher quality", "gopher repetition", "c4", "fineweb")
REPETITION = ("gopher.top_", "gopher.duplicate_")
PRESET = "fineweb2-tur"  # with the C4 section of `fineweb` over it, which datatrove has too

STOP_WORDS = [
    "ve", "bir", "olarak", "bu", "ile", "için", "olan", "da", "de", "tarafından", "sonra", "en", "daha", "ilk"
]  # fmt: skip


def read(paths: list[Path], characters: int, documents: int) -> list[str]:
    """Texts cut to `characters`, the same number from each file, spread over it."""
    import zstandard

    texts: list[str] = []
    for path in paths:
        with path.open("rb") as raw:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            found = [json.loads(line)["text"][:characters] for line in lines]
        found = [text for text in found if len(text) > characters // 2]
        share = max(1, documents // len(paths))
        texts += found[:: max(1, len(found) // share)][:share]
    return texts


def timed(run: Callable[[], Any], rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return seconds


def ours(texts: list[str], rounds: int) -> dict[str, Any]:
    from corpus.filters import judge, load
    from corpus.filters.preset import overlay
    from corpus.text.view import view

    english = load("fineweb").content()["c4"]
    preset = overlay(load(PRESET), {f"c4.{key}": value for key, value in english.items()}, PRESET)

    def decide(text: str) -> list[bool]:
        values = judge(view(text), preset).values
        broken = [
            bound.rule
            for bound in preset.bounds
            if values[bound.index] > bound.high or values[bound.index] < bound.low
        ]
        repeated = [rule for rule in broken if rule.startswith(REPETITION)]
        quality = [rule for rule in broken if rule.startswith("gopher.") and rule not in repeated]
        c4 = [rule for rule in broken if rule.startswith("c4.")]
        fineweb = [rule for rule in broken if rule.startswith("fineweb.")]
        return [bool(rules) for rules in (quality, repeated, c4, fineweb)]

    decisions = [decide(text) for text in texts]  # compiles
    return {"seconds": timed(lambda: [decide(text) for text in texts], rounds), "dropped": decisions}


def peer(texts: list[str], rounds: int) -> dict[str, Any]:
    """The same with datatrove, in its own environment: imports nothing of this project."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = [
        GopherQualityFilter(
            min_avg_word_length=3,
            max_avg_word_length=21,
            max_non_alpha_words_ratio=0.773,
            stop_words=STOP_WORDS,
            language="tur_Latn",
        ),
        GopherRepetitionFilter(
            dup_para_frac=0,
            dup_line_char_frac=0,
            dup_para_char_frac=0,
            dup_line_frac=0.272,
            top_n_grams=((2, 0.214), (3, 0.168), (4, 0.147)),
            dup_n_grams=((5, 0.154), (6, 0.144), (7, 0.134), (8, 0.124), (9, 0.113), (10, 0.103)),
            language="tur_Latn",
        ),
        C4QualityFilter(filter_no_terminal_punct=False, language="tur_Latn"),
        FineWebQualityFilter(
            short_line_thr=999,
            char_duplicates_ratio=0.1,
            line_punct_thr=0.091,
            new_line_ratio=0.222,
            language="tur_Latn",
        ),
    ]

    def decide(text: str) -> list[bool]:
        document = Document(text=text, id="")
        return [step.filter(document) is not True for step in filters]

    decisions = [decide(text) for text in texts[:20]]  # loads the tokeniser
    seconds = timed(lambda: decisions.__setitem__(slice(None), [decide(text) for text in texts]), rounds)
    return {"seconds": seconds, "dropped": decisions}


def ask_peer(python: str, texts: list[str], rounds: int) -> dict[str, Any] | None:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        command = [python, __file__, "--role", "peer", "--rounds", str(rounds), file.name]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        print(f"{python} cannot run datatrove's filters: see the error above", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("documents", nargs="+", type=Path, help="JSON lines, zstd, with a key `text`")
    parser.add_argument("--peer-python", help="a Python in whose environment datatrove is installed")
    parser.add_argument("--characters", type=int, default=3000, help="length to which texts are cut")
    parser.add_argument("--count", type=int, default=600, help="number of documents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--role", choices=("all", "peer"), default="all", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "peer":
        texts = json.loads(args.documents[0].read_text(encoding="utf-8"))
        print(json.dumps(peer(texts, args.rounds)))
        return
    texts = read(args.documents, args.characters, args.count)
    mine = ours(texts, args.rounds)
    rate = len(texts) / statistics.median(mine["seconds"])
    mean = sum(map(len, texts)) / len(texts)
    print(f"{len(texts)} documents of {mean:.0f} characters, medians of {args.rounds} rounds")
    print(f"derlem     {rate:9,.0f} documents/s")
    theirs = ask_peer(args.peer_python, texts, min(args.rounds, 3)) if args.peer_python else None
    if theirs is None:
        print("datatrove  not measured: give --peer-python")
        return
    peer_rate = len(texts) / statistics.median(theirs["seconds"])
    print(f"datatrove  {peer_rate:9,.0f} documents/s   ratio {rate / peer_rate:.0f}")
    for column, family in enumerate(FAMILIES):
        pairs = [(a[column], b[column]) for a, b in zip(mine["dropped"], theirs["dropped"], strict=True)]
        alike = sum(a == b for a, b in pairs) / len(pairs)
        us, it = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
        print(f"  {family:18} decided alike {alike:6.1%}   dropped {us:6.1%} by us, {it:6.1%} by it")


if __name__ == "__main__":
    main()
