"""The command that opens the viewer; every heavy import happens inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, local, place, reported, say

if TYPE_CHECKING:
    from corpus.view.pages import Steps

_EXAMPLES = 10  # of each change to another build

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def view(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 0,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=local, help="Label documents, into this JSONL file.")
    ] = None,
    other: Annotated[
        str | None,
        typer.Option("--diff", metavar="DIR2", parser=place, help="Show what changed to this build."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", parser=local, help="Show what a training run's steps read.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=local, help="Write the summary pages, and end.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=local, help="Write a table of all texts, and end.")
    ] = None,
) -> None:
    """Look at a corpus in a browser: funnel, documents, rules, hosts, what another limit would do.

    Needs the extra "view". The pages are served to this machine only.
    """
    from corpus import places

    with reported():
        from corpus.inspect.build import open_build
        from corpus.inspect.diff import diff
        from corpus.inspect.texts import Texts
        from corpus.view import export as files
        from corpus.view.index import open_index
        from corpus.view.labels import Labels
        from corpus.view.pages import Viewer
        from corpus.view.questions import Questions
        from corpus.view.server import serve

        places.folder(folder, "DIR")
        texts = Texts(open_build(folder))
        questions = Questions(
            texts, open_index(texts, lambda done: say(f"{done:,} of {texts.count:,} texts read"))
        )
        if parquet is not None:
            say(f"{parquet}: {files.table_to(questions, parquet):,} rows")
        if export is not None:
            say(f"{files.pages_to(questions, export)[0]}: open it in a browser")
        if parquet is None and export is None:
            changes = diff(folder, other, _EXAMPLES) if other is not None else None
            steps = _steps(run) if run is not None else None
            kept = Labels(labels) if labels is not None else None
            viewer = Viewer(questions, kept, changes=changes, steps=steps)
            serve(viewer, port, lambda address: say(f"{address}\nCtrl-C ends it"))


def _steps(run: Path) -> Steps:
    """Return what tells the rows of a training run's steps; ConfigError where there is no run."""
    from corpus.errors import ConfigError
    from trainer import identity, tokens
    from trainer.trace import trace

    held = identity.read(run)
    if held is None:
        raise ConfigError(f"--run {run}: the folder holds no training run")
    opened = tokens.open(held["corpus"])
    order = tokens.order(identity.config(run, held), opened)

    def rows(step: int) -> list[dict[str, Any]]:
        return [row.as_dict() for row in trace(opened, order, step)]

    return rows
