"""Models of quality as filters: language models, classifiers of fastText, and tables of scores by URL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpus import classifier, files
from corpus.config import Model
from corpus.errors import ConfigError
from corpus.filters.document import Document
from corpus.quality import model as language_model
from corpus.quality import tables

Score = Callable[[Document], float | None]

PERPLEXITY = "perplexity"
"""The value of a language model that is not its difference from a second one."""

_CLASSIFIERS = (".bin", ".ftz")


@dataclass(frozen=True, slots=True)
class ModelFunction:
    """The number that a file gives a document; workers read the file, which `version` identifies."""

    where: str  # in the configuration, for messages
    path: str
    version: str
    settings: Model

    def load(self) -> Score:
        """Return the function; ConfigError where the file is not a model, or has another value."""
        if self.settings.scores:
            return _table(self.path, self.settings.column, self.where)
        if self.path.endswith(_CLASSIFIERS):
            return _classifier(self.path, self.settings.value, self.where)
        return _language_model(self.path, self.settings.value, self.where)


def load_models(models: Mapping[str, Model], base: Path) -> dict[str, ModelFunction]:
    """Return the models that a configuration in the folder `base` names; ConfigError for one without use."""
    found: dict[str, ModelFunction] = {}
    for name, settings in models.items():
        where = f"filter.quality.{name}"
        path = files.located(settings.model or settings.scores, base)
        try:
            version = files.sha256(path)
        except OSError as error:
            raise ConfigError(f"{where}: {path} cannot be read: {error.strerror or error}") from None
        found[name] = ModelFunction(where, path, f"{version} {settings.value or settings.column}", settings)
        found[name].load()
    return found


def _classifier(path: str, label: str, where: str) -> Score:
    """Return the probability of a label: the text is one line, as fastText's models take it."""
    try:
        found = classifier.load(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None
    if label not in found.labels:
        raise ConfigError(
            f"{where}: value = {label!r}: expected a label of {path}: {', '.join(found.labels)}"
        )

    def score(document: Document) -> float | None:
        return dict(found.predict(classifier.line(document.text), -1)).get(label, 0.0)

    return score


def _language_model(path: str, value: str, where: str) -> Score:
    loaded = language_model.load(path)
    if value not in ("", PERPLEXITY):
        raise ConfigError(f"{where}: value = {value!r}: expected {PERPLEXITY!r}, or none")
    scores = language_model.Scores(loaded)
    measure = scores.perplexity if value or loaded.bad is None else scores.score

    def score(document: Document) -> float | None:
        found = measure(document.text)
        return None if math.isnan(found) else found

    return score


def _table(path: str, column: str, where: str) -> Score:
    numbers = dict(_numbers(path, column, where))
    return lambda document: numbers.get(document.url)


def _numbers(path: str, column: str, where: str) -> Iterator[tuple[str, float]]:
    """Yield the URLs of a table that have a number, and the number."""
    try:
        table = tables.read(path, "url", column)
        urls, values = table["url"].to_pylist(), table[column].cast(pa.float64()).to_pylist()
    except (ConfigError, pa.ArrowException) as error:
        raise ConfigError(f"{where}: {error}") from None
    yield from ((url, value) for url, value in zip(urls, values, strict=True) if url and value is not None)
