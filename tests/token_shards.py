"""What the trainer's tests share: small folders of token shards, written as the tokenize stage does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa

from corpus import dataset, files
from corpus.counts import Counts
from corpus.schema import TOKENS16, Kind
from corpus.tokenizer import MODEL, Tokenizer, padded
from corpus.tokenizer.lost import note
from corpus.tokenizer.train import fit

Batches = Sequence[Sequence[Sequence[int]]]
"""The batches of a shard, each its documents, each its tokens."""


NOBODYS = {"tokenizer": "ab" * 32, "vocabulary": 300, "padded_vocabulary": 384}


def write(
    folder: Path | str,
    shards: Mapping[str, Batches],
    split: str = "train",
    kind: Kind = TOKENS16,
    facts: Mapping[str, object] | None = None,
    validation: Mapping[str, Batches] | None = None,
    lost: tuple[int, int] | None = None,
    held_from: int = 0,
    model: bytes = b"",
) -> None:
    """Write finished token shards below a folder or URL, a unit each, by "LANGUAGE/SOURCE".

    `lost`: documents that do not come back and `<unk>` tokens, noted for the first unit. `held_from` is the
    first id of validation documents; ids of a batch count up from 0. `model` is written beside the shards as
    their tokenizer; without one they name a tokenizer that nobody has.
    """
    units = []
    parts = [(split, *shard) for shard in shards.items()]
    parts += [("validation", *shard) for shard in (validation or {}).items()]
    for number, (split, name, batches) in enumerate(parts):
        language, source = name.split("/")
        fingerprint = f"{number:016x}"
        path = f"{language}/{split}-{source}-{fingerprint}.arrow"
        with dataset.create(
            str(folder),
            path,
            kind,
            fingerprint,
            compression=None,
            language=language,
            split=split,
            source=source,
        ) as slot:
            for documents in batches:
                first = held_from if split == "validation" else 0
                slot.arrow.write_tokens(record_batch(documents, kind, language, source, first))
        assert slot.file is not None
        counts = Counts(seen=slot.file.rows, kept=slot.file.rows)
        if lost and not units:
            note(counts, split, language, *lost)
        units.append(
            dataset.Unit(
                name=f"{name}-{split}", fingerprint=fingerprint, inputs=(), files=(slot.file,), counts=counts
            )
        )
    known: dict[str, object] = {
        "tokenizer": "ab" * 32,
        "vocabulary": 300,
        "padded_vocabulary": 384,
        "eos": 2,
        "bos": None,
    }
    if model:
        files.write_bytes(str(folder), MODEL, model)
        known |= named(model)
    manifest = dataset.Manifest(
        stage="tokenize", version=1, settings={}, units=tuple(units), facts={**known, **(facts or {})}
    )
    dataset.save(str(folder), manifest)


def named(model: bytes) -> dict[str, object]:
    """Return what the manifest of token shards says of their tokenizer."""
    size = Tokenizer(model).vocabulary
    return {
        "tokenizer": hashlib.sha256(model).hexdigest(),
        "vocabulary": size,
        "padded_vocabulary": padded(size),
    }


def record_batch(
    documents: Sequence[Sequence[int]],
    kind: Kind = TOKENS16,
    language: str = "tur_Latn",
    source: str = "web",
    first: int = 0,
) -> pa.RecordBatch:
    """Make the record batch of some documents, whose ids count up from `first`."""
    rows = [
        {
            "tokens": list(document),
            "bytes": 3 * len(document),
            "id": f"{number:032x}",
            "language": language,
            "source": source,
            "copies": 1,
        }
        for number, document in enumerate(documents, first)
    ]
    return pa.RecordBatch.from_pylist(rows, kind.schema())


@cache
def tokenizer() -> bytes:
    """Return a small model of `derlem tokenizer train`."""
    return fit(["bir iki üç dört beş altı yedi sekiz dokuz on"] * 9, "unigram", 320)
