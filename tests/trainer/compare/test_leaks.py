"""Held-out documents with near copies in a training text are found, by stored signatures and without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_build import save
from small_build import write as write_file
from token_shards import tokenizer, write

from corpus.counts import Counts
from corpus.library import signature
from corpus.schema import SIGNATURES
from corpus.tokenizer import Tokenizer
from trainer import held_out, tokens
from trainer.compare import leaks

WORDS = ["bir", "iki", "üç", "dört", "beş", "altı", "yedi", "sekiz", "dokuz", "on"]
FIRST = 1_000
"""Id of the first held-out document."""


def texts(count: int, seed: int) -> list[str]:
    return [" ".join(row) for row in np.random.default_rng(seed).choice(WORDS, (count, 60)).tolist()]


def corpus(folder: Path, train: list[str], held: list[str]) -> leaks.Leaks:
    """Write a corpus and return the leaks between its own halves."""
    pieces = Tokenizer(tokenizer())
    made = [[[*pieces.encode(text), pieces.eos] for text in side] for side in (train, held)]
    shards = folder / "tokens"
    write(
        shards,
        {"tur_Latn/web": [made[0]]},
        validation={"tur_Latn/web": [made[1]]},
        held_from=FIRST,
        model=tokenizer(),
    )
    opened = tokens.open(str(folder))
    sample = held_out.choose({"held": opened}, len(held), 0).samples["held"]
    return leaks.find({"a": (str(folder), opened)}, {"held": sample})


def ids(*numbers: int) -> frozenset[str]:
    return frozenset(f"{number:032x}" for number in numbers)


def test_near_copies_are_found_in_a_corpus_without_signatures(tmp_path: Path) -> None:
    """A document with another last word and one with a word more at its start, of 56 shingles each; not one
    that shares half of its words, or that has the words in another order."""
    train = texts(40, 0)
    half = " ".join(train[2].split()[:30] + texts(1, 5)[0].split()[:30])
    shuffled = " ".join(reversed(train[3].split()))
    held = [train[0].rsplit(" ", 1)[0] + " yüz", f"YÜZ {train[1]}", half, shuffled, *texts(5, 1)]
    assert corpus(tmp_path, train, held).copied == {"a": ids(FIRST, FIRST + 1)}


def test_texts_without_words_are_no_copies_of_each_other(tmp_path: Path) -> None:
    assert not corpus(tmp_path, [".", *texts(3, 0)], ["!", *texts(3, 1)]).ids


def test_signatures_that_the_build_stored_are_used_and_only_of_documents_that_are_trained_on(
    tmp_path: Path,
) -> None:
    """Stored signatures say that training document 0, and 99 of no shard, are the held-out ones."""
    held = texts(2, 1)
    rows = [
        {
            "id": f"{number:032x}",
            "exact": bytes(16),
            "url": 0,
            "source": "web",
            "bytes": 1,
            "words": 1,
            "fetched": None,
            "language": "tur_Latn",
            "signature": signature(text),
        }
        for number, text in zip((0, 99), held, strict=True)
    ]
    file = write_file(tmp_path / "filter", "signatures/0.arrow", SIGNATURES, rows)
    save(tmp_path / "filter", "filter", [([file], Counts(seen=2, kept=2))])
    assert corpus(tmp_path, texts(3, 0), held).copied == {"a": ids(FIRST)}
