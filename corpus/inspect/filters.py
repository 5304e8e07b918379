"""The filters that a build was made with, as its manifest and its record hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus import dataset, filters, made, settings
from corpus.config import Filter
from corpus.errors import ConfigError, DatasetError
from corpus.filtering import check_language
from corpus.filters import InForce
from corpus.inspect.build import Stage


@dataclass(frozen=True, slots=True)
class Filters:
    """A configuration of the filters, and the filters in force."""

    section: Filter
    in_force: InForce
    base: Path

    def with_code(self) -> InForce:
        """Return what is in force with plugins that can be called, which stored values do not need.

        Raises ConfigError for a file that is not there, or that is not the one whose values are stored.
        """
        if not own_of(self.section):
            return self.in_force
        found = filters.in_force(self.section, self.base, self.in_force.named)
        versions = dict(self.plugins)
        changed = [each.rule for each in found.plugins if versions.get(each.rule) != each.version]
        if changed:
            raise ConfigError(
                f"{', '.join(changed)}: its files below {self.base} are not those of the build any more, and "
                "texts must be measured again; name the configuration instead: derlem what-if CONFIG.toml"
            )
        return found

    @property
    def plugins(self) -> list[tuple[str, str]]:
        return [(plugin.rule, plugin.version) for plugin in self.in_force.plugins]

    @property
    def urls(self) -> tuple[object, ...]:
        return self.section.blocked_hosts, self.section.blocked_url_words

    def fates(self, language: str, scores: NDArray[np.float64]) -> NDArray[np.object_]:
        """Return the rules that drop documents of a language by their scores, empty for none."""
        sure, unsure = (check_language(language, score, self.section) for score in (math.inf, -math.inf))
        found = np.full(scores.size, sure.rule if sure else "", dtype=object)
        if unsure is not None and unsure.limit is not None:
            found[scores < unsure.limit] = unsure.rule
        return found

    def same_fates(self, other: Filters, language: str) -> bool:
        """Return whether the texts of a language have the same fates by another configuration."""
        mine, theirs = self.section, other.section
        return (
            (mine.language, mine.privacy, self.urls) == (theirs.language, theirs.privacy, other.urls)
            and self.plugins == other.plugins
            and self.in_force.preset(language) == other.in_force.preset(language)
        )


def own_of(section: Filter) -> list[object]:
    """Return what a configuration adds to the presets' rules."""
    return [each for each in (section.plugins, section.quality, section.contamination, section.harm) if each]


def of_build(stage: Stage, root: str) -> Filters:
    """Return the configuration that the filter stage of the build in `root` was made with.

    Raises DatasetError where its manifest does not say.
    """
    kept = stage.manifest.settings
    try:
        given, named, in_force = (kept[key] for key in (filters.GIVEN, filters.NAMED, "in_force"))
        section = settings.parse(Filter, given, f"{stage.folder}/{dataset.MANIFEST}")  # type: ignore[arg-type]
        presets = {name: filters.Preset.of_content(content) for name, content in named.items()}  # type: ignore[attr-defined]
        specs = [(spec, filters.PLUGIN) for spec in section.plugins]
        specs += [(name, filters.QUALITY) for name in section.quality]
        specs += [(name, filters.CONTAMINATION) for name in section.contamination]
        specs += [(name, filters.HARM) for name in section.harm]
        plugins = tuple(
            filters.Plugin(name, spec, version, table=table)
            for (name, version), (spec, table) in zip(in_force["plugins"], specs, strict=True)  # type: ignore[index]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{stage.folder}: its manifest does not hold the filters that it was made with ({error!r}): "
            f"run the build again"
        ) from None
    known = made.read(root)
    base = known.base(section.places()) if known else Path(root).parent
    return Filters(section, filters.in_force(section, base, presets, plugins), base)
