"""Raw documents through all cleaning steps in order: each stays, or a rule drops it, or it is rejected."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus import filters, language, privacy
from corpus.config import Clean
from corpus.dedup.signature import signature
from corpus.filters import Drop, gopher
from corpus.sources import RawDocument
from corpus.text import charset, html, repair
from corpus.text.view import TextView, view


@dataclass(frozen=True, slots=True)
class Overtime:
    """A record that took more processor time than it may, and the step that it was given up after."""

    step: str
    seconds: float
    limit: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s of processor time by the end of step {self.step!r}, "
            f"clean.record_timeout_s allows {self.limit:g}"
        )


@dataclass(slots=True)
class Document:
    """A document on its way through the steps, filled as far as it came.

    `repaired`, `lines` (that filters took out or changed) and `redacted` count by rule what was done to its
    text; `drop` says what dropped it, `failure` why no text could be got from it. `processor_s` is what its
    steps took of this thread's processor time.
    """

    raw: RawDocument
    text: str = ""
    encoding: str = "utf-8"
    language: str = ""
    language_score: float = 0.0
    repaired: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)
    view: TextView | None = None
    signature: NDArray[np.uint32] | None = None
    drop: Drop | None = None
    failure: html.ExtractionError | Overtime | None = None
    processor_s: float = 0.0

    @property
    def id(self) -> str:
        """128-bit hash of URL and text."""
        return xxhash.xxh3_128_hexdigest(f"{self.raw.url}\n{self.text}".encode())

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
    """Compile what numba compiles, half a minute at worst, before any record's time is taken."""
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


class Cleaner:
    """The cleaning steps with one configuration; `seconds` says where the time went."""

    def __init__(self, settings: Clean) -> None:
        self._settings = settings
        self._presets = {code: filters.load(name) for code, name in settings.filters.presets.items()}
        self._default = filters.load(settings.filters.default)
        self._steps = {
            "charset": self._decode,
            "html": self._extract,
            "repair": self._repair,
            "language": self._identify,
            "filters": self._filter,
            "privacy": self._redact,
            "signature": self._sign,
        }
        self.seconds = dict.fromkeys(self._steps, 0.0)

    def clean(self, raws: Sequence[RawDocument]) -> list[Document]:
        """Take raw documents through the steps; the result is parallel to `raws`.

        Step by step over all of them, not document by document: a step's tables and models stay in the
        processor's cache, which halves the time of language identification.
        """
        _compile()
        documents = [Document(raw) for raw in raws]
        going = documents
        for name, step in self._steps.items():
            started = time.perf_counter()
            for document in going:
                self._within_limit(name, step, document)
            going = [document for document in going if not document.drop and not document.failure]
            self.seconds[name] += time.perf_counter() - started
        return documents

    def _within_limit(self, name: str, step: Callable[[Document], None], document: Document) -> None:
        """Take one step, and give the record up where its steps took too long together.

        A step cannot be stopped on its way: regular expressions and native code hold the interpreter, and
        Beam runs this in a thread that gets no signals. That each step ends soon is for the growth tests to
        prove; only extraction, whose time can grow with the square, runs in a process that is killed.
        """
        started = time.thread_time()
        step(document)
        document.processor_s += time.thread_time() - started
        limit = self._settings.record_timeout_s
        if document.processor_s > limit and not document.failure:
            document.failure = Overtime(name, document.processor_s, limit)

    def _decode(self, document: Document) -> None:
        raw = document.raw
        if isinstance(raw.content, str):
            document.text = raw.content
        else:
            decoded = charset.decode(raw.content, raw.charset, html=raw.media == "html")
            document.text, document.encoding = decoded.text, decoded.encoding

    def _extract(self, document: Document) -> None:
        if document.raw.media != "html":
            return
        settings = self._settings
        try:
            document.text = html.extract(document.text, settings.extractor, settings.extractor_timeout_s)
        except html.ExtractionError as error:
            document.failure = error

    def _repair(self, document: Document) -> None:
        mended = repair.repair(document.text)
        document.text, document.repaired = mended.text.strip(), mended.counts
        if not document.text:
            document.drop = Drop("text.empty", 0, 1)

    def _identify(self, document: Document) -> None:
        wanted = self._settings.language
        found = language.identify(document.text, wanted.model)
        document.language, document.language_score = found.code, found.score
        least = wanted.min_scores.get(found.code, wanted.min_score)
        if wanted.keep != ("*",) and found.code not in wanted.keep:
            document.drop = Drop("language.not_kept")
        elif found.score < least:
            document.drop = Drop("language.score", found.score, least)

    def _filter(self, document: Document) -> None:
        document.drop = filters.url.check(document.raw.url, self._settings.filters)
        if document.drop is not None:
            return
        preset = self._presets.get(document.language, self._default)
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
