"""The commands that make a corpus; every heavy import happens inside them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import ConfigFile, Set, Workers
from commands.terminal import CORPUS, Beam, console, fail, local, place, reported, say, shortened
from commands.watched import Log, Metrics, watched
from corpus import chain

if TYPE_CHECKING:
    from corpus.config import Config
    from pipelines.options import Runner

app = typer.Typer()


@app.command(rich_help_panel=CORPUS)
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", parser=local, help="The file to write.")] = Path(
        "corpus.toml"
    ),
    crawl: Annotated[
        str | None,
        typer.Option(metavar="DIR", parser=place, help="Use the pages of this crawl as the source."),
    ] = None,
) -> None:
    """Write a commented configuration to start from."""
    from corpus import places
    from corpus.crawl.state.catalogue import sources
    from corpus.template import template

    with reported():
        places.usable_as(str(path), "FILE")
        places.writable(str(path.parent), "the folder of FILE")
        if crawl is not None:
            places.usable_as(crawl, "--crawl")
    if path.exists():
        fail(f"{path} exists already; choose another name, or move the file", status=2)
    with reported():
        found = sources(crawl, path.parent) if crawl else []
    if crawl and not found:
        fail(f"--crawl {crawl}: not a crawl; expected the --output of derlem crawl or commoncrawl", 2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template(found) if crawl else template(), encoding="utf-8")
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}", status=2)
    todo = "" if crawl else "name your files under [[source]], then "
    say(f"wrote {path}: {todo}`derlem build {path}`")


@app.command(rich_help_panel=CORPUS)
def config(path: ConfigFile, overrides: Set = None) -> None:
    """Print every value in force with its origin: a file, a preset, --set or the default.

    The limits of the filters are printed for each language, as a file that can be built from.
    """
    from corpus.resolved import resolved

    with reported():
        print(resolved(path, tuple(overrides or ())), end="")


@app.command(rich_help_panel=CORPUS)
def build(
    path: ConfigFile,
    overrides: Set = None,
    until: Annotated[
        str, typer.Option(metavar="STAGE", help=f"The last stage: {', '.join(chain.names())}.")
    ] = "shard",
    workers: Workers = None,
    log: Log = None,
    metrics: Metrics = None,
    beam: Beam = None,
) -> None:
    """Run extract, filter, dedupe and shard; with --until tokenize also make a tokenizer and token shards.

    Finished work is not repeated. Beam's own options follow after --, for example
    -- --runner=FlinkRunner --flink_master=HOST:PORT.
    """
    with reported():
        config, runner = _staged(path, overrides, workers, beam)
        from commands.forget import readers_of
        from corpus import settings
        from corpus.config import located
        from corpus.errors import found_in
        from pipelines import build as pipeline
        from pipelines import forget

        if until not in chain.names():
            fail(f"--until {until}: expected one of {', '.join(chain.names())}", status=2)
        placed = located(config, path.resolve().parent)
        if forget.adopt(placed, readers_of(placed.output)) is not None:
            say(f"a crawl's list names pages; `derlem forget {shortened(placed.output)}` writes the proof")
        with watched(log, metrics) as teller, found_in(settings.named(path, overrides or ())):
            folder = pipeline.run(config, path.resolve().parent, runner, teller, until)
        if folder:
            say(f"done: {shortened(folder)}\nnext: derlem inspect {shlex.quote(shortened(folder))}")


@app.command(rich_help_panel=CORPUS)
def tokenize(
    path: ConfigFile,
    overrides: Set = None,
    workers: Workers = None,
    log: Log = None,
    metrics: Metrics = None,
    beam: Beam = None,
) -> None:
    """Make token shards from a finished build's shards.

    It uses the configured tokenizer, or the one trained earlier. Finished work is not repeated.
    """
    with reported():
        config, runner = _staged(path, overrides, workers, beam)
        from corpus import settings
        from corpus.errors import found_in
        from pipelines import build as pipeline

        with watched(log, metrics) as teller, found_in(settings.named(path, overrides or ())):
            folder = pipeline.run_tokenize(config, path.resolve().parent, runner, teller)
        if folder:
            say(f"done: {shortened(folder)}\nnext: derlem show {shlex.quote(shortened(folder))} --ids")


@app.command(rich_help_panel=CORPUS)
def presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this preset.")] = None,
) -> None:
    """Show the presets of quality filters and their rules, or print one with the source of each number."""
    from corpus import filters

    with reported():
        if name is not None:
            filters.load(name)  # of a file of the user's, what is wrong
            print(filters.source(name), end="")
            return
        from commands.render.presets import render_presets

        render_presets({each: filters.load(each).summary for each in filters.names()}, console(stderr=False))


def _staged(
    path: Path, overrides: list[str] | None, workers: int | None, beam: list[str] | None
) -> tuple[Config, Runner]:
    """Return the configuration and its runner, with the terminal prepared for a stage."""
    from corpus import places
    from corpus.config import load, located

    config = load(path, overrides or ())
    places.writable(located(config, path.resolve().parent).output, "output")
    from pipelines import progress

    progress.take_terminal()
    from pipelines import options

    return config, options.choose(config.run, workers, tuple(beam or ()))
