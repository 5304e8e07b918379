"""The filters in force: the presets of a configuration with its own limits, its plugins and its models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.config import Filter
from corpus.errors import ConfigError
from corpus.filters.contamination import load_sets
from corpus.filters.document import Document
from corpus.filters.families import FAMILIES
from corpus.filters.harm import load_lists
from corpus.filters.judge import Judgement, judge
from corpus.filters.models import load_models
from corpus.filters.plugins import Plugin, load_plugins
from corpus.filters.preset import CONTAMINATION, HARM, OWN, PLUGIN, QUALITY, Between, Preset, load, overlay

SECTION = "filter"
"""The table of the configuration, for messages."""
GIVEN, NAMED = "given", "named"
"""Keys of a manifest's settings: the configuration as it was given, and the presets that it named."""
ALL = "*"
"""The key for all languages in the limits of the configuration."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The filters of each language. It can be sent to workers, because it needs no files.

    `presets` are those of the languages that the configuration names, `default` is that of all others, each
    with the configuration's limits. `named` are the presets as they were named, without them.
    """

    presets: dict[str, Preset]
    default: Preset
    plugins: tuple[Plugin, ...]
    named: dict[str, Preset]

    def preset(self, language: str) -> Preset:
        """Return the preset of a language."""
        return self.presets.get(language, self.default)

    def judge(self, document: Document) -> Judgement:
        """Judge a document by the preset of its language."""
        return judge(document.view, self.preset(document.language), self.plugins, document)

    def content(self) -> dict[str, object]:
        """Return all that decides what the filters do, for a fingerprint: contents, not names or paths."""
        return {
            "presets": {code: self.presets[code].content() for code in sorted(self.presets)},
            "default": self.default.content(),
            "plugins": [[plugin.name, plugin.version] for plugin in self.plugins],
        }

    def as_settings(self, given: dict[str, object]) -> dict[str, object]:
        """Return the settings that a manifest keeps of the configuration `given`, for `what-if`."""
        named = {name: preset.content() for name, preset in sorted(self.named.items())}
        return {GIVEN: given, NAMED: named}

    def families(self) -> tuple[str, ...]:
        """Return the families of rules, and the plugins, that can drop a document of some language."""
        rules = {bound.rule for preset in self._all() for bound in preset.bounds}
        own = [each.name for each in FAMILIES if any(rule.name in rules for rule in each.rules)]
        return (*own, *(plugin.rule for plugin in self.plugins if plugin.rule in rules))

    def _all(self) -> Iterable[Preset]:
        return (*self.presets.values(), self.default)


def in_force(
    settings: Filter,
    base: Path,
    known: Mapping[str, Preset] | None = None,
    plugins: tuple[Plugin, ...] | None = None,
) -> InForce:
    """Return the filters that a configuration in the folder `base` asks for.

    Presets that are `known` by their names, and `plugins` where given, are taken as they are, others are
    loaded. Raises ConfigError for a preset, limit or plugin that cannot be used.
    """
    if plugins is None:
        plugins = (*load_plugins(settings.plugins, base), *_models(settings, base))
    codes = {*settings.presets, *settings.limits} - {ALL}
    names = sorted({*settings.presets.values(), settings.default})
    named = {name: (known or {}).get(name) or load(name, base) for name in names}
    return InForce(
        presets={code: _limited(settings, named, plugins, code) for code in sorted(codes)},
        default=_limited(settings, named, plugins, ALL),
        plugins=plugins,
        named=named,
    )


def _models(settings: Filter, base: Path) -> tuple[Plugin, ...]:
    """Return models, evaluation sets and word lists as plugins; their values drop nothing without a limit."""
    models = load_models(settings.quality, base)
    sets = load_sets(settings.contamination, base)
    lists = load_lists(settings.harm, base)
    return (
        *(Plugin(name, name, model.version, model, QUALITY) for name, model in models.items()),
        *(Plugin(name, name, each.version, each, CONTAMINATION) for name, each in sets.items()),
        *(Plugin(name, name, each.version, each, HARM) for name, each in lists.items()),
    )


def _limited(
    settings: Filter, named: Mapping[str, Preset], plugins: tuple[Plugin, ...], language: str
) -> Preset:
    """Return the preset of a language (`*`: of those without one) with the configuration's limits over it."""
    name = settings.presets.get(language, settings.default)
    given = named[name]
    absent = [rule for rule in given.added if rule not in {plugin.rule for plugin in plugins}]
    if absent:
        table = absent[0].partition(".")[0]
        where = f"{SECTION}.{'plugins' if table == PLUGIN else table}"
        raise ConfigError(f"filter preset {name!r}: {absent[0]}: no such filter; name it in {where}")
    # Each has an entry, in their order; without a limit a plugin itself decides, and another drops nothing.
    tables: dict[str, dict[str, bool | Between]] = {table: {} for table in OWN}
    for plugin in plugins:
        tables[plugin.table][plugin.name] = given.added.get(plugin.rule, plugin.table == PLUGIN)
    preset = given.model_copy(update=tables)
    for code in dict.fromkeys((ALL, language)):
        if code in settings.limits:
            where = f"{SECTION}.limits.{json.dumps(code)}"
            preset = overlay(preset, settings.limits[code], where)
    return preset
