"""The command that tells what a build and a training run cost; every heavy import happens inside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, AsJson, console, local, reported

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def cost(
    folder: Folder,
    documents: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="as many as were measured",
            help="Documents that enter the first stage.",
        ),
    ] = None,
    on: Annotated[str, typer.Option(metavar="NAME", help="Workers in the prices.")] = "dataflow",
    slower: Annotated[
        float, typer.Option(min=0.01, metavar="X", help="How many times as long their processors take.")
    ] = 1.0,
    months: Annotated[float, typer.Option(min=0, metavar="N", help="Months that the files are kept.")] = 1.0,
    train: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_FILE", help="Also a training run: a preset or a TOML file."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the training run."),
    ] = None,
    gpu: Annotated[str, typer.Option(metavar="NAME", help="Its GPU in the prices.")] = "H100",
    gpus: Annotated[int, typer.Option(min=1, metavar="N", help="How many of them.")] = 1,
    mfu: Annotated[
        float, typer.Option(min=0.01, max=1, metavar="X", help="Share of their peak that it reaches.")
    ] = 0.4,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=local, help="Prices of your own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate hours, storage and price of a larger build from the seconds that this one took.

    With --train also those of a training run, which needs the tokenizer of a finished tokenize.
    """
    with reported():
        from commands.render.cost import render_build, render_training
        from corpus import places
        from corpus.inspect.build import open_build
        from corpus.prices import load
        from pipelines.cost import estimate, measure

        places.folder(folder, "DIR")
        listed = load(prices)
        worker = listed.worker(on)
        build = open_build(folder)
        found = estimate(measure(build), documents, worker, listed.storage, slower, months)
        training = None
        if train is not None:
            from trainer import config, tokens
            from trainer.cost import plan

            card = listed.gpu(gpu)
            facts = build.need("tokenize", "know the vocabulary of the model").manifest.facts
            vocabulary = int(str(facts["vocabulary"]))
            settings = tokens.sized(config.load(train, overrides or ()), tokens.open(folder))
            training = plan(settings, vocabulary, gpu, gpus, mfu)
        if as_json:
            known = {"currency": listed.currency, "on": on, "build": found.as_dict()}
            if training is not None:
                priced = {"price": training.hours * card.hour, "spot_price": training.hours * card.spot_hour}
                known["training"] = {**asdict(training), "wall_hours": training.wall_hours, **priced}
            print(json.dumps(known, ensure_ascii=False))
            return
        to = console(stderr=False)
        render_build(found, worker, listed, to)
        if training is not None:
            render_training(training, card, listed.currency, to)
