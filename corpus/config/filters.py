"""The settings of filter: languages, rules, models, lists, personal data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from corpus import usercode
from corpus.places import OptionalPlace, Place
from corpus.settings import Section, Share


class Language(Section):
    """The languages that are kept, and the least score of the identification."""

    keep: tuple[str, ...] = Field(
        ("tur_Latn",),
        min_length=1,
        description='Codes such as "tur_Latn"; ["*"] keeps every language that is identified.',
    )
    min_score: Share = Field(0.65, description="Documents below this identification score are dropped.")
    min_scores: dict[str, Share] = Field(
        default_factory=lambda: {"tur_Latn": 0.7}, description="Other minimum scores, language by language."
    )


class Privacy(Section):
    """Personal data that is replaced by a typed placeholder."""

    redact: tuple[Literal["email", "ip", "phone", "tckn", "vkn", "iban", "card"], ...] = Field(
        ("email", "ip", "phone", "tckn", "vkn", "iban", "card"), description="Kinds that are replaced."
    )


class Model(Section):
    """A model of quality, or a table of scores, whose number is stored for every text."""

    model: OptionalPlace = Field(
        "", description="A file of `derlem quality lm`, or a classifier of fastText (.bin, .ftz)."
    )
    value: str = Field(
        "",
        description="Which number: of a classifier the label whose probability it is; of a pair of language "
        'models "perplexity" instead of the difference.',
    )
    scores: OptionalPlace = Field(
        "", description="Instead of a model: a table (parquet, arrow, JSON lines) with a number for each URL."
    )
    column: str = Field("score", description="The table's column of the numbers; that of URLs is `url`.")

    @model_validator(mode="after")
    def _has_one_origin(self) -> Model:
        if bool(self.model) == bool(self.scores):
            raise ValueError("expected a model or scores, and not both")
        return self


def _by_model(models: Any) -> Any:
    """Return models as tables: a text alone is the place of a model."""
    if not isinstance(models, dict):
        return models
    return {name: {"model": each} if isinstance(each, str) else each for name, each in models.items()}


class EvaluationSet(Section):
    """Texts of an evaluation set, which documents should not hold."""

    paths: tuple[Place, ...] = Field(
        min_length=1, description="Tables: parquet, arrow, JSON lines (compressed or not)."
    )
    columns: tuple[str, ...] = Field(
        ("question",), min_length=1, description="Columns of questions and passages, each looked for."
    )
    answer: str = Field(
        "", description="The column of the answer: a short question counts only with its answer near by."
    )


class HarmList(Section):
    """A list of harmful words, or of hosts."""

    words: OptionalPlace = Field("", description="A file with a word or phrase a line; # starts a comment.")
    hosts: OptionalPlace = Field(
        "", description="Instead of words: a file with a host a line, whose pages have the value 1."
    )
    weak: OptionalPlace = Field(
        "", description="The same of words that count only beside others; empty takes the packaged ones."
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> HarmList:
        if bool(self.words) == bool(self.hosts):
            raise ValueError("expected words or hosts, and not both")
        return self


def _by_rule(limits: Any) -> Any:
    """Return limits by language and by the rule's name, whether written `gopher.hashes` or in two tables."""
    if not isinstance(limits, dict):
        return limits
    return {code: _flat(table) if isinstance(table, dict) else table for code, table in limits.items()}


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():  # of two values for one rule the later counts: that of --set
        if isinstance(value, dict) and "." not in name:
            found |= {f"{name}.{key}": limit for key, limit in value.items()}
        else:
            found[name] = value
    return found


_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Filter(Section):
    """From texts to documents worth keeping: fast, so that a changed limit costs little."""

    presets: dict[str, str] = Field(
        default_factory=lambda: {"tur_Latn": "derlem-tur", "eng_Latn": "fineweb"},
        description="Language code to preset: a name that `derlem presets` lists, or a file of your own "
        "(my-preset.toml, from the configuration's folder).",
    )
    default: str = Field("fineweb-any", description="The preset of all other languages.")
    limits: Annotated[dict[str, dict[str, Any]], BeforeValidator(_by_rule)] = Field(
        default_factory=dict,
        description='Your own limits over the presets, by language ("*": all) and rule, as gopher.min_words; '
        "false switches a rule off. docs/filters.md lists the rules.",
    )
    plugins: tuple[str, ...] = Field(
        (),
        description="Filters of your own: my_filters.py:function, from the configuration's folder, or the "
        "name of an entry point (docs/filters.md).",
    )
    quality: Annotated[dict[_Name, Model], BeforeValidator(_by_model)] = Field(
        default_factory=dict,
        description="Models whose numbers are stored for every text and kept in shards, by name: name = "
        '"model.lm", or { model, value }. Limits: filter.limits, as quality.name = { min = 0.5 } '
        "(docs/filters.md).",
    )
    contamination: dict[_Name, EvaluationSet] = Field(
        default_factory=dict,
        description="Evaluation sets, by name: how much of one of its texts a document holds is stored, and "
        "kept in shards. Limits by the names of the rules, as contamination.name (docs/filters.md).",
    )
    harm: dict[_Name, HarmList] = Field(
        default_factory=dict,
        description="Lists of harmful words, by name: the share of a text's words that are on one is stored, "
        "and kept in shards. Limits by the names of the rules, as harm.name (docs/filters.md).",
    )
    blocked_hosts: tuple[str, ...] = Field(
        (), description="Hosts dropped with all their subdomains; settled ones are cheaper in [extract]."
    )
    blocked_url_words: tuple[str, ...] = Field(
        (), description="URLs with one of these words are dropped; settled ones are cheaper in [extract]."
    )
    language: Language = Language()
    privacy: Privacy = Privacy()

    def places(self) -> Iterator[str]:
        """Yield the paths and URLs of presets, plugins, models, tables and lists, as they are written."""
        yield from (name for name in (*self.presets.values(), self.default) if name.endswith(".toml"))
        yield from filter(None, map(usercode.path_of, self.plugins))
        for model in self.quality.values():
            yield model.model or model.scores
        for texts in self.contamination.values():
            yield from texts.paths
        for listed in self.harm.values():
            yield from filter(None, (listed.words, listed.hosts, listed.weak))
