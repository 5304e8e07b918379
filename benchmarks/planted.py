"""Corpora with planted faults, as token shards: what `derlem compare` must find (see planted_truths.py).

    python benchmarks/planted.py TEXT_TR TEXT_MULTI OUTPUT [--tokens 300000] [--vocabulary 1024]

From the human texts of the sample data: `base`; `same`, its documents in another order; `shuffled`, the words
of 30 % of its documents shuffled; `translated`, 30 % machine-translated; `copies`, half of it copies of one
document in 32; `english`, a fifth English. All have the same tokens and one tokenizer; `held` has documents
of the base's sources that no corpus has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import zstandard

from corpus import dataset
from corpus.counts import Counts
from corpus.schema import TOKENS16
from corpus.tokenizer import MODEL, Tokenizer, padded
from corpus.tokenizer.train import fit

HUMAN = ("mevzuat", "d365-docs", "powerbi-docs")
PIECE = 1_000
"""Characters of a document: law texts are long, and a corpus needs many documents to sample from."""
HELD = 240
"""Held-out documents of each source."""


def pieces(path: Path, translation: str = "HT") -> Iterator[str]:
    """Yield the texts of a file in pieces of whole words; of manuals only those of a kind of translation."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            if document.get("translation", translation) != translation or document.get("lang") == "tr-en":
                continue
            text = document["text"]
            while len(text) >= PIECE:
                end = text.find(" ", PIECE)
                if end < 0:
                    break
                yield text[:end].strip()
                text = text[end:]


def cut(texts: Sequence[str], tokens: int, pieces: Tokenizer) -> list[str]:
    """Return the first texts that together have a number of tokens."""
    kept, total = [], 0
    for text in texts:
        if total >= tokens:
            return kept
        kept.append(text)
        total += len(pieces.encode(text)) + 2
    raise SystemExit(f"the texts have {total:,} tokens, {tokens:,} are needed")


def write(folder: Path, train: dict[str, list[str]], held: dict[str, list[str]], model: bytes) -> None:
    """Write token shards of "LANGUAGE/SOURCE" texts, as the tokenize stage does."""
    tokenizer, units = Tokenizer(model), []
    parts = [("train", *each) for each in train.items()] + [("validation", *each) for each in held.items()]
    for number, (split, name, texts) in enumerate(parts):
        language, source = name.split("/")
        stamp = f"{number:016x}"
        rows = [[tokenizer.bos, *tokenizer.encode(text), tokenizer.eos] for text in texts]
        columns = {
            "tokens": rows,
            "bytes": [len(text.encode()) for text in texts],
            "id": [hashlib.md5(text.encode()).hexdigest() for text in texts],
            "language": [language] * len(texts),
            "source": [source] * len(texts),
            "copies": [1] * len(texts),
        }
        schema = TOKENS16.schema(stamp)
        named = {"language": language, "split": split, "source": source}
        path = f"{language}/{split}-{source}-{stamp}.arrow"
        with dataset.create(str(folder), path, TOKENS16, stamp, compression=None, **named) as slot:
            table = pa.table({name: pa.array(columns[name], schema.field(name).type) for name in columns})
            for batch in table.cast(schema).to_batches(max_chunksize=256):
                slot.arrow.write_tokens(batch)
        counts = Counts(seen=len(texts), kept=len(texts))
        units.append(
            dataset.Unit(
                name=f"{name}-{split}", fingerprint=stamp, inputs=(), files=(slot.file,), counts=counts
            )
        )
    size = tokenizer.vocabulary
    facts = {
        "vocabulary": size,
        "padded_vocabulary": padded(size),
        "tokenizer": tokenizer.sha256,
        "eos": tokenizer.eos,
        "bos": tokenizer.bos,
    }
    dataset.save(
        str(folder),
        dataset.Manifest(stage="tokenize", version=1, settings={}, units=tuple(units), facts=facts),
    )
    (folder / MODEL).write_bytes(model)


def main() -> None:
    """Write the corpora."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text_tr", type=Path)
    parser.add_argument("text_multi", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tokens", type=int, default=300_000)
    parser.add_argument("--vocabulary", type=int, default=1_024)
    asked = parser.parse_args()
    draw = random.Random(0)
    sources = {name: list(pieces(asked.text_tr / f"{name}.jsonl.zst")) for name in HUMAN}
    held, human = {}, []
    for name, texts in sources.items():
        draw.shuffle(texts)
        held[f"tur_Latn/{name}"] = texts[:HELD]
        human += texts[HELD:]
    draw.shuffle(human)
    model = fit(human[:1_000], "unigram", asked.vocabulary)
    tokenizer = Tokenizer(model)
    base = cut(human, asked.tokens, tokenizer)
    translated = list(pieces(asked.text_tr / "cpp-docs-mt.jsonl.zst", "MT"))
    english = [
        text for name in ("libreoffice-help-en",) for text in pieces(asked.text_multi / f"{name}.jsonl.zst")
    ]
    draw.shuffle(translated)
    draw.shuffle(english)

    def part(texts: Sequence[str], share: float) -> list[str]:
        return cut(texts, round(asked.tokens * share), tokenizer)

    def shuffled(text: str) -> str:
        words = text.split()
        draw.shuffle(words)
        return " ".join(words)

    few = base[: len(base) // 32]
    spoiled = part(base, 0.3)
    made = {
        "base": base,
        "same": base,
        "shuffled": [*map(shuffled, spoiled), *base[len(spoiled) :]],
        "translated": [*part(translated, 0.3), *part(base, 0.7)],
        "copies": [*part(base, 0.5), *part(few * 17, 0.5)],
        "english": [*part(english, 0.2), *part(base, 0.8)],
    }
    for name, texts in made.items():
        mixed = list(texts)
        draw.shuffle(mixed)
        write(asked.output / name, {"tur_Latn/text": mixed}, held, model)
        print(name, len(mixed), sum(len(tokenizer.encode(text)) for text in mixed))


if __name__ == "__main__":
    main()
