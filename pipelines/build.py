"""All stages of a corpus in order, each skipped where its units are done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from corpus import files, filters
from corpus.config import Config, ConfigError
from pipelines import clean, dedupe, shard, stage
from pipelines.options import Runner

STAGES = ("clean", "dedupe", "shard")


def check(config: Config) -> None:
    """Find before any work what the models cannot: unknown presets, absent models, an unwritable output.

    Raises ConfigError naming key, value and what is allowed.
    """
    for preset in (*config.clean.filters.presets.values(), config.clean.filters.default):
        filters.load(preset)
    model = config.clean.language.model
    if model and files.size("", model) is None:
        raise ConfigError(f"clean.language.model = {model!r}: no such file; expected a fastText model")
    try:
        files.write_bytes(config.output, ".writable", b"")
        fs, target = files.filesystem(files.join(config.output, ".writable"))
        fs.rm(target)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"output = {config.output!r}: cannot be written to: {error}") from None


def run(config: Config, base: Path, runner: Runner, console: Console, until: str = STAGES[-1]) -> str:
    """Run the stages of a configuration up to `until`; `base` is the folder of the configuration file.

    Gives the output folder.
    """
    if files.is_local(config.output):
        config = config.model_copy(update={"output": str(base / config.output)})
    check(config)
    plans: dict[str, Callable[[], stage.Stage]] = {
        "clean": lambda: clean.plan(config, base),
        "dedupe": lambda: dedupe.plan(config, runner),
        "shard": lambda: shard.plan(config),
    }
    for name in STAGES[: STAGES.index(until) + 1]:
        stage.run(plans[name](), runner, console)
    return config.output
