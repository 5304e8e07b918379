"""The front door: one function per command; every heavy import happens inside it."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from corpus import chain, interrupt

if Path(sys.argv[0]).stem == "derlem":  # as a command: a Ctrl-C is answered from here on, during imports too
    interrupt.answer("stopped")

import typer

from corpus.terminal import (
    CORPUS,
    LOOK,
    WORKERS,
    AsJson,
    Beam,
    Group,
    console,
    fail,
    local,
    mendable,
    place,
    say,
    shortened,
)
from pipelines.commoncrawl_command import app as commoncrawl_app
from pipelines.crawl_command import app as crawl_app
from trainer.commands import app as trainer_app

if TYPE_CHECKING:
    from corpus.config import Config
    from pipelines.options import Runner

app = typer.Typer(
    name="derlem",
    cls=Group,
    help="Make a language-model corpus from the web, Turkish first, and say what it is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

tokenizer_app = typer.Typer(
    cls=Group, help="Train a tokenizer and compare it with others.", no_args_is_help=True
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", parser=local, help="The corpus's TOML file.")]
Folder = Annotated[
    str, typer.Argument(metavar="DIR", parser=place, help="A build's output folder (or one stage's).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set dedupe.threshold=0.8."),
]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"derlem {version('derlem')}")
        raise typer.Exit


@app.callback()
def _derlem(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options of the program itself."""


Workers = Annotated[
    int | None,
    typer.Option(metavar="N", show_default="run.workers, else the processors there are", help=WORKERS),
]


@app.command(rich_help_panel=CORPUS)
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", parser=local, help="Where to write it.")] = Path(
        "corpus.toml"
    ),
    crawl: Annotated[
        str | None, typer.Option(metavar="DIR", parser=place, help="A crawl's folder, as its source.")
    ] = None,
) -> None:
    """Write a commented configuration to start from."""
    from corpus import places
    from corpus.crawl.catalogue import sources
    from corpus.starter import starter

    with _errors():
        places.usable_as(str(path), "FILE")
        places.writable(str(path.parent), "the folder of FILE")
        if crawl is not None:
            places.usable_as(crawl, "--crawl")
    if path.exists():
        fail(f"{path} exists already; give another name, or move it away first", status=2)
    with _errors():
        found = sources(crawl, path.parent) if crawl else []
    if crawl and not found:
        fail(f"--crawl {crawl}: no crawl is there; expected the --output of derlem crawl or commoncrawl", 2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(starter(found) if crawl else starter(), encoding="utf-8")
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}", status=2)
    todo = "" if crawl else "name your files under [[source]], then "
    say(f"wrote {path}: {todo}`derlem build {path}`")


@app.command(rich_help_panel=CORPUS)
def config(path: ConfigFile, overrides: Set = None) -> None:
    """Print a configuration with every default written out."""
    from corpus.config import load
    from corpus.starter import resolved

    with _errors():
        print(resolved(load(path, overrides or ())), end="")


@app.command(rich_help_panel=CORPUS)
def build(
    path: ConfigFile,
    overrides: Set = None,
    until: Annotated[
        str, typer.Option(metavar="STAGE", help=f"The last stage: {', '.join(chain.names())}.")
    ] = "shard",
    workers: Workers = None,
    beam: Beam = None,
) -> None:
    """Run extract, filter, dedupe and shard; with --until tokenize also make a tokenizer and token shards.

    Finished work is not repeated. Beam's own options follow after --, for example
    -- --runner=FlinkRunner --flink_master=HOST:PORT.
    """
    with _errors():
        config, runner = _staged(path, overrides, workers, beam)
        from pipelines import build as pipeline

        if until not in chain.names():
            fail(f"--until {until}: expected one of {', '.join(chain.names())}", status=2)
        folder = shortened(pipeline.run(config, path.resolve().parent, runner, console(), until))
        say(f"done: {folder}\nnext: derlem inspect {shlex.quote(folder)}")


@tokenizer_app.command()
def train(path: ConfigFile, overrides: Set = None) -> None:
    """Train a SentencePiece model on the shards of a finished build, as [tokenizer] says.

    Does nothing if the existing model was trained from the same shards and settings.
    """
    from corpus import files, places
    from corpus.config import load, located

    with _errors():
        config = located(load(path, overrides or ()), path.resolve().parent)
        places.writable(config.output, "output")
        from corpus.tokenizer import FOLDER, MODEL
        from corpus.tokenizer.train import ensure

        trained = ensure(config.output, config.tokenizer)
        url = shortened(files.join(config.output, FOLDER, MODEL))
        same = f"{url} was made from these shards and settings: nothing to do"
        say(trained.summary(config.tokenizer.vocabulary, url) if trained is not None else same)
        say(f"next: derlem tokenize {shlex.quote(str(path))}")


