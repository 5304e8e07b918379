"""Evaluation sets as filters: how much of one of their texts a document holds, and which one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus import files
from corpus.config import EvaluationSet
from corpus.decontaminate import overlap, references
from corpus.decontaminate.stems import stems
from corpus.errors import ConfigError
from corpus.filters.document import Document
from corpus.filters.found import Found
from corpus.quality import tables


@dataclass(frozen=True, slots=True)
class SetFunction:
    """The share of a set's text that a document holds; workers read the files, which `version` identifies."""

    where: str  # in the configuration, for messages
    paths: tuple[str, ...]
    version: str
    settings: EvaluationSet

    def load(self) -> Callable[[Document], Found]:
        """Return the function; ConfigError for files that are not tables or lack a column."""
        try:
            found = references.read(self.paths, self.settings.columns, self.settings.answer)
        except ConfigError as error:
            raise ConfigError(f"{self.where}: {error}") from None
        index = overlap.build(found.pieces)

        def score(document: Document) -> Found:
            value, number = overlap.best(stems(document.view), index)
            return Found(value, found.pieces[number].name if number >= 0 else "")

        return score


def load_sets(sets: Mapping[str, EvaluationSet], base: Path) -> dict[str, SetFunction]:
    """Return the sets that a configuration in the folder `base` names; ConfigError for one without use."""
    found: dict[str, SetFunction] = {}
    for name, settings in sets.items():
        where = f"filter.contamination.{name}"
        paths = tuple(files.located(path, base) for path in settings.paths)
        try:
            content = [files.sha256(path) for path in paths]
        except OSError as error:
            raise ConfigError(
                f"{where}: {error.filename} cannot be read: {error.strerror or error}"
            ) from None
        version = " ".join([*content, *settings.columns, settings.answer])
        found[name] = SetFunction(where, paths, version, settings)
        wanted = dict.fromkeys([*settings.columns, *([settings.answer] if settings.answer else [])])
        try:
            for path in paths:
                tables.read(path, *wanted)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return found
