"""All stages of a corpus in order, each skipped where its units are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from corpus import chain, files, filters, language, language_codes, made, places
from corpus.config import Config, located
from corpus.errors import ConfigError
from corpus.teller import Teller
from corpus.tokenizer import train
from pipelines import dataflow, stage, tokenize
from pipelines.dataflow import GraphOnly
from pipelines.lock import alone
from pipelines.options import Runner


def check(config: Config, base: Path) -> None:
    """Check what the configuration models cannot: filters, model files, and that the output is free.

    `base` is the folder of the configuration file. Raises ConfigError naming key, value and what is allowed.
    """
    places.writable(config.output, "output")
    filters.in_force(config.filter, base)
    _check_languages(config)
    if files.size(config.output, "__init__.py") is not None:
        raise ConfigError(f"output = {config.output!r}: the folder is a Python package; name another one")
    for name in (row.folder for row in chain.STAGES):
        folder = files.join(config.output, name)
        if stage.is_foreign(folder):
            raise ConfigError(
                f"output = {config.output!r}: {name}/ there holds files that derlem did not write; "
                f"name another folder, or move them away"
            )


def _check_languages(config: Config) -> None:
    """Raise ConfigError for a file that is not a language model, and for languages it does not know."""
    chosen, model = config.filter.language, config.extract.language_model
    try:
        if model and files.size("", model) is None:
            raise FileNotFoundError("no such file")
        language.labels(model)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"extract.language_model = {model!r}: {error}; expected a fastText model") from None
    named = [("filter.language.keep", code) for code in chosen.keep if code != "*"]
    named += [("extract.languages", code) for code in config.extract.languages or ()]
    if "min_scores" in chosen.model_fields_set:  # its default may name languages that a model does not know
        named += [("filter.language.min_scores", code) for code in chosen.min_scores]
    if "presets" in config.filter.model_fields_set:
        named += [("filter.presets", code) for code in config.filter.presets]
    named += [("filter.limits", code) for code in config.filter.limits if code != "*"]
    for key, code in named:
        language_codes.check(key, code, model)


def run(config: Config, base: Path, runner: Runner, teller: Teller, until: str) -> str:
    """Run the stages of a configuration up to `until`; `base` is the folder of the configuration file.

    Before tokenize the tokenizer is trained, unless the configuration names one or the existing one was made
    from these shards and settings. Return the output folder; "" where only the graph of a job was made.
    """
    given, config = config, located(config, base)
    output = config.output
    check(config, base)
    runner = replace(runner, teller=teller)
    _check_reach(config, runner)
    if until == tokenize.NAME and config.tokenizer.model:
        tokenize.model(config, base)
    context = stage.Context(config, base, runner)
    folders = [context.folder(name) for name in chain.names()]
    with alone(output):
        for number, row in enumerate(chain.STAGES, start=1):
            if row.name == tokenize.NAME and not config.tokenizer.model:
                _train(config, base, teller)
            with teller.waiting(f"{row.name}: reading the list of inputs"):
                planned = plan(row)(context)
            if number == 1:  # not earlier: for wrong inputs nothing is written
                made.write(given, base)
            try:
                stage.run(planned, runner, teller, folders[number:])
            except GraphOnly as graph:
                teller.say(str(graph))
                return ""
            if row.name == until:
                break
    if until == tokenize.NAME:
        _warn(context.folder(tokenize.NAME), teller)
    return output


def _check_reach(config: Config, runner: Runner) -> None:
    """Raise ConfigError where the workers of Dataflow, which are other machines, would not find a place."""
    if runner.name != dataflow.NAME:
        return
    places = [("output", config.output)]
    places += [(f"source {source.name!r}", path) for source in config.source for path in source.paths]
    for key, place in places:
        if files.is_local(place):
            raise ConfigError(
                f"{key}: {place} is on this machine, which the workers of Dataflow cannot reach; "
                f"copy it to a bucket (gcloud storage cp) and name its gs:// URL"
            )


def plan(row: chain.Stage) -> Callable[[stage.Context], stage.Stage]:
    """Return the function that plans a stage of the chain."""
    module, _, name = row.plan.partition(":")
    found: Callable[[stage.Context], stage.Stage] = getattr(import_module(module), name)
    return found


def _train(config: Config, base: Path, teller: Teller) -> None:
    with teller.waiting("tokenizer: training"):
        trained = train.ensure(config.output, config.tokenizer)
    if trained is not None:
        said = trained.summary(tokenize.model_url(config, base))
        teller.say(said)


def run_tokenize(config: Config, base: Path, runner: Runner, teller: Teller) -> str:
    """Make token shards of a finished build's shards; return the folder that holds them."""
    config = located(config, base)
    runner = replace(runner, teller=teller)
    _check_reach(config, runner)
    with alone(config.output):
        planned = tokenize.plan(stage.Context(config, base, runner))
        try:
            stage.run(planned, runner, teller)
        except GraphOnly as graph:
            teller.say(str(graph))
            return ""
    _warn(planned.folder, teller)
    return planned.folder


def _warn(tokens: str, teller: Teller) -> None:
    """Warn of a tokenizer that loses text."""
    if found := tokenize.warning(tokens):
        teller.say(found, style="red")
