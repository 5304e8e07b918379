"""Presets: the limits of every family of filters for one language, each number with its source."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, create_model, model_validator

from corpus import files, settings
from corpus.errors import ConfigError
from corpus.filters.families import FAMILIES, RULES
from corpus.filters.family import Family
from corpus.settings import Section

_FOLDER = resources.files("corpus.filters") / "presets"
PLUGIN, QUALITY, CONTAMINATION, HARM = "plugin", "quality", "contamination", "harm"
OWN = (PLUGIN, QUALITY, CONTAMINATION, HARM)
"""The tables of a preset, and the prefixes of rules, of what the configuration adds, in their order."""

_KINDS = {PLUGIN: "plugins", QUALITY: "models", CONTAMINATION: "evaluation sets", HARM: "word lists"}

Limits = TypeVar("Limits", bound=Section)


class Between(Section):
    """The limits of a plugin that returns a number, or of a model."""

    min: float | None = Field(None, description="Documents below are dropped.")
    max: float | None = Field(None, description="Documents above are dropped.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Between:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: every document would be dropped")
        return self


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit in force: documents whose value at `index` is below `low` or above `high` are dropped."""

    index: int
    rule: str
    low: float
    high: float
    is_verdict: bool = False  # of a plugin: the value is 1 where it drops


class Preset(Section):
    """What the filters do with the texts of a language; a limit that is not given drops nothing.

    It has a table for each of `FAMILIES` (see `of`). `plugin` has the limits of plugins by name, in the order
    in which they run: true where the plugin decides itself, false where it drops nothing. `quality` has those
    of models, `contamination` those of evaluation sets, `harm` those of word lists.
    """

    summary: str = Field(description="What the preset is, in one line.")
    plugin: dict[str, bool | Between] = Field(default_factory=dict, description="Limits of plugins, by name.")
    quality: dict[str, bool | Between] = Field(default_factory=dict, description="Limits of models, by name.")
    contamination: dict[str, bool | Between] = Field(
        default_factory=dict, description="Limits of evaluation sets, by name."
    )
    harm: dict[str, bool | Between] = Field(
        default_factory=dict, description="Limits of word lists, by name."
    )

    def of(self, family: Family[Limits]) -> Limits:
        """Return the table of a family."""
        table: Limits = getattr(self, family.name)
        return table

    @property
    def added(self) -> dict[str, bool | Between]:
        """The limits of what is in `OWN` by the names of their rules, in the order in which they run."""
        return {f"{table}.{name}": limit for table in OWN for name, limit in getattr(self, table).items()}

    @cached_property
    def bounds(self) -> tuple[Bound, ...]:
        """The limits in force, in the order in which they are tried."""
        found: list[Bound] = []
        for index, rule in enumerate(RULES):
            table, key = rule.name.split(".")
            limit = getattr(getattr(self, table), key)
            if limit is not None:
                low, high = (limit, float("inf")) if rule.direction == "below" else (float("-inf"), limit)
                found.append(Bound(index, rule.name, float(low), float(high)))
        for index, (name, limit) in enumerate(self.added.items(), start=len(RULES)):
            if isinstance(limit, Between):
                low = float("-inf") if limit.min is None else limit.min
                high = float("inf") if limit.max is None else limit.max
                found.append(Bound(index, name, low, high))
            elif limit:
                found.append(Bound(index, name, float("-inf"), 0.0, is_verdict=True))
        return tuple(found)

    @staticmethod
    def of_content(content: dict[str, Any]) -> Preset:
        """Return the preset that has this `content`; ConfigError where none can."""
        return settings.parse(_Tables, {"summary": "", **content}, "a preset's content")

    def content(self) -> dict[str, Any]:
        """Return all keys that are not at their defaults: they decide about a text."""
        return self.model_dump(mode="json", exclude={"summary"}, exclude_defaults=True)


_TABLES: dict[str, Any] = {each.name: (each.limits, each.limits()) for each in FAMILIES}
_Tables = create_model(  # not a class statement: its tables are those of FAMILIES
    "_Tables",
    __base__=Preset,
    __module__=__name__,
    **_TABLES,
)
_KEYS = {f"{each.name}.{key}" for each in FAMILIES for key in each.limits.model_fields}


def names() -> list[str]:
    """Return the names of the packaged presets, sorted."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")
    )


def source(name: str, base: Path = Path()) -> str:
    """Return a preset as written: TOML whose comments say where each number is from.

    `name` is that of a packaged preset, or the path of a file from the folder `base`. Raises ConfigError
    where there is neither.
    """
    known = names()
    if name in known:
        return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    if name.endswith(".toml"):
        path = Path(files.located(name, base))
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"filter preset {name!r}: {path} cannot be read: {reason}") from None
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    raise ConfigError(f"filter preset {name!r}: unknown; {hint} (the name of your own file ends in .toml)")


def load(name: str, base: Path = Path()) -> Preset:
    """Return the preset called `name`, or that in a file; ConfigError where it cannot be used."""
    return parse(source(name, base), name)


def parse(toml: str, name: str) -> Preset:
    """Read a preset; ConfigError for an unknown key or a value that is not allowed."""
    try:
        data = tomllib.loads(toml)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"filter preset {name!r}: cannot be read as TOML: {error}") from None
    return settings.parse(_Tables, data, f"filter preset {name!r}")


def overlay(preset: Preset, limits: Mapping[str, Any], where: str) -> Preset:
    """Return a preset with other values of some keys, given by their names (`gopher.min_words`).

    False puts a key back to its default, which switches a limit off. `where` is what a ConfigError names.
    """
    data = preset.model_dump(mode="json")
    for name, value in limits.items():
        table, _, key = name.partition(".")
        if name in preset.added:
            data[table][key] = value
        elif name not in _KEYS:
            raise ConfigError(f"{where}: {json.dumps(name)}: no such rule; {_hint(name, preset)}")
        elif value is False:
            data[table].pop(key)
        else:
            data[table][key] = value
    return settings.parse(_Tables, data, where)


def _hint(name: str, preset: Preset) -> str:
    """Return a suggestion for an unknown rule, and the known names."""
    table = name.partition(".")[0]
    if table in OWN:
        kind = _KINDS[table]
        there = ", ".join(rule for rule in preset.added if rule.startswith(f"{table}."))
        return f"{kind} of this configuration: {there or 'none'}"
    close = difflib.get_close_matches(name, [*sorted(_KEYS), *preset.added], n=1)
    tables = {each.name: each for each in FAMILIES}
    if table not in tables:
        there = f"families of rules: {', '.join(tables)}"
    else:
        there = f"keys of {table}: {', '.join(tables[table].limits.model_fields)}"
    return f"did you mean {json.dumps(close[0])}? ({there})" if close else there
