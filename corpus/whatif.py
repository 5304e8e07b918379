"""What another configuration of the filters would keep and drop, by the values that the build stored."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset, filters, furniture, parts, settings
from corpus.config import Filter
from corpus.errors import ConfigError, found_in
from corpus.filtering import Filtering
from corpus.inspect import rows
from corpus.inspect.build import Stage, open_build
from corpus.inspect.filters import Filters, of_build, own_of
from corpus.schema import EXTRACTED, MEASURED

_TEXTS = 64  # texts that are judged again at a time


@dataclass(slots=True)
class Change:
    """Documents and words of one source and language: kept by the build, and by the other configuration."""

    source: str
    language: str
    documents: int = 0
    words: int = 0
    new_documents: int = 0
    new_words: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """A document whose fate changes; a rule that is empty keeps it. `words` are those that it has if kept."""

    source: str
    language: str
    rule: str
    new_rule: str
    words: int
    url: str
    text: str


@dataclass(slots=True)
class WhatIf:
    """What the other configuration would change in the filter stage; duplicates are not looked at.

    `given_back` counts documents by the rule that dropped them and no longer would, `taken` those that are
    kept by the rule that would drop them, `still_dropped` those whose rule is another then, by both, "old →
    new". `judged_again` is how many texts had to be read for it.
    `extracted_again` is how many texts in several languages a build would cut to another part, since other
    languages are kept: they are counted with the part that is stored.
    """

    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    given_back: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    still_dropped: dict[str, int] = field(default_factory=dict)
    judged_again: int = 0
    extracted_again: int = 0
    examples: list[Moved] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "changes": [asdict(change) for change in self.changes.values()],
            "given_back": self.given_back,
            "taken": self.taken,
            "still_dropped": self.still_dropped,
            "judged_again": self.judged_again,
            "extracted_again": self.extracted_again,
            "examples": [asdict(moved) for moved in self.examples],
        }


def what_if(
    folder: str,
    overrides: Sequence[str] = (),
    *,
    section: Filter | None = None,
    base: Path | None = None,
    examples: int = 0,
    seed: int = 0,
) -> WhatIf:
    """Return what a build's filter stage would keep with another configuration.

    It is `section`, from a configuration in the folder `base`, or that of the build with `overrides`
    (`filter.KEY=VALUE`) over it, whose paths start from where the build's configuration is. Stored values
    decide; texts are judged again only if what is measured, or what is removed from the texts, would change.
    `examples` documents whose fate changes are drawn.

    Raises NotThereError where there is no finished filter stage, DatasetError where it is of an earlier
    version, ConfigError for a configuration that cannot be used.
    """
    build = open_build(folder)
    stage = build.need("filter", "know what was measured")
    home = build.need("extract", "read the texts")
    repeated = build.get("furniture")
    removed = furniture.of_units(repeated.manifest) if repeated is not None else {}
    units = {file.path: unit.fingerprint for unit in home.manifest.units for file in unit.files}
    now = of_build(stage, build.root)
    own: tuple[filters.Plugin, ...] | None = None
    told: AbstractContextManager[None] = nullcontext()  # of a section of its own, the caller knows the file
    if section is None:
        told = found_in(settings.named(folder, overrides))
        section, base = _overlaid(now.section, overrides, folder), now.base
        # Where the plugins are those of the build, their values are stored, and their code is not needed.
        own = now.in_force.plugins if own_of(section) == own_of(now.section) else None
    base = base or Path()
    with told:
        then = Filters(section, filters.in_force(section, base, now.in_force.named, own), base)
    found, drawn = WhatIf(extracted_again=_extracted_again(home, now, then)), _Draw(examples, seed)
    for unit in stage.manifest.units:
        texts = unit.inputs[0].name
        path, _ = removed.get(units.get(texts, ""), ("", ""))
        lines = furniture.read(repeated.folder, path) if repeated is not None and path else {}
        for file in (file for file in unit.files if file.kind == MEASURED.name):
            first = 0
            for batch in dataset.batches(stage.folder, file.path, _needed(stage.folder, file, now, then)):
                _compare(found, drawn, _Part(home, texts, first, batch, lines), now, then)
                first += batch.num_rows
    found.changes = dict(sorted(found.changes.items(), key=lambda item: (-item[1].words, item[0])))
    found.examples = [_example(*place) for place in drawn.places()]
    return found


def _extracted_again(home: Stage, now: Filters, then: Filters) -> int:
    """Return how many texts in several languages would be cut to another one's part."""
    before, after = (set(each.section.language.keep) - {"*"} for each in (now, then))
    followed = home.manifest.settings.get("languages") or ()  # extract.languages may name others
    if before == after or set(followed) != before:  # type: ignore[call-overload]
        return 0
    cut = home.manifest.counts().noted.get(parts.NOTED, {})
    return sum(number for note, number in cut.items() if not parts.is_same(note, after))


