"""The command that finds the best mix of a corpus's streams; heavy imports are inside the function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import WORTH, AsJson, Terminal, console, local, reported, say, shortened

app = typer.Typer()

TWIN, TABLE = "mix.json", "mix.toml"


@app.command(rich_help_panel=WORTH)
def mix(
    path: Annotated[Path, typer.Argument(metavar="STUDY", parser=local, help="The study's TOML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set runs=32."),
    ] = None,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Only show the mixes that would be trained.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find the best mix of sources and languages with many small models.

    Each model is trained on another mix; a law fitted to their losses gives the best mix under a cap on
    repetition, and is tested on mixes that it has not seen and on the best one. The same command resumes.
    """
    from corpus import files, places

    with reported():
        from trainer.mix import config

        loaded = config.load(path, tuple(overrides or ()))
        places.writable(loaded.output, "output")
        places.folder(loaded.corpus, "corpus =")
        for folder in loaded.held_out:
            places.folder(folder, "held_out =")
        from commands.render import mix as shown
        from trainer.mix import advice, swarm
        from trainer.records import plain

        planned = swarm.plan(loaded)
        shown.plan(planned, console(stderr=not only_plan))
        if only_plan:
            return
        found = advice.advise(planned, Terminal())
        twin = plain(found)
        files.write_json(loaded.output, TWIN, twin)
        files.write_bytes(loaded.output, TABLE, found.toml().encode())
        if as_json:
            print(json.dumps(twin, ensure_ascii=False, allow_nan=False))
        else:
            shown.found(found, console(stderr=False))
        for name in (TWIN, TABLE):
            say(f"wrote {shortened(str(Path(loaded.output) / name))}")
