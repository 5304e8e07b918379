"""Builds of one corpus, each without one rule, for the price of every rule."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import chain, filters
from corpus.config import Config, Dedupe
from corpus.errors import ConfigError

if TYPE_CHECKING:
    from corpus.teller import Teller
    from pipelines.options import Runner

NEAR = "dedupe.near"
"""Near copies: without them only exact copies are removed."""
WHOLE = "all-rules"
"""The name of the corpus that has every rule, in the comparison."""


def without(config: Config, name: str) -> Config:
    """Return a configuration with a rule, all rules of a family, a plugin, or near copies switched off.

    Raises ConfigError for a name that is none of these.
    """
    if name == NEAR:
        return config.model_copy(update={"dedupe": Dedupe(threshold=1.0, urls=False)})
    families = {family.name: [rule.name for rule in family.rules] for family in filters.FAMILIES}
    rules = [rule.name for rule in filters.RULES]
    if name in families:
        off = families[name]
    elif name in rules or name.startswith("plugin."):
        off = [name]
    else:
        raise ConfigError(
            f"--filters: {name!r} is not a rule: expected a family ({', '.join(families)}), one of their "
            f"rules as `derlem presets` lists them, plugin.NAME, or {NEAR}"
        )
    limits = {"*": {}, **config.filter.limits}
    # A language's own limits go before those of all languages, so the rule is switched off in each table.
    changed = {code: {**table, **dict.fromkeys(off, False)} for code, table in limits.items()}
    return config.model_copy(update={"filter": config.filter.model_copy(update={"limits": changed})})


def build(
    config: Config, base: Path, names: Sequence[str], folder: Path, runner: Runner, teller: Teller
) -> dict[str, str]:
    """Build a corpus whole and without each of `names`, up to token shards; return their folders by name.

    The whole one is built where its configuration says, the others below `folder`. They take its extracted
    texts by hard links and its tokenizer, so only the stages from filter on run for them. Raises ConfigError
    for a name that is not a rule, or an output that is not on a local disk.
    """
    from corpus import files
    from corpus.config import located
    from pipelines import build as pipeline
    from trainer import tokens

    config = located(config, base)
    changed = {name: without(config, name) for name in names}
    if not files.is_local(config.output):
        raise ConfigError(f"output = {config.output}: --filters needs a build on a local disk")
    teller.say("building the corpus with every rule")
    whole = pipeline.run(config, base, runner, teller, chain.names()[-1])
    model = files.join(tokens.open(whole).folder, "tokenizer.model")
    found = {WHOLE: whole}
    for name, other in changed.items():
        output = folder / re.sub(r"\W+", "-", name)
        _link(Path(whole) / chain.STAGES[0].folder, output / chain.STAGES[0].folder)
        tokenizer = other.tokenizer.model_copy(update={"model": model})
        teller.say(f"building the corpus without {name}")
        found[f"without-{output.name}"] = pipeline.run(
            other.model_copy(update={"output": str(output), "tokenizer": tokenizer}),
            base,
            runner,
            teller,
            chain.names()[-1],
        )
    return found


def _link(source: Path, target: Path) -> None:
    """Link the files of a folder into another; files that it has stay."""
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
