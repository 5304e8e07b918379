"""The command that tells how far a build, a crawl or a training run is; heavy imports happen inside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.terminal import LOOK, AsJson, console, fail, place, reported

if TYPE_CHECKING:
    from rich.console import RenderableType

_EVERY_S = 5.0

app = typer.Typer()

Look = Callable[[], "tuple[dict[str, Any], RenderableType]"]


@app.command(rich_help_panel=LOOK)
def status(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", parser=place, help="The folder of a build, a crawl or a run.")
    ],
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 5 s, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a build, a crawl or a training run is, from its files alone, wherever it runs.

    A build: stage, units, documents, rate, time left, errors. A run: step, loss, speed, data wait.
    """
    from corpus import places

    with reported():
        places.folder(folder, "DIR")
        look = _look(folder)
        if look is None:
            fail(f"{folder}: neither a build, nor a crawl, nor a training run", status=2)
        if as_json:
            print(json.dumps(look()[0], ensure_ascii=False))
            return
        out = console(stderr=False)
        if not watch:
            out.print(look()[1])
            return
        from rich.live import Live

        with Live(look()[1], console=out, auto_refresh=False) as shown:
            while True:
                time.sleep(_EVERY_S)
                shown.update(look()[1], refresh=True)
                if not out.is_terminal:
                    out.print(look()[1])


def _look(folder: str) -> Look | None:
    """Return what looks at a folder: values for JSON, and what a person sees; None if derlem wrote none."""
    from commands.render.status import build_status, crawl_status, run_status
    from corpus import files
    from corpus.crawl.state import layout
    from corpus.crawl.state.status import Watch
    from pipelines.status import BuildWatch
    from trainer.status import status as run

    if files.size(folder, layout.START) is not None:
        crawl = Watch(folder)
        return lambda: ((found := crawl.look()).as_dict(), crawl_status(found))
    watch = BuildWatch(folder)

    def look() -> tuple[dict[str, Any], RenderableType]:
        if (trained := run(folder)) is not None:
            return trained.as_dict(), run_status(trained)
        built = watch.look()
        assert built is not None
        return built.as_dict(), build_status(built)

    return look if run(folder) is not None or watch.look() is not None else None
