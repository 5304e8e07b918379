"""The commands of tokenizers; every heavy import happens inside them."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

import typer

from commands.arguments import ConfigFile, Folder, Set
from commands.terminal import AsJson, Group, console, reported, say, shortened

app = typer.Typer(cls=Group, help="Train a tokenizer and compare it with others.", no_args_is_help=True)


@app.command()
def train(path: ConfigFile, overrides: Set = None) -> None:
    """Train a SentencePiece model on the shards of a finished build, as [tokenizer] says.

    Does nothing if the existing model was trained from the same shards and settings.
    """
    from corpus import files, places
    from corpus.config import load, located

    with reported():
        config = located(load(path, overrides or ()), path.resolve().parent)
        places.writable(config.output, "output")
        from corpus.tokenizer import FOLDER, MODEL
        from corpus.tokenizer.train import ensure

        trained = ensure(config.output, config.tokenizer)
        url = shortened(files.join(config.output, FOLDER, MODEL))
        same = f"{url} was made from these shards and settings: nothing to do"
        say(trained.summary(url) if trained is not None else same)
        say(f"next: derlem tokenize {shlex.quote(str(path))}")


@app.command()
def compare(
    folder: Folder,
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="SentencePiece models, or tiktoken:NAME.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare tokenizers on validation documents: bytes per token and tokens per word, by language."""
    from commands.render.costs import render_costs
    from corpus import places
    from corpus.inspect.build import open_build
    from corpus.tokenizer.compare import compare as measure

    with reported():
        places.folder(folder, "DIR")
        for model in models:
            if not model.startswith("tiktoken:"):
                places.usable_as(model, "MODEL")
        costs = measure(open_build(folder).need("shard", "compare tokenizers").folder, models)
        if as_json:
            print(json.dumps([cost.as_dict() for cost in costs], ensure_ascii=False))
        else:
            render_costs(costs, console(stderr=False))
