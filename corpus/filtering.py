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

from corpus import filters, privacy
from corpus.config import Filter
from corpus.dedup.signature import signature
from corpus.filters import Drop, gopher
from corpus.text.view import TextView, view


@dataclass(slots=True)
class Document:
    """A document on its way through the filters.

    `row` has the columns that extraction wrote (`corpus.schema.EXTRACTED`). `lines` (that filters removed or
    changed) and `redacted` count by rule what was done to its text; `drop` is the first rule that dropped it.
    """

    row: dict[str, Any]
    text: str
    lines: dict[str, int] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)
    view: TextView | None = None
    signature: NDArray[np.uint32] | None = None
    drop: Drop | None = None

    @property
    def id(self) -> str:
        """128-bit hash of URL and text."""
        return xxhash.xxh3_128_hexdigest(f"{self.row['url']}\n{self.text}".encode())

    @property
    def exact(self) -> bytes:
        """128-bit hash of the text alone."""
        return xxhash.xxh3_128_digest(self.text.encode())

    @property
    def words(self) -> int:
        """Words of the text as it now is."""
        return (self.view or view(self.text)).words


@cache
def _compile() -> None:
    """Compile what numba compiles, half a minute at worst, before any step's time is taken."""
    seen = view("Bir söz.\n\nBir söz.")
    gopher.quality(seen, gopher.Quality(stop_words=("bir",)))
    gopher.repetition(
        seen,
        gopher.Repetition(
            max_duplicate_paragraphs=1.0,
            max_top_ngram_chars=((2, 1.0),),
            max_duplicate_ngram_chars=((5, 1.0),),
        ),
    )
    signature(seen.folded, seen.word_starts, seen.word_ends)


class Filtering:
    """The filters with one configuration; `seconds` says where the time went."""

    def __init__(self, settings: Filter) -> None:
        self._settings = settings
        self._presets = {code: filters.load(name) for code, name in settings.presets.items()}
        self._default = filters.load(settings.default)
        self._steps = {
            "url": self._check_url,
            "language": self._check_language,
            "filters": self._judge,
            "privacy": self._redact,
            "signature": self._sign,
        }
        self.seconds = dict.fromkeys(self._steps, 0.0)

    def filter(self, rows: Sequence[dict[str, Any]]) -> list[Document]:
        """Take extracted texts through the steps; the result is parallel to `rows`."""
        _compile()
        documents = [Document(row, row["text"]) for row in rows]
        going = documents
        for name, step in self._steps.items():
            started = time.perf_counter()
            for document in going:
                step(document)
            going = [document for document in going if not document.drop]
            self.seconds[name] += time.perf_counter() - started
        return documents

    def _check_url(self, document: Document) -> None:
        document.drop = filters.url.check(document.row["url"], self._settings)

    def _check_language(self, document: Document) -> None:
        wanted = self._settings.language
        code, score = document.row["language"], document.row["language_score"]
        least = wanted.min_scores.get(code, wanted.min_score)
        if wanted.keep != ("*",) and code not in wanted.keep:
            document.drop = Drop("language.not_kept")
        elif score < least:
            document.drop = Drop("language.score", score, least)

    def _judge(self, document: Document) -> None:
        preset = self._presets.get(document.row["language"], self._default)
        document.view = view(document.text)
        result = filters.apply(document.view, preset)
        if isinstance(result, Drop):
            document.drop = result
        else:
            document.view, document.lines = result
            document.text = document.view.text

    def _redact(self, document: Document) -> None:
        redacted = privacy.redact(document.text, self._settings.privacy.redact)
        if redacted.counts:
            document.text, document.redacted = redacted.text, redacted.counts
            document.view = view(document.text)

    def _sign(self, document: Document) -> None:
        seen = document.view or view(document.text)
        document.signature = signature(seen.folded, seen.word_starts, seen.word_ends)
