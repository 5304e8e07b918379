"""The front door: one function per command; every heavy import happens inside it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="derlem",
    help="Make a language-model corpus from the web, Turkish first, and say what it is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The corpus's TOML file.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="A build's output folder (or one stage's).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set dedupe.threshold=0.8."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("corpus.toml"),
) -> None:
    """Write a commented configuration to start from."""
    from corpus.starter import starter

    if path.exists():
        _fail(f"{path} exists already; give another name, or move it away first")
    path.write_text(starter(), encoding="utf-8")
    _say(f"wrote {path}: name your files under [[source]], then `derlem build {path}`")


@app.command()
def config(path: ConfigFile, overrides: Set = None) -> None:
    """Print a configuration with every default written out."""
    from corpus.config import load
    from corpus.starter import resolved

    with _errors():
        print(resolved(load(path, overrides or ())), end="")


@app.command()
def build(
    path: ConfigFile,
    overrides: Set = None,
    until: Annotated[str, typer.Option(help="The last stage to run: clean, dedupe or shard.")] = "shard",
    workers: Annotated[int | None, typer.Option(min=1, help="Local worker processes.")] = None,
    beam: Annotated[list[str] | None, typer.Argument(metavar="[-- BEAM OPTIONS]")] = None,
) -> None:
    """Run clean, dedupe and shard; what is done already is not done again.

    Beam's own options follow after --, for example -- --runner=DataflowRunner --project=P --region=R.
    """
    from corpus.config import load

    with _errors():
        loaded = load(path, overrides or ())
        _quiet()
        from pipelines import build as pipeline
        from pipelines import options

        if until not in pipeline.STAGES:
            _fail(f"--until {until}: expected one of {', '.join(pipeline.STAGES)}")
        runner = options.choose(loaded.run, workers, tuple(beam or ()))
        pipeline.run(loaded, path.resolve().parent, runner, _console(), until)
        _say(f"done: {loaded.output}\nnext: derlem inspect {loaded.output}")


@app.command()
def verify(folder: Folder) -> None:
    """Check every file of a corpus against its manifests: checksums, schemas, counts."""
    from corpus import dataset, files

    with _errors():
        stages = [files.join(folder, name) for name in ("clean", "dedupe", "shards")]
        there = [stage for stage in stages if files.size(stage, dataset.MANIFEST) is not None] or [folder]
        faults = 0
        for stage in there:
            found = dataset.verify(stage)
            faults += len(found)
            for fault in found:
                _say(f"[red]{stage}: {fault}")
            if not found:
                manifest = dataset.load(stage)
                number = sum(len(unit.files) for unit in manifest.units)
                _say(f"{stage}: {number} files and the counts of {len(manifest.units)} units are right")
        if faults:
            _fail(f"{faults} faults in {folder}; run the build again to make what is damaged anew")


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one message and exit status 2 or 1; others keep their trace."""
    from corpus.config import ConfigError
    from corpus.counts import CountsError
    from corpus.dataset import DatasetError
    from pipelines.errors import StageError

    try:
        yield
    except ConfigError as error:
        _fail(str(error), status=2)
    except (CountsError, DatasetError, StageError) as error:
        _fail(str(error))


def _quiet() -> None:
    """Keep Beam's notes on optional Google packages and its own progress off the terminal."""
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _say(text: str) -> None:
    _console().print(text, soft_wrap=True)


def _fail(text: str, status: int = 1) -> None:
    from rich.text import Text

    _console().print(Text(text, style="red"), soft_wrap=True)
    raise typer.Exit(status)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
