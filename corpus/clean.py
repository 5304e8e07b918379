"""One raw document through all cleaning steps in order: it stays, or a rule drops it, or it is rejected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus import filters, language, privacy
from corpus.config import Clean
from corpus.dedup.signature import signature
from corpus.filters import Drop
from corpus.sources import RawDocument
from corpus.text import charset, html, repair
from corpus.text.view import view


@dataclass(slots=True)
class Document:
    """A document on its way through the steps, filled as far as it came."""

    raw: RawDocument
    text: str = ""
    encoding: str = ""
    language: str = ""
    language_score: float = 0.0
    words: int = 0
    redacted: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    signature: NDArray[np.uint32] | None = None

    @property
    def id(self) -> str:
        """128-bit hash of URL and text."""
        return xxhash.xxh3_128_hexdigest(f"{self.raw.url}\n{self.text}".encode())

    @property
    def exact(self) -> bytes:
        """128-bit hash of the text alone."""
        return xxhash.xxh3_128_digest(self.text.encode())


class UnreadableError(ValueError):
    """A record that no text can be got from; `cause` is a short stable name."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class Cleaner:
    """The cleaning steps with one configuration; `seconds` says where the time went."""

    def __init__(self, settings: Clean) -> None:
        self._settings = settings
        self._presets = {code: filters.load(name) for code, name in settings.filters.presets.items()}
        self._default = filters.load(settings.filters.default)
        self.seconds: dict[str, float] = {}

    def clean(self, raw: RawDocument) -> tuple[Document, Drop | None]:
        """Take one raw document through the steps.

        Gives the document as far as it came, and what dropped it, if anything did. Raises UnreadableError
        where the extractor fails on a page.
        """
        document = Document(raw)
        drop = self._steps(document)
        if drop is not None and not document.words:
            document.words = view(document.text).words
        return document, drop

    def _steps(self, document: Document) -> Drop | None:
        raw = document.raw
        with self._timed("charset"):
            text = self._decoded(document)
        if raw.media == "html":
            with self._timed("html"):
                try:
                    text = html.extract(text, self._settings.extractor, self._settings.extractor_timeout_s)
                except html.ExtractionError as error:
                    raise UnreadableError(f"extractor-{error.cause}", raw.url) from error
        with self._timed("repair"):
            mended = repair.repair(text)
            document.text, document.repaired = mended.text, mended.counts
        if not document.text:
            return Drop("text.empty", 0, 1)
        if blocked := filters.url.check(raw.url, self._settings.filters):
            return blocked
        with self._timed("language"):
            if foreign := self._language(document):
                return foreign
        with self._timed("filters"):
            seen = view(document.text)
            document.words = seen.words
            result = filters.apply(seen, self._presets.get(document.language, self._default))
            if isinstance(result, Drop):
                return result
            document.text, document.words = result.text, result.words
        with self._timed("privacy"):
            redacted = privacy.redact(document.text, self._settings.privacy.redact)
            document.redacted = redacted.counts
        with self._timed("signature"):
            if redacted.counts:
                document.text = redacted.text
                result = view(document.text)
                document.words = result.words
            document.signature = signature(result.folded, result.word_starts, result.word_ends)
        return None

    def _decoded(self, document: Document) -> str:
        raw = document.raw
        if isinstance(raw.content, str):
            document.encoding = "utf-8"
            return raw.content
        decoded = charset.decode(raw.content, raw.charset, html=raw.media == "html")
        document.encoding = decoded.encoding
        return decoded.text

    def _language(self, document: Document) -> Drop | None:
        wanted = self._settings.language
        found = language.identify(document.text, wanted.model)
        document.language, document.language_score = found.code, found.score
        least = wanted.min_scores.get(found.code, wanted.min_score)
        if wanted.keep != ("*",) and found.code not in wanted.keep:
            return Drop("language.not_kept", found.score, least)
        if found.score < least:
            return Drop("language.score", found.score, least)
        return None

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started

