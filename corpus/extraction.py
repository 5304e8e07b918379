"""Raw records to texts: URL rules, charset, HTML to text, repair, language."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from corpus import language, parts
from corpus.config import Extract
from corpus.filters import Drop, url
from corpus.items import RawDocument
from corpus.text import charset, html, repair
from corpus.text.maintext.kinds import UNKNOWN, Kind


@dataclass(frozen=True, slots=True)
class Overtime:
    """A record that took more processor time than it may, and the step that it was given up after."""

    step: str
    seconds: float
    limit: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s of processor time by the end of step {self.step!r}, "
            f"extract.record_timeout_s allows {self.limit:g}"
        )


@dataclass(slots=True)
class Extracted:
    """A record on its way to a text, filled as far as it came.

    `repaired` counts by rule what was repaired; `drop` is the rule that dropped it, `failure` why no text
    could be extracted from it. `languages` has the shares of a text in several ones, whose score is
    `most_score` at most; `large` are those whose part could be kept, of a text that was cut. `processor_s` is
    what its steps took of this thread's processor time.
    """

    raw: RawDocument
    text: str = ""
    encoding: str = "utf-8"
    kind: Kind = UNKNOWN
    language: str = ""
    language_score: float = 0.0
    languages: str = ""
    large: tuple[str, ...] = ()
    most_score: float = 1.0
    repaired: dict[str, int] = field(default_factory=dict)
    drop: Drop | None = None
    failure: html.ExtractionError | Overtime | None = None
    processor_s: float = 0.0


@cache
def _compile() -> None:
    """Compile what pages need, most of a minute at worst, before any record's time is taken."""
    html.extract("<p>Bir söz.</p>")


@cache
def _prepare(model: str) -> None:
    """Read the model of languages and compile what asks it, before the time of that step is taken."""
    language.identify_each(["Bir söz."], model)


class Extractor:
    """The steps of extraction with one configuration; `seconds` says where the time went."""

    def __init__(self, settings: Extract) -> None:
        self._settings = settings
        self._steps = {
            "url": self._check_url,
            "charset": self._decode,
            "html": self._extract,
            "repair": self._repair,
        }
        self.seconds = dict.fromkeys((*self._steps, "language"), 0.0)

    def extract(self, raws: Sequence[RawDocument]) -> list[Extracted]:
        """Take records through the steps; the result is parallel to `raws`.

        Step by step over all of them, not record by record: a step's tables and models stay in the
        processor's cache. Identification reads so little of a text that no limit is needed.
        """
        if any(raw.media == "html" for raw in raws):
            _compile()
        _prepare(self._settings.language_model)
        records = [Extracted(raw) for raw in raws]
        going = records
        for name, step in self._steps.items():
            started = time.perf_counter()
            for record in going:
                self._within_limit(name, step, record)
            going = [record for record in going if not record.drop and not record.failure]
            self.seconds[name] += time.perf_counter() - started
        started = time.perf_counter()
        if self._settings.separate_languages:
            for record in going:
                self._separate(record)
        found = language.identify_each([record.text for record in going], self._settings.language_model)
        for record, (code, score) in zip(going, found, strict=True):
            record.language, record.language_score = code, min(score, record.most_score)
        self.seconds["language"] += time.perf_counter() - started
        return records

    def _within_limit(self, name: str, step: Callable[[Extracted], None], record: Extracted) -> None:
        """Take one step, and give the record up where its steps took too long together.

        A step cannot be stopped on its way: regular expressions and native code hold the interpreter, and
        Beam runs this in a thread that gets no signals. That each step ends soon is for the growth tests to
        prove; only Trafilatura, whose time can grow with the square, runs in a process that is killed.
        """
        started = time.thread_time()
        step(record)
        record.processor_s += time.thread_time() - started
        limit = self._settings.record_timeout_s
        if record.processor_s > limit and not record.failure:
            record.failure = Overtime(name, record.processor_s, limit)

    def _check_url(self, record: Extracted) -> None:
        record.drop = url.check(record.raw.url, self._settings)

    def _decode(self, record: Extracted) -> None:
        raw = record.raw
        if isinstance(raw.content, str):
            record.text = raw.content
        else:
            decoded = charset.decode(raw.content, raw.charset, html=raw.media == "html")
            record.text, record.encoding = decoded.text, decoded.encoding

    def _extract(self, record: Extracted) -> None:
        if record.raw.media != "html":
            return
        settings = self._settings
        try:
            record.text, record.kind = html.read(
                record.text, settings.extractor, settings.extractor_timeout_s
            )
        except html.ExtractionError as error:
            record.failure = error

    def _repair(self, record: Extracted) -> None:
        done = repair.repair(record.text)
        record.text, record.repaired = done.text.strip(), done.counts
        if not record.text:
            record.drop = Drop("text.empty", 0, 1)

    def _separate(self, record: Extracted) -> None:
        settings = self._settings
        found = parts.separate(record.text, settings.language_model, settings.languages or ())
        record.text, record.languages, record.large = found.text, parts.written(found.shares), found.large
        if not found.separable:
            record.most_score = found.shares[0][1]
