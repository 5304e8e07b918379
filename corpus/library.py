"""The functions that a notebook imports, each of one stage's work (docs/library.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus import config as configuration
from corpus import filters, privacy
from corpus.dedup import signature as minhash
from corpus.errors import found_in
from corpus.filters import Drop, InForce, Preset
from corpus.inspect.build import Build
from corpus.inspect.build import open_build as _open_build
from corpus.language import Language
from corpus.language import identify as _identify
from corpus.privacy import KINDS, Redacted
from corpus.text import charset, html, repair
from corpus.text.view import view


def extract(page: str | bytes, label: str | None = None) -> str:
    """Return the main text of an HTML page, repaired; empty where it has none.

    `page` is text, or bytes whose encoding is found as for a crawl: `label` is the charset that the server
    named, if it did. Raises `corpus.text.html.ExtractionError` where no text can be extracted.
    """
    text = page if isinstance(page, str) else charset.decode(page, label, html=True).text
    return repair.repair(html.extract(text)).text.strip()


def identify(text: str, model: str = "") -> Language:
    """Return the language of a text and how sure the identification is, as `tur_Latn` and 0 to 1.

    `model` is the path of a fastText model other than the packaged one.
    """
    return _identify(text, model)


@dataclass(frozen=True, slots=True)
class RuleValue:
    """What a rule measured in a text, None if nothing, and its limits: outside of `min` to `max` it drops.

    A rule without limits is off. A plugin that returns a verdict has 1 where it drops, and `max` 0.
    """

    rule: str
    value: float | None
    min: float | None
    max: float | None

    @property
    def drops(self) -> bool:
        """Whether the text breaks this rule."""
        value = self.value
        return value is not None and (
            (self.min is not None and value < self.min) or (self.max is not None and value > self.max)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filters decide about a text.

    `rule` is the first rule that drops it and `reason` says why; both are empty where the text is kept.
    `rules` has all rules in the order in which they are tried. `text` is what remains, without the lines that
    were removed, which `lines` counts by key.
    """

    kept: bool
    rule: str
    reason: str
    rules: tuple[RuleValue, ...]
    text: str
    lines: dict[str, int]


def judge(text: str, language: str = "tur_Latn", config: str = "") -> Verdict:
    """Return the value of every filter rule for a text, its limit in that language, and what they decide.

    The limits are those of the packaged preset, or of the corpus configuration in the file `config`, with its
    own limits and plugins. Language and URL are not judged. Raises `corpus.errors.ConfigError` where the
    configuration cannot be used.
    """
    in_force = _in_force(config) if config else _packaged()
    preset = in_force.preset(language)
    found = in_force.judge(filters.Document(text, language=language))
    drop = found.drop
    return Verdict(
        kept=drop is None,
        rule=drop.rule if drop else "",
        reason=_reason(drop) if drop else "",
        rules=rule_values(found.values.tolist(), preset),
        text=found.view.text,
        lines=found.lines,
    )


def rule_values(values: Sequence[float], preset: Preset) -> tuple[RuleValue, ...]:
    """Return the rules of a preset with what they measured in a text (nan for nothing) and their limits."""
    bounds = {bound.rule: bound for bound in preset.bounds}
    rules = []
    for name, value in zip(filters.rule_names(preset), values, strict=True):
        limits = (bounds[name].low, bounds[name].high) if name in bounds else (-math.inf, math.inf)
        low, high = (None if math.isinf(limit) else limit for limit in limits)
        rules.append(RuleValue(name, None if math.isnan(value) else value, low, high))
    return tuple(rules)


def _reason(drop: Drop) -> str:
    if drop.value is None or drop.limit is None:
        return f"{drop.rule}: {drop.reason or 'the filter drops it'}"
    side = "below" if drop.value < drop.limit else "above"
    return f"{drop.rule}: {drop.value:.4g} is {side} the limit {drop.limit:.4g}"


def _in_force(config: str) -> InForce:
    path = Path(config)
    section = configuration.load(path).filter
    with found_in(config):
        return filters.in_force(section, path.resolve().parent)


@cache
def _packaged() -> InForce:
    return filters.in_force(configuration.Filter(), Path())


def redact(text: str, kinds: tuple[str, ...] = KINDS) -> Redacted:
    """Return the text with personal data replaced by placeholders, and how many pieces of each kind.

    Raises ValueError for a kind that is not one of `corpus.privacy.KINDS`.
    """
    return privacy.redact(text, kinds)


def signature(text: str) -> NDArray[np.uint32]:
    """Return the MinHash signature of a text's 5-word shingles, uint32[112], as datasketch has it.

    The share of equal values of two signatures estimates the Jaccard similarity of their shingles.
    """
    seen = view(text)
    return minhash.signature(seen.folded, seen.word_starts, seen.word_ends)


def open_build(folder: str) -> Build:
    """Open the output folder of a build; `table(kind)` and `batches(kind)` return its rows as Arrow.

    Raises `corpus.errors.NotThereError` where the folder holds no finished stage.
    """
    return _open_build(folder)
