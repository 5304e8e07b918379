"""The dataset card of a finished corpus: what it is made of, every limit in force, and what is not known."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from corpus import dataset
from corpus.config import Config, Dedupe
from corpus.errors import NotThereError
from corpus.inspect.build import Build, open_build
from corpus.inspect.filters import of_build
from corpus.inspect.funnel import Funnel, funnel
from corpus.inspect.overview import LanguageTotals, overview

UNKNOWN = "not stated"
_LICENCES = 5  # of documents, named for a source
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(slots=True)
class SourceFacts:
    """One source: its licence by the configuration, its documents, and the licences that they carry."""

    name: str
    licence: str = ""
    documents: int = 0
    words: int = 0
    bytes: int = 0
    licences: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force for the texts of a language."""

    language: str
    preset: str
    rules: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Card:
    """All that the card says."""

    name: str
    languages: tuple[LanguageTotals, ...]
    sources: list[SourceFacts]
    limits: list[Limits]
    settings: dict[str, str]  # other settings in force, by their keys
    funnel: Funnel
    personal: dict[str, int]  # pieces of personal data replaced, by kind
    columns: list[tuple[str, str, str]]  # name, type, meaning
    shards: list[dataset.File]
    gaps: list[str]

    @property
    def documents(self) -> int:
        return sum(each.documents for each in self.languages)


def card(root: str, name: str, config: Config | None = None) -> Card:
    """Gather the facts of a build with shards; `config` is the configuration that it was made with.

    Raises NotThereError where there are no shards.
    """
    build = open_build(root)
    shards = build.need("shard", "describe the corpus").manifest.files("shard")
    if not shards:
        raise NotThereError(f"{root} has no documents in shards, so there is nothing to describe")
    seen = overview(root)
    sources, columns = _sources(build, config)
    limits, settings = _limits(build)
    personal = dict(sorted(seen.noted.get("redacted", {}).items()))
    found = Card(
        name, seen.languages, sources, limits, settings, funnel(build), personal, columns, shards, []
    )
    found.gaps.extend(_gaps(found, build))
    return found


def _sources(build: Build, config: Config | None) -> tuple[list[SourceFacts], list[tuple[str, str, str]]]:
    """Return the facts of each source, and the columns of the shards."""
    stated = {source.name: source.licence for source in config.source} if config else {}
    found: dict[str, SourceFacts] = {}
    stage = build.need("shard", "describe the corpus")
    schema: pa.Schema | None = None
    for file in stage.manifest.files("shard"):
        with dataset.open_arrow(stage.folder, file.path) as reader:
            schema = reader.schema
        for batch in dataset.batches(stage.folder, file.path, ["source", "licence", "words", "bytes"]):
            sums = pa.Table.from_batches([batch]).group_by(["source", "licence"])
            for row in sums.aggregate([([], "count_all"), ("words", "sum"), ("bytes", "sum")]).to_pylist():
                facts = found.setdefault(
                    row["source"], SourceFacts(row["source"], stated.get(row["source"], ""))
                )
                facts.documents += row["count_all"]
                facts.words += row["words_sum"]
                facts.bytes += row["bytes_sum"]
                facts.licences[row["licence"] or ""] += row["count_all"]
    assert schema is not None
    columns = [
        (each.name, str(each.type), (each.metadata or {}).get(b"meaning", b"").decode()) for each in schema
    ]
    return sorted(found.values(), key=lambda each: (-each.bytes, each.name)), columns


def _limits(build: Build) -> tuple[list[Limits], dict[str, str]]:
    """Return the limits of each language, and the other settings that decide what is kept."""
    stage = build.need("filter", "tell the limits in force")
    filters = of_build(stage, build.root)
    section, in_force = filters.section, filters.in_force
    presets = {**in_force.presets, "any other language": in_force.default}
    found = []
    for language, preset in presets.items():
        rules = [(bound.rule, _between(bound.low, bound.high, bound.is_verdict)) for bound in preset.bounds]
        found.append(Limits(language, section.presets.get(language, section.default), rules))
    dedupe = Dedupe()
    if (made := build.get("dedupe")) is not None:
        given = {key: value for key, value in made.manifest.settings.items() if key in Dedupe.model_fields}
        dedupe = Dedupe.model_validate(given)
    settings = {
        "filter.language.keep": ", ".join(section.language.keep),
        "filter.language.min_score": f"{section.language.min_score:g}",
        **{
            f"filter.language.min_scores.{code}": f"{score:g}"
            for code, score in section.language.min_scores.items()
        },
        "filter.blocked_hosts": f"{len(section.blocked_hosts):,}",
        "filter.blocked_url_words": f"{len(section.blocked_url_words):,}",
        "filter.privacy.redact": ", ".join(section.privacy.redact) or "nothing",
        "filter.contamination": ", ".join(section.contamination) or "no evaluation set",
        "filter.harm": ", ".join(section.harm) or "no list of words",
        "dedupe.threshold": f"{dedupe.threshold:g}",
        "dedupe.urls": "texts of one URL compared" if dedupe.urls else "off",
        "dedupe.substrings.length": f"{dedupe.substrings.length:,} bytes"
        if dedupe.substrings.length
        else "off",
        "dedupe.paragraphs.most": f"{dedupe.paragraphs.most:,} {dedupe.paragraphs.count}"
        if dedupe.paragraphs.most
        else "off",
    }
    return found, settings


