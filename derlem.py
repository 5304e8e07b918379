"""The front door: one function per command; every heavy import happens inside it."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="derlem",
    help="Make a language-model corpus from the web, Turkish first, and say what it is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

tokenizer_app = typer.Typer(help="Train a tokenizer and compare it with others.", no_args_is_help=True)
app.add_typer(tokenizer_app, name="tokenizer")

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(starter(), encoding="utf-8")
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
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
        signal.signal(signal.SIGINT, _stop)
        from pipelines import build as pipeline
        from pipelines import options

        if until not in pipeline.STAGES:
            _fail(f"--until {until}: expected one of {', '.join(pipeline.STAGES)}", status=2)
        runner = options.choose(loaded.run, workers, tuple(beam or ()))
        output = pipeline.run(loaded, path.resolve().parent, runner, _console(), until)
        folder = _shortened(output)
        _say(f"done: {folder}\nnext: derlem inspect {shlex.quote(folder)}")


@tokenizer_app.command()
def train(path: ConfigFile, overrides: Set = None) -> None:
    """Train a SentencePiece model on the shards of a finished build, as [tokenizer] says."""
    from corpus import files
    from corpus.config import load, located

    with _errors():
        config = located(load(path, overrides or ()), path.resolve().parent)
        from corpus.tokenizer import Tokenizer
        from corpus.tokenizer.train import save
        from corpus.tokenizer.train import train as fit

        trained = fit(files.join(config.output, "shards"), config.tokenizer)
        url = save(config.output, trained, config.tokenizer)
        sample = ", ".join(f"{name} {size / (1 << 20):,.1f} MiB" for name, size in trained.sample.items())
        pieces, asked = Tokenizer(trained.model).vocabulary, config.tokenizer.vocabulary
        few = f" of {asked:,} asked for: the corpus is too small for more" if pieces < asked else ""
        _say(f"sample: {sample}\nwrote {_shortened(url)}: {pieces:,} pieces{few}")
        _say(f"next: derlem tokenize {shlex.quote(str(path))}")


@tokenizer_app.command()
def compare(
    folder: Folder,
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="SentencePiece models, or tiktoken:NAME.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare tokenizers on a corpus's validation documents: bytes a token and tokens a word by language."""
    from corpus.inspect.build import open_build
    from corpus.inspect.render_costs import render_costs
    from corpus.tokenizer.compare import compare as measure

    with _errors():
        costs = measure(open_build(folder).need_shards("compare tokenizers").folder, models)
        if as_json:
            print(json.dumps([cost.as_dict() for cost in costs], ensure_ascii=False))
        else:
            render_costs(costs, _console(stderr=False))


@app.command()
def tokenize(
    path: ConfigFile,
    overrides: Set = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Local worker processes.")] = None,
    beam: Annotated[list[str] | None, typer.Argument(metavar="[-- BEAM OPTIONS]")] = None,
) -> None:
    """Make token shards of a finished build's shards; what is done already is not done again."""
    from corpus.config import load

    with _errors():
        loaded = load(path, overrides or ())
        _quiet()
        signal.signal(signal.SIGINT, _stop)
        from pipelines import build as pipeline
        from pipelines import options

        runner = options.choose(loaded.run, workers, tuple(beam or ()))
        folder = pipeline.run_tokenize(loaded, path.resolve().parent, runner, _console())
        _say(f"done: {_shortened(folder)}")


@app.command()
def verify(folder: Folder) -> None:
    """Check every file of a corpus against its manifests: checksums, schemas, counts."""
    from corpus import dataset, files

    with _errors():
        stages = [files.join(folder, name) for name in ("clean", "dedupe", "shards", "tokens")]
        there = [stage for stage in stages if files.size(stage, dataset.MANIFEST) is not None] or [folder]
        faults = 0
        for stage in there:
            found = dataset.verify(stage)
            faults += len(found)
            for fault in found:
                _say(f"{stage}: {fault}", style="red")
            if not found:
                manifest = dataset.load(stage)
                number = sum(len(unit.files) for unit in manifest.units)
                _say(f"{stage}: {number} files and the counts of {len(manifest.units)} units are right")
        if faults:
            _fail(
                f"{faults} faults in {folder}; remove the files named above: the next build makes them anew"
            )


