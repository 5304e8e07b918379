"""The configuration of a corpus: its keys, their meanings, and the values that they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from corpus import files, settings, usercode
from corpus.config.filters import EvaluationSet, Filter, HarmList, Model
from corpus.config.sources import FORMATS, Extract, Source
from corpus.config.stages import Dedupe, Paragraphs, Run, Shard, Substrings, Tokenizer
from corpus.errors import ConfigError
from corpus.places import Place
from corpus.settings import Section

__all__ = [
    "FORMATS",
    "Config",
    "Dedupe",
    "EvaluationSet",
    "Extract",
    "Filter",
    "HarmList",
    "Model",
    "Paragraphs",
    "Run",
    "Shard",
    "Source",
    "Substrings",
    "Tokenizer",
    "load",
    "located",
    "parse",
]


class Config(Section):
    """A corpus: its sources, its stages, its output folder."""

    output: Place = Field(
        "corpus",
        description="Output folder: a path (from the configuration's folder) or fsspec URL.",
    )
    source: tuple[Source, ...] = Field(
        min_length=1, description="The inputs; of copies, the one of the earlier source is kept."
    )
    extract: Extract = Extract()
    filter: Filter = Filter()
    dedupe: Dedupe = Dedupe()
    shard: Shard = Shard()
    tokenizer: Tokenizer = Tokenizer()
    run: Run = Run()

    @model_validator(mode="after")
    def _source_names_differ(self) -> Config:
        names = [source.name for source in self.source]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source name {twice[0]!r} is used twice; every source needs its own name")
        return self

    def places(self) -> Iterator[str]:
        """Yield all paths, globs and URLs that a build reads, as they are written."""
        for source in self.source:
            yield from source.paths
            yield from filter(None, [usercode.path_of(source.format)])
        yield from filter(None, (self.extract.language_model, self.tokenizer.model))
        yield from self.filter.places()
        yield from self.dedupe.against


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration in a file, with `key.path=value` overrides over it.

    Raises ConfigError naming file, key, value and what is allowed.
    """
    try:
        data = settings.read(path, overrides)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `derlem init {path}` writes one to start from") from None
    return parse(data, settings.named(path, overrides))


def parse(data: dict[str, Any], where: str) -> Config:
    """Turn the tables of a TOML file into a Config; ConfigError lists everything that is wrong."""
    return settings.parse(Config, data, where)


def located(config: Config, base: Path) -> Config:
    """Return the configuration with its output and models as paths from `base`, the folder of its file.

    The patterns of sources stay as they are (`corpus.sources.inputs.expand`).
    """
    extract, tokenizer = config.extract, config.tokenizer
    if model := extract.language_model:
        extract = extract.model_copy(update={"language_model": files.located(model, base)})
    if model := tokenizer.model:
        tokenizer = tokenizer.model_copy(update={"model": files.located(model, base)})
    output = files.located(config.output, base)
    against = tuple(files.located(older, base) for older in config.dedupe.against)
    dedupe = config.dedupe.model_copy(update={"against": against}) if against else config.dedupe
    made = {"output": output, "extract": extract, "dedupe": dedupe, "tokenizer": tokenizer}
    return config.model_copy(update=made)
