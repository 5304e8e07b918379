"""Texts to documents: URL rules, language, quality, personal data, hashes and signature."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus import filters, privacy, register
from corpus.config import Filter
from corpus.dedup.signature import signature
from corpus.filters import Drop, InForce
from corpus.register import Register
from corpus.text.view import TextView, view


@dataclass(slots=True)
class Document:
    """A text on its way through the filters.

    `row` has the columns that extraction wrote (`corpus.schema.EXTRACTED`). `text` is what remains of it,
    without the lines that were removed and with personal data replaced, whether it is dropped or not;
    `lines` (that filters removed or changed) and `redacted` count by rule what was done. `drop` is the first
    rule that drops it, `values` what was measured for each rule in the order of `filters.rule_names`.
    `register` is that of a text in Turkish.
    """

    row: dict[str, Any]
    text: str
    view: TextView | None = None
    values: NDArray[np.float64] | None = None
    lines: dict[str, int] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)
    drop: Drop | None = None
    signature: NDArray[np.uint32] | None = None
    register: Register | None = None

    @property
    def words(self) -> int:
        """Words of the text as it now is."""
        return (self.view or view(self.text)).words


def document_id(url: str, text: str) -> str:
    """Return the 128-bit hash of URL and text, 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(f"{url}\n{text}".encode())


def exact_hash(text: str) -> bytes:
    """Return the 128-bit hash of a text alone."""
    return xxhash.xxh3_128_digest(text.encode())


@cache
def _compile() -> None:
    """Compile what numba compiles, half a minute at worst, before any step's time is taken."""
    seen = view("Bir söz.\n\nBir söz.")
    filters.judge(seen, filters.load("fineweb"))
    signature(seen.folded, seen.word_starts, seen.word_ends)


class Filtering:
    """The filters with one configuration; `seconds` says where the time went."""

    def __init__(self, settings: Filter, in_force: InForce) -> None:
        self._settings = settings
        self._in_force = in_force
        self._steps = {
            "url": self._check_url,
            "language": self._check_language,
            "filters": self._judge,
            "privacy": self._redact,
            "register": self._tell_register,
            "signature": self._sign,
        }
        self.seconds = dict.fromkeys(self._steps, 0.0)

    def filter(self, rows: Sequence[dict[str, Any]]) -> list[Document]:
        """Take extracted texts through the steps; the result is parallel to `rows`.

        Every text takes every step but the signature, whatever drops it, so that what a limit costs can be
        told without another pass over the texts.
        """
        _compile()
        documents = [Document(row, row["text"]) for row in rows]
        for name, step in self._steps.items():
            started = time.perf_counter()
            for document in documents:
                step(document)
            self.seconds[name] += time.perf_counter() - started
        return documents

    def _check_url(self, document: Document) -> None:
        document.drop = filters.url.check(document.row["url"], self._settings)

    def _check_language(self, document: Document) -> None:
        if document.drop is None:
            code, score = document.row["language"], document.row["language_score"]
            document.drop = check_language(code, score, self._settings)

    def _judge(self, document: Document) -> None:
        row = document.row
        judged = self._in_force.judge(
            filters.Document(row["text"], row["url"], row["language"], row["source"], row["fetched"])
        )
        document.values, document.lines = judged.values, judged.lines
        document.view, document.text = judged.view, judged.view.text
        document.drop = document.drop or judged.drop

    def _redact(self, document: Document) -> None:
        redacted = privacy.redact(document.text, self._settings.privacy.redact)
        if redacted.counts:
            document.text, document.redacted = redacted.text, redacted.counts
            document.view = view(document.text)

    def _tell_register(self, document: Document) -> None:
        if document.row["language"] == register.LANGUAGE:
            document.register = register.of(document.text)

    def _sign(self, document: Document) -> None:
        if document.drop is None:
            seen = document.view or view(document.text)
            document.signature = signature(seen.folded, seen.word_starts, seen.word_ends)


def check_language(code: str, score: float, settings: Filter) -> Drop | None:
    """Drop a document in a language that is not kept, or below the score that its language needs."""
    wanted = settings.language
    least = wanted.min_scores.get(code, wanted.min_score)
    if wanted.keep != ("*",) and code not in wanted.keep:
        return Drop("language.not_kept")
    return Drop("language.score", score, least) if score < least else None
