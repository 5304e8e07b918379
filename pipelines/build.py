"""All stages of a corpus in order, each skipped where its units are done."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from corpus import files, filters
from corpus.config import Config, located
from corpus.settings import ConfigError
from corpus.tokenizer import train
from pipelines import clean, dedupe, shard, stage, tokenize
from pipelines.errors import StageError
from pipelines.options import Runner

FOLDERS = {
    clean.NAME: clean.NAME,
    dedupe.NAME: dedupe.NAME,
    shard.NAME: shard.FOLDER,
    tokenize.NAME: tokenize.FOLDER,
}
STAGES = tuple(FOLDERS)


def check(config: Config) -> None:
    """Find before any work what the models cannot: unknown presets, absent models, an output of others.

    Raises ConfigError naming key, value and what is allowed.
    """
    for preset in (*config.clean.filters.presets.values(), config.clean.filters.default):
        filters.load(preset)
    model = config.clean.language.model
    if model and files.size("", model) is None:
        raise ConfigError(f"clean.language.model = {model!r}: no such file; expected a fastText model")
    if files.size(config.output, "__init__.py") is not None:
        raise ConfigError(f"output = {config.output!r}: a Python package lies there; name another folder")
    for name in FOLDERS.values():
        folder = files.join(config.output, name)
        if stage.is_foreign(folder):
            raise ConfigError(
                f"output = {config.output!r}: {name}/ there holds files that derlem did not write; "
                f"name another folder, or move them away"
            )


@contextmanager
def _alone(output: str) -> Iterator[None]:
    """Hold the output folder for this build; ConfigError where it cannot be written to.

    Locally a second build is refused (StageError): each would take the other's half-written files for
    remains. The lock is the system's, so that it goes however the build ends.
    """
    try:
        files.write_bytes(output, ".writable", b"")
        files.remove(output, ".writable")
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"output = {output!r}: cannot be written to: {error}") from None
    if not files.is_local(output):
        yield
        return
    handle = os.open(output, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(f"{output}: another build is at work here; let it finish or end it") from None
        except OSError:  # a file system without locks, as some network drives are
            pass
        yield
    finally:
        os.close(handle)


def run(config: Config, base: Path, runner: Runner, console: Console, until: str) -> str:
    """Run the stages of a configuration up to `until`; `base` is the folder of the configuration file.

    Before tokenize the tokenizer is trained, unless the configuration names one or the one there was made
    from these shards and settings. Gives the output folder.
    """
    config = located(config, base)
    output = config.output
    plans: dict[str, Callable[[], stage.Stage]] = {
        "clean": lambda: clean.plan(config, base),
        "dedupe": lambda: dedupe.plan(config, runner),
        "shard": lambda: shard.plan(config),
        "tokenize": lambda: _trained(config, base, console),
    }
    folders = [files.join(output, name) for name in FOLDERS.values()]
    check(config)
    if until == tokenize.NAME and config.tokenizer.model:
        tokenize.model(config, base)
    with _alone(output):
        for number, name in enumerate(STAGES[: STAGES.index(until) + 1], start=1):
            stage.run(plans[name](), runner, console, folders[number:])
    return output


def _trained(config: Config, base: Path, console: Console) -> stage.Stage:
    if not config.tokenizer.model:
        with console.status("tokenizer: training"):
            made = train.ensure(config.output, config.tokenizer)
        if made is not None:
            said = made.summary(config.tokenizer.vocabulary, tokenize.model_url(config, base))
            console.print(said, markup=False, soft_wrap=True)
    return tokenize.plan(config, base)


def run_tokenize(config: Config, base: Path, runner: Runner, console: Console) -> str:
    """Make token shards of a finished build's shards; gives the folder that holds them."""
    config = located(config, base)
    with _alone(config.output):
        planned = tokenize.plan(config, base)
        stage.run(planned, runner, console)
    return planned.folder
