"""Token shards for a person: rows as text again, and the tokens of each language and source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus import chain, dataset, files, tokenizer
from corpus.errors import DatasetError
from corpus.inspect.build import Stage
from corpus.inspect.rows import Condition
from corpus.tokenizer import MODEL, Tokenizer

KINDS = tuple(chain.find("tokenize").files)


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """The documents of one language, source and split; `repeats` is how often to read them, 0: not said."""

    language: str
    source: str
    split: str
    repeats: int
    documents: int = 0
    tokens: int = 0
    bytes: int = 0


def model(stage: Stage) -> Tokenizer:
    """Load the tokenizer that a stage's tokens were made with; DatasetError if the model there is another."""
    url = files.join(stage.folder, MODEL)
    if files.size("", url) is None:
        raise DatasetError(f"{url} is missing: run `derlem tokenize` again, which puts it back")
    opened = tokenizer.load(url)
    if opened.sha256 != stage.manifest.facts.get("tokenizer"):
        raise DatasetError(f"{url} is not the model that made these tokens: run `derlem tokenize` again")
    return opened


def holds(pieces: Tokenizer, pattern: str) -> Condition:
    """Make the condition that a row's text, decoded, has a match of an RE2 pattern."""

    def test(column: Any) -> Any:
        texts = [pieces.decode(ids) for ids in column.to_pylist()]
        return pc.match_substring_regex(pa.array(texts, pa.string()), pattern)

    return Condition("tokens", test)


def readable(values: dict[str, Any], pieces: Tokenizer, ids: bool) -> dict[str, Any]:
    """Return a row with its number of `tokens` and its text, and with `ids` and `pieces` where asked for."""
    row: list[int] = values["tokens"]
    shown = {**values, "tokens": len(row), "text": pieces.decode(row)}
    return shown | {"ids": row, "pieces": [pieces.piece(id) for id in row]} if ids else shown


def totals(stage: Stage) -> tuple[TokenTotals, ...]:
    """Count documents, tokens and bytes of text, most tokens first; reads one narrow column."""
    found: dict[tuple[str, str, str, int], TokenTotals] = {}
    for file in _files(stage):
        key = file.language, file.source, file.split, file.repeats
        before = found.get(key, TokenTotals(*key))
        read = dataset.batches(stage.folder, file.path, ["bytes"])
        found[key] = replace(
            before,
            documents=before.documents + file.rows,
            tokens=before.tokens + (sum(file.batches.tokens) if file.batches is not None else 0),
            bytes=before.bytes + sum(pc.sum(batch["bytes"]).as_py() for batch in read),
        )
    return tuple(sorted(found.values(), key=lambda total: -total.tokens))


def _files(stage: Stage) -> Sequence[dataset.File]:
    return [file for kind in KINDS for file in stage.manifest.files(kind)]
