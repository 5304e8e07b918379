"""The commands about copies; every heavy import happens inside them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import AsJson, Group, console, reported

app = typer.Typer(cls=Group, help="Look at how copies were found.", no_args_is_help=True)


@app.callback()
def _dedupe() -> None:
    """Keep the group of commands a group, while it has one."""


@app.command()
def audit(
    folder: Folder,
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="Removed copies to compare.")] = 1_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the sample.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare removed near and URL copies with the kept texts: true similarity beside the stored one.

    A removal is true where the Jaccard similarity of the texts' own shingles reaches dedupe.threshold.
    """
    from commands.render.audit import render_audit
    from corpus import places
    from corpus.inspect.audit import audit as compare

    with reported():
        places.folder(folder, "DIR")
        found = compare(folder, sample, seed)
        if as_json:
            print(json.dumps(found.as_dict()))
        else:
            render_audit(found, console(stderr=False))
