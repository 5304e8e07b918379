"""Arguments that several corpus commands take, and the errors that they turn into a message."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import WORKERS, local, place

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", parser=local, help="The corpus's TOML file.")]
Folder = Annotated[
    str, typer.Argument(metavar="DIR", parser=place, help="A build's output folder (or one stage's).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set dedupe.threshold=0.8."),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", show_default="run.workers, else the number of processors", help=WORKERS),
]