class _Filtered(settings.Section):
    """The tables that overrides may change."""

    filter: Filter


def _overlaid(section: Filter, overrides: Sequence[str], name: str) -> Filter:
    for override in overrides:
        if not override.startswith("filter."):
            raise ConfigError(f"--set {override}: expected a key of [filter]: filter.language.min_score=0.8")
    data = {"filter": section.model_dump(mode="json", exclude_defaults=True)}
    where = settings.named(name, overrides)
    return settings.parse(_Filtered, settings.overlay(data, overrides), where).filter


@dataclass(frozen=True, slots=True)
class _Part:
    """A record batch of measured values, the stage and file of its texts, its first row, and furniture."""

    home: Stage
    path: str
    first: int
    batch: pa.RecordBatch
    furniture: Mapping[str, Collection[int]]

    def texts(self, inside: NDArray[np.intp], columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Return columns of the texts in some rows of the batch."""
        names = EXTRACTED.schema().names if columns is None else columns
        found: list[dict[str, Any]] = rows.take(
            self.home.folder, self.path, (inside + self.first).tolist(), names
        ).to_pylist()
        for row in found if self.furniture and "text" in names else ():
            furniture.clear(row, self.furniture)
        return found


def _needed(folder: str, file: dataset.File, now: Filters, then: Filters) -> list[str]:
    """Return the columns that decide: values of rules only for languages of the file with other fates."""
    languages = pc.unique(dataset.table(folder, file.path, ["language"])["language"]).to_pylist()
    others = [each for each in languages if not now.same_fates(then, each)]
    rules = {bound.rule: None for each in others for bound in then.in_force.preset(each).bounds}
    with dataset.open_arrow(folder, file.path) as reader:
        stored = set(reader.schema.names)
    # A rule without a column is one whose texts are judged again.
    return [
        "source",
        "language",
        "language_score",
        "words",
        "rule",
        *(rule for rule in rules if rule in stored),
    ]


def _compare(found: WhatIf, drawn: _Draw, part: _Part, now: Filters, then: Filters) -> None:
    """Add what changes for the documents of one batch."""
    old, words = _Coded.of(part.batch["rule"]).values(), np.asarray(part.batch["words"], dtype=np.int64)
    new, new_words = _fates(found, part, old, words, now, then)
    kept, keeps = old == "", new == ""
    sources, languages = (_Coded.of(part.batch[name]) for name in ("source", "language"))
    groups = sources.codes * len(languages.names) + languages.codes
    numbers = len(sources.names) * len(languages.names)
    here = np.bincount(groups, minlength=numbers)
    sums = [
        np.bincount(groups[stays], counted[stays], minlength=numbers).astype(np.int64)
        for stays, counted in ((kept, np.ones_like(words)), (kept, words), (keeps, np.ones_like(words)))
    ]
    sums.append(np.bincount(groups[keeps], new_words[keeps], minlength=numbers).astype(np.int64))
    for group in np.flatnonzero(here).tolist():
        source, language = divmod(group, len(languages.names))
        key = sources.names[source], languages.names[language]
        change = found.changes.setdefault(key, Change(*key))
        change.documents += int(sums[0][group])
        change.words += int(sums[1][group])
        change.new_documents += int(sums[2][group])
        change.new_words += int(sums[3][group])
    moved = np.flatnonzero(kept != keeps)
    other = np.flatnonzero(~kept & ~keeps & (old != new))
    pairs = old[other] + " → " + new[other]
    for rules, rule in (
        (found.given_back, old[moved]),
        (found.taken, new[moved]),
        (found.still_dropped, pairs),
    ):
        for name, number in zip(*np.unique(rule[rule != ""], return_counts=True), strict=True):
            rules[str(name)] = rules.get(str(name), 0) + int(number)
    drawn.add((part, int(row), str(old[row]), str(new[row]), int(new_words[row])) for row in moved)


def _fates(
    found: WhatIf,
    part: _Part,
    old: NDArray[np.object_],
    words: NDArray[np.int64],
    now: Filters,
    then: Filters,
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return the rule that would drop each document, empty for none, and the words that it would have."""
    new, new_words = old.copy(), words.copy()
    again = np.full(old.size, now.section.privacy != then.section.privacy or now.plugins != then.plugins)
    languages, scores = _Coded.of(part.batch["language"]), np.asarray(part.batch["language_score"])
    for code, language in enumerate(languages.names):
        if now.same_fates(then, language):
            continue
        inside = np.flatnonzero(languages.codes == code)
        before, after = now.in_force.preset(language), then.in_force.preset(language)
        stored = set(part.batch.schema.names)
        if not filters.same_values(before, after) or any(each.rule not in stored for each in after.bounds):
            again[inside] = True
            continue
        rows = part.batch.take(pa.array(inside))
        columns = {bound.rule: rows[bound.rule] for bound in after.bounds}
        columns[""] = rows["words"]  # of a preset without limits the number of rows
        rule = np.array([*filters.rule_names(after), ""], dtype=object)[
            filters.decide_columns(columns, after)
        ]
        by_language = then.fates(language, scores[inside])
        new[inside] = np.where(by_language == "", rule, by_language)
    by_url = np.isin(old, [rule for rule in set(old) if rule.startswith("url.")])
    if now.urls == then.urls:
        new[by_url] = old[by_url]
    elif then.urls != ((), ()):
        _check_urls(part, new, then.section)
    _judge_again(found, part, np.flatnonzero(again), then, new, new_words)
    return new, new_words


def _check_urls(part: _Part, new: NDArray[np.object_], section: Filter) -> None:
    everywhere = np.arange(part.batch.num_rows)
    for row, text in enumerate(part.texts(everywhere, ["url"])):
        if drop := filters.url.check(text["url"], section):
            new[row] = drop.rule


def _judge_again(
    found: WhatIf,
    part: _Part,
    inside: NDArray[np.intp],
    then: Filters,
    new: NDArray[np.object_],
    new_words: NDArray[np.int64],
) -> None:
    """Take texts through the filters of the other configuration."""
    if not inside.size:
        return
    filtering = Filtering(then.section, then.with_code())
    texts = part.texts(inside)
    for first in range(0, inside.size, _TEXTS):
        documents = filtering.filter(texts[first : first + _TEXTS])
        for row, document in zip(inside[first : first + _TEXTS], documents, strict=True):
            new[row] = document.drop.rule if document.drop else ""
            new_words[row] = document.words
    found.judged_again += int(inside.size)


@dataclass(frozen=True, slots=True)
class _Coded:
    """A column of texts as numbers, and the text of each."""

    codes: NDArray[np.int64]
    names: list[str]

    @staticmethod
    def of(column: pa.Array) -> _Coded:
        coded = column.dictionary_encode()
        return _Coded(np.asarray(coded.indices, dtype=np.int64), coded.dictionary.to_pylist())

    def values(self) -> NDArray[np.object_]:
        """Return the column itself."""
        return np.array([*self.names, ""], dtype=object)[self.codes]


_Place = tuple[_Part, int, str, str, int]


class _Draw:
    """Draws a number of places at random from a stream, each with the same chance."""

    def __init__(self, number: int, seed: int) -> None:
        self._number = number
        self._random = random.Random(seed)
        self._drawn: list[tuple[float, _Place]] = []

    def add(self, places: Iterable[_Place]) -> None:
        """Add places of the stream."""
        if not self._number:
            return
        self._drawn += [(self._random.random(), place) for place in places]
        self._drawn = sorted(self._drawn, key=lambda pair: pair[0])[: self._number]

    def places(self) -> list[_Place]:
        """Return those that were drawn, in the order of the draw."""
        return [place for _, place in self._drawn]


def _example(part: _Part, row: int, rule: str, new_rule: str, words: int) -> Moved:
    (text,) = part.texts(np.array([row]), ["source", "language", "url", "text", "bytes"])
    return Moved(text["source"], text["language"], rule, new_rule, words, text["url"], text["text"])
