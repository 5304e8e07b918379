"""The command that tries other filters; every heavy import happens inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import LOOK, AsJson, console, place, reported

app = typer.Typer()


@app.command("what-if", rich_help_panel=LOOK)
def what_if(
    where: Annotated[
        str, typer.Argument(metavar="DIR_OR_CONFIG", parser=place, help="A build's folder, or its TOML file.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the filters."),
    ] = None,
    random: Annotated[
        int, typer.Option(min=0, metavar="N", help="Show N documents, drawn at random, whose fate changes.")
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Predict how many documents and words other filters would keep, without a new build.

    Name the folder of a finished build and the keys that differ, or the changed configuration.
    """
    from commands.render.whatif import render_what_if
    from corpus import places, settings
    from corpus.config import load, located
    from corpus.errors import found_in
    from corpus.whatif import what_if as try_filters

    with reported():
        if where.endswith(".toml"):
            base = Path(where).resolve().parent
            config = located(load(Path(where), overrides or ()), base)
            with found_in(settings.named(where, overrides or ())):
                found = try_filters(
                    config.output, section=config.filter, base=base, examples=random, seed=seed
                )
        else:
            places.folder(where, "DIR")
            found = try_filters(where, overrides or (), examples=random, seed=seed)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_what_if(found, console(stderr=False))
