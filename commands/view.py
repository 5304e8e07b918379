"""The command that opens the viewer; every heavy import happens inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, fail, local, reported, say

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def view(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 0,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=local, help="Label documents, into this JSONL file.")
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

    try:
        from corpus.inspect.texts import Texts
        from corpus.view import export as files
        from corpus.view.index import open_index
        from corpus.view.labels import Labels
        from corpus.view.pages import Viewer
        from corpus.view.questions import Questions
        from corpus.view.server import serve
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed: {places.missing_extra('view', 'the pages of derlem view')}")
    from corpus.inspect.build import open_build

    with reported():
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
            viewer = Viewer(questions, Labels(labels) if labels is not None else None)
            serve(viewer, port, lambda address: say(f"{address}\nCtrl-C ends it"))
