"""Tokenizers trained on the same Turkish texts: what a token holds, what a suffix costs, how long it takes.

Beside derlem's unigram and BPE stand those of Hugging Face `tokenizers`, as its own examples set them up:
byte-level BPE, and unigram with Metaspace and NFKC. All see the same documents, drawn from all sources with a
seed; every twentieth is held out. Times are of the processor, summed over the threads that train; encoding is
one document after the other in one thread.

The cost of a suffix is the number of pieces behind the stem in `Türkiye'nin`, of the words of the held-out
documents that are so written: pieces(" Türkiye'nin") - pieces(" Türkiye"). The pieces of a word are those of
the words of letters alone, each with the blank before it: there no tokenizer gains by digits or signs.

    python -m benchmarks.tokenizer DATA/text-tr
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("mevzuat", "d365-docs", "powerbi-docs", "libreoffice-help")
VOCABULARY, RUNS = 32_768, 3
SUFFIXED = re.compile(r"([^\W\d_]{2,})(['’][abcçdefgğhıijklmnoöprsştuüvyz]{1,8})(?![^\W\d_])")
WORD = re.compile(r"(?<!\S)[^\W\d_]+(?!\S)")

Encode = Callable[[str], list[int]]


def documents(folder: Path) -> tuple[list[str], list[str]]:
    """Return the texts to train on and those held out."""
    import zstandard

    train: list[str] = []
    held: list[str] = []
    for name in NAMES:
        with (folder / f"{name}.jsonl.zst").open("rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
            for line in lines:
                row = json.loads(line)
                mine = held if zlib.crc32(f"{name} {row['id']}".encode()) % 20 == 0 else train
                mine.append(row["text"])
    random.Random(1).shuffle(train)
    return train, held


def derlem(texts: list[str], algorithm: str) -> tuple[Encode, Callable[[list[int]], str]]:
    """Train as `derlem tokenizer train` does."""
    from corpus.tokenizer import Tokenizer
    from corpus.tokenizer.train import fit

    model = Tokenizer(fit(texts, algorithm, VOCABULARY))
    return model.encode, model.decode


def hugging_face(texts: list[str], algorithm: str) -> tuple[Encode, Callable[[list[int]], str]]:
    """Train as the examples of `tokenizers` do."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made: Any
    if algorithm == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False
        )
    else:
        made = Tokenizer(models.Unigram())
        made.normalizer = normalizers.NFKC()
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        made.decoder = decoders.Metaspace(prepend_scheme="never")
        trainer = trainers.UnigramTrainer(
            vocab_size=VOCABULARY, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
        )
    made.train_from_iterator(texts, trainer)
    return lambda text: made.encode(text).ids, made.decode


def measure(name: str, train: list[str], held: list[str], make: Callable[[], Any]) -> None:
    """Train, encode what was held out, and print a row."""
    began = time.process_time()
    encode, decode = make()
    trained = time.process_time() - began
    rates = []
    size = sum(len(text.encode()) for text in held)
    for _ in range(RUNS):
        began = time.process_time()
        encoded = [encode(text) for text in held]
        rates.append(size / (time.process_time() - began) / 1e6)
    exact = sum(decode(ids) == text for ids, text in zip(encoded, held, strict=True))
    costs = [
        len(encode(f" {stem}{suffix}")) - len(encode(f" {stem}"))
        for text in held
        for stem, suffix in SUFFIXED.findall(text)
    ]
    words = Counter(word for text in held for word in WORD.findall(text))
    pieces = sum(number * len(encode(f" {word}")) for word, number in words.items()) / words.total()
    print(
        f"| {name} | {size / sum(map(len, encoded)):.3f} | {pieces:.3f} | {statistics.mean(costs):.3f} | "
        f"{100 * statistics.mean(cost <= 1 for cost in costs):.1f} % | {trained:.0f} | "
        f"{statistics.median(rates):.2f} | {exact} of {len(held)} |",
        flush=True,
    )


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder text-tr of the sample data")
    parser.add_argument("--limit-mb", type=float, default=1e9, help="train on so much of it")
    arguments = parser.parse_args()
    every, held = documents(arguments.data)
    train, size = [], 0
    for text in every:
        if size >= arguments.limit_mb * 1e6:
            break
        train.append(text)
        size += len(text.encode())
    print(f"{size / 1e6:.1f} MB to train on, {sum(len(t.encode()) for t in held) / 1e6:.2f} MB held out\n")
    print("| | bytes/token | pieces of a word | of a suffix | in one | training, s | MB/s | come back |")
    print("|---|---|---|---|---|---|---|---|")
    for algorithm in ("unigram", "bpe"):
        measure(f"derlem {algorithm}", train, held, lambda a=algorithm: derlem(train, a))  # type: ignore[misc]
        measure(f"tokenizers {algorithm}", train, held, lambda a=algorithm: hugging_face(train, a))  # type: ignore[misc]


if __name__ == "__main__":
    main()