@app.command()
def inspect(folder: Folder, as_json: AsJson = False) -> None:
    """Show a corpus in numbers: totals, languages, lengths, hosts, and the way from raw records to shards."""
    from corpus.inspect.overview import overview
    from corpus.inspect.render import render_overview

    with _errors():
        found = overview(folder)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_overview(found, _console(stderr=False))


@app.command()
def show(
    folder: Folder,
    language: Annotated[str | None, typer.Option(help="Only this language, e.g. tur_Latn.")] = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="N documents drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many, where they are not drawn.")] = 5,
    dropped: Annotated[
        str | None, typer.Option(metavar="RULE", help="Documents that RULE dropped: gopher, dedupe.near, …")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Records that could not be read.")] = False,
    parts: Annotated[bool, typer.Option("--parts", help="Cleaned documents before deduplication.")] = False,
    document: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The document of this id.")
    ] = None,
    find: Annotated[str | None, typer.Option(metavar="WORDS", help="Documents with these words.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, however long.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read documents: what was kept, what was dropped and why, what could not be read."""
    from corpus.inspect.documents import documents
    from corpus.inspect.render import CHARACTERS, render_documents

    with _errors():
        found = documents(
            folder,
            language=language,
            random=random,
            seed=seed,
            limit=limit,
            stage="parts" if parts else None,
            rule=dropped,
            rejected=rejected,
            id=document,
            find=find,
        )
        if as_json:
            for entry in found:
                print(json.dumps(entry.as_dict(), ensure_ascii=False))
        else:
            render_documents(found, _console(stderr=False), None if full else CHARACTERS, find)


@app.command()
def clusters(
    folder: Folder,
    largest: Annotated[int, typer.Option(min=1, help="How many clusters.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the largest clusters of copies, with the passages in which two members differ."""
    from corpus.inspect.clusters import clusters as find_clusters
    from corpus.inspect.render_clusters import render_clusters

    with _errors():
        found = find_clusters(folder, largest)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_clusters(found, _console(stderr=False))


@app.command()
def presets(name: Annotated[str | None, typer.Argument(help="Print this preset.")] = None) -> None:
    """List the presets of quality filters, or print one with the source of each number."""
    from corpus import filters

    with _errors():
        print(filters.source(name) if name else "\n".join(filters.names()))


@contextmanager
def _errors() -> Iterator[None]:
    """Turn errors that a user can mend into one message and exit status 2 or 1; others keep their trace."""
    from corpus.counts import CountsError
    from corpus.dataset import DatasetError
    from corpus.settings import ConfigError
    from pipelines.errors import StageError

    try:
        yield
    except ConfigError as error:
        _fail(str(error), status=2)
    except (CountsError, DatasetError, StageError) as error:
        _fail(str(error))


def _stop(number: int, frame: object) -> None:
    """Answer Ctrl-C."""
    from pipelines import progress

    progress.leave("stopped: what is finished is kept, and the same command goes on", 128 + number)


def _shortened(url: str) -> str:
    """Give a local path as seen from where the user stands."""
    return os.path.relpath(url) if "://" not in url else url


def _quiet() -> None:
    """Keep Beam's notes and traces off the terminal: what stops a stage is said once, by its own error."""
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


def _console(stderr: bool = True) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _say(text: str, style: str | None = None) -> None:
    _console().print(text, style=style, soft_wrap=True, markup=False)


def _fail(text: str, status: int = 1) -> NoReturn:
    _say(text, style="red")
    raise typer.Exit(status)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