@tokenizer_app.command()
def compare(
    folder: Folder,
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="SentencePiece models, or tiktoken:NAME.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare tokenizers on validation documents: bytes per token and tokens per word, by language."""
    from corpus import places
    from corpus.inspect.build import open_build
    from corpus.inspect.render_costs import render_costs
    from corpus.tokenizer.compare import compare as measure

    with _errors():
        places.folder(folder, "DIR")
        for model in models:
            if not model.startswith("tiktoken:"):
                places.usable_as(model, "MODEL")
        costs = measure(open_build(folder).need("shard", "compare tokenizers").folder, models)
        if as_json:
            print(json.dumps([cost.as_dict() for cost in costs], ensure_ascii=False))
        else:
            render_costs(costs, console(stderr=False))


@app.command(rich_help_panel=CORPUS)
def tokenize(path: ConfigFile, overrides: Set = None, workers: Workers = None, beam: Beam = None) -> None:
    """Make token shards from a finished build's shards.

    It uses the configured tokenizer, or the one trained earlier. Finished work is not repeated.
    """
    with _errors():
        config, runner = _staged(path, overrides, workers, beam)
        from pipelines import build as pipeline

        folder = shortened(pipeline.run_tokenize(config, path.resolve().parent, runner, console()))
        say(f"done: {folder}\nnext: derlem show {shlex.quote(folder)} --ids")


@app.command(rich_help_panel=LOOK)
def verify(folder: Folder) -> None:
    """Check every file of a corpus, or of a crawl, against its manifests: checksums, schemas, counts."""
    from corpus import dataset, files, places
    from corpus.crawl import catalogue

    with _errors():
        places.folder(folder, "DIR")
        made = [files.join(folder, name) for name in (stage.folder for stage in chain.STAGES)]
        there = [stage for stage in made if files.size(stage, dataset.MANIFEST) is not None]
        there += catalogue.stages(folder)
        faults = 0
        advice: dict[str, None] = {}
        for stage in there or [folder]:
            found = dataset.verify(stage)
            faults += len(found)
            if found:
                advice[catalogue.mending(dataset.load(stage).stage)] = None
            for fault in found:
                say(f"{stage}: {fault}", style="red")
            if not found:
                manifest = dataset.load(stage)
                number = sum(len(unit.files) for unit in manifest.units)
                say(f"{stage}: {number} files and the counts of {len(manifest.units)} units are right")
        if faults:
            fail(f"{faults} faults in {folder}; {'; '.join(advice)}")


@app.command(rich_help_panel=LOOK)
def inspect(folder: Folder, as_json: AsJson = False) -> None:
    """Show a corpus in numbers: totals, languages, lengths, hosts, and what each stage took out."""
    from corpus import places
    from corpus.inspect.overview import overview
    from corpus.inspect.render import render_overview

    with _errors():
        places.folder(folder, "DIR")
        found = overview(folder)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_overview(found, console(stderr=False))


@app.command(rich_help_panel=LOOK)
def show(
    folder: Folder,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only this language, e.g. tur_Latn.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Show N documents drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 0,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of documents to show (ignored with --random).")
    ] = 5,
    dropped: Annotated[
        str | None, typer.Option(metavar="RULE", help="Documents that RULE dropped: gopher, dedupe.near …")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Records that could not be read.")] = False,
    parts: Annotated[bool, typer.Option("--parts", help="Cleaned documents before deduplication.")] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="Token shards, decoded.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Token shards: pieces with their ids.")] = False,
    document: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The document of this id.")
    ] = None,
    find: Annotated[str | None, typer.Option(metavar="WORDS", help="Documents with these words.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, however long.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read documents: what was kept, what was dropped and why, what could not be read."""
    from corpus import places
    from corpus.inspect.documents import documents
    from corpus.inspect.render import CHARACTERS, render_documents

    if parts and (tokens or ids):
        fail(
            "--parts cannot be combined with --tokens or --ids: documents are shown from one stage", status=2
        )
    with _errors():
        places.folder(folder, "DIR")
        found = documents(
            folder,
            language=language,
            random=random,
            seed=seed,
            limit=limit,
            stage="tokens" if tokens or ids else "parts" if parts else None,
            rule=dropped,
            rejected=rejected,
            id=document,
            find=find,
            ids=ids,
        )
        if as_json:
            for entry in found:
                print(json.dumps(entry.as_dict(), ensure_ascii=False))
        else:
            render_documents(found, console(stderr=False), None if full else CHARACTERS, find)


@app.command(rich_help_panel=LOOK)
def clusters(
    folder: Folder,
    largest: Annotated[int, typer.Option(min=1, metavar="N", help="Number of clusters to show.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the largest clusters of copies, with the passages in which two members differ."""
    from corpus import places
    from corpus.inspect.clusters import clusters as find_clusters
    from corpus.inspect.render_clusters import render_clusters

    with _errors():
        places.folder(folder, "DIR")
        found = find_clusters(folder, largest)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_clusters(found, console(stderr=False))


@app.command(rich_help_panel=CORPUS)
def presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this preset.")] = None,
) -> None:
    """List the presets of quality filters, or print one with the source of each number."""
    from corpus import filters

    with _errors():
        print(filters.source(name) if name is not None else "\n".join(filters.names()))


def _staged(
    path: Path, overrides: list[str] | None, workers: int | None, beam: list[str] | None
) -> tuple[Config, Runner]:
    """Read a configuration, choose what runs it, and make the terminal ready for a stage."""
    from corpus import places
    from corpus.config import load, located

    config = load(path, overrides or ())
    places.writable(located(config, path.resolve().parent).output, "output")
    from pipelines import progress

    progress.take_terminal()
    from pipelines import options

    return config, options.choose(config.run, workers, tuple(beam or ()))


def _errors() -> AbstractContextManager[None]:
    """Turn errors that a user can fix into one message; others keep their trace."""
    from corpus.counts import CountsError
    from corpus.dataset import DatasetError
    from pipelines.errors import StageError

    return mendable(CountsError, DatasetError, StageError)


app.add_typer(tokenizer_app, name="tokenizer", rich_help_panel=CORPUS)
app.add_typer(crawl_app)
app.add_typer(commoncrawl_app)
app.add_typer(trainer_app)  # its commands follow those of the corpus


def main() -> None:
    """Run the command line."""
    app(prog_name="derlem")


if __name__ == "__main__":
    main()