def _between(low: float, high: float, is_verdict: bool) -> str:
    if is_verdict:
        return "drops by its own verdict"
    words = []
    if not math.isinf(low):
        words.append(f"at least {low:g}")
    if not math.isinf(high):
        words.append(f"at most {high:g}")
    return ", ".join(words)


def _gaps(found: Card, build: Build) -> Iterator[str]:
    """Yield what is not known or not done, as far as the build itself says so."""
    unstated = [each.name for each in found.sources if not each.licence]
    if unstated:
        yield f"No licence is stated for the sources {', '.join(unstated)}; rights remain with the authors."
    if found.settings["filter.contamination"].startswith("no "):
        yield "No evaluation set was looked for: the texts of tests may be in the corpus."
    kinds = found.settings["filter.privacy.redact"]
    yield (
        f"Personal data of the kinds {kinds} are replaced where a pattern finds them. Names, addresses of "
        "homes and what a story tells of a person are not looked for."
    )
    if found.settings["filter.harm"].startswith("no "):
        yield "No list of harmful words was used: insults and hate may be in the corpus."
    dedupe = build.get("dedupe")
    facts = dedupe.manifest.facts if dedupe is not None else {}
    for key, words in (
        ("documents_not_compared", "documents of crowded buckets were not compared with all others"),
        ("documents_not_settled", "kept documents may be copies of each other"),
    ):
        number = facts.get(key)
        if isinstance(number, int) and number:
            yield f"{number:,} {words}."
    rejected = sum(
        loss.documents for step in found.funnel.steps if step.verb == "rejected" for loss in step.losses
    )
    if rejected:
        yield f"{rejected:,} records could not be read and are not in the corpus."
    yield "Languages are identified by a model; its mistakes are among the documents of every language."


def readme(found: Card) -> str:
    """Return the card as README.md: front matter as the Hugging Face Hub reads it, then tables."""
    lines = ["---", *_front(found), "---", "", f"# {found.name}", ""]
    words = sum(each.words for each in found.languages)
    size = sum(each.bytes for each in found.languages)
    lines += [
        f"{found.documents:,} documents, {words:,} words, {size:,} bytes of text in {len(found.shards):,} "
        "Arrow files, made by derlem. Every number below was counted in this corpus.",
        "",
        "## Languages",
        "",
        *_table(
            ("language", "documents", "words", "bytes", "train", "validation"),
            (
                (each.language, each.documents, each.words, each.bytes, each.train, each.validation)
                for each in found.languages
            ),
        ),
        "## Sources and licences",
        "",
        *_table(
            ("source", "licence of the source", "documents", "words", "bytes", "licences in documents"),
            (
                (
                    each.name,
                    each.licence or UNKNOWN,
                    each.documents,
                    each.words,
                    each.bytes,
                    _licences(each.licences),
                )
                for each in found.sources
            ),
        ),
        "## What was taken out",
        "",
        *_table(("from records to shards", "documents"), _funnel_rows(found.funnel)),
        "## Limits in force",
        "",
        *_table(("setting", "value"), found.settings.items()),
    ]
    for each in found.limits:
        lines += [f"Texts in {each.language} (preset {each.preset}):", ""]
        lines += _table(("rule", "kept"), each.rules)
    lines += [
        "## Personal data",
        "",
        *_table(("kind", "pieces replaced"), found.personal.items() or [("none found", 0)]),
        "## Columns",
        "",
        *_table(("column", "type", "meaning"), found.columns),
        "## Known gaps",
        "",
        *(f"- {gap}" for gap in found.gaps),
    ]
    return "\n".join(lines) + "\n"


def licence_of(found: Card) -> str:
    """Return the licence of the whole: that of all sources where they have one, else `other`."""
    stated = {each.licence for each in found.sources}
    return stated.pop().lower() if len(stated) == 1 and "" not in stated else "other"


def _front(found: Card) -> Iterator[str]:
    """Yield the lines of the front matter (YAML, of which every JSON text is a part)."""
    yield f"pretty_name: {json.dumps(found.name, ensure_ascii=False)}"
    yield "language:"
    yield from (f"- {code}" for code in dict.fromkeys(each.language[:3] for each in found.languages))
    yield f"license: {licence_of(found)}"
    yield "task_categories:\n- text-generation"
    yield "size_categories:"
    yield f"- {next((name for least, name in _SIZES if found.documents < least), 'n>1M')}"
    yield "configs:"
    for language in dict.fromkeys(file.language for file in found.shards):
        yield f"- config_name: {language}"
        yield "  data_files:"
        for split in dict.fromkeys(file.split for file in found.shards if file.language == language):
            yield f"  - split: {split}"
            yield f"    path: shards/{language}/{split}-*.arrow"


def _licences(licences: Counter[str]) -> str:
    most = licences.most_common(_LICENCES)
    words = [f"{name or UNKNOWN} {number:,}" for name, number in most]
    return ", ".join([*words, *(["…"] if len(licences) > len(most) else [])])


def _funnel_rows(found: Funnel) -> Iterator[tuple[str, int]]:
    for step in found.steps:
        yield step.name, step.documents
        yield from ((f"{step.verb} {loss.why}", loss.documents) for loss in step.losses)


def _table(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Return the lines of a table in Markdown, and a blank one."""
    lines = [names, ["---"] * len(names), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines] + [""]


def _cell(value: object) -> str:
    words = f"{value:,}" if isinstance(value, int) else str(value)
    return words.replace("|", "\\|").replace("\n", " ")
