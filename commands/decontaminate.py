"""The command that looks for evaluation sets in a corpus; every heavy import happens inside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, AsJson, local, place, reported, say, shortened

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def decontaminate(
    folder: Folder,
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", parser=place, help="JSON lines, Parquet or Arrow files."),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A column of texts (question); may be repeated."),
    ] = None,
    answer: Annotated[
        str, typer.Option(metavar="NAME", help="The column of the answer, looked for near by.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=local, help="List the rows that are held."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the texts of an evaluation set that a corpus holds.

    Case, marks and suffixes may differ. To mark or remove such documents in a build, name the tables in
    [filter.contamination].
    """
    from corpus import places
    from corpus.decontaminate import references
    from corpus.inspect.contamination import look

    with reported():
        places.folder(folder, "DIR")
        found = look(folder, references.read(tables, column or ["question"], answer))
        lines = [json.dumps(asdict(held), ensure_ascii=False) for held in found.held]
        if output is not None:
            output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if as_json:
            print(json.dumps(asdict(found), ensure_ascii=False))
            return
        say(
            f"{len(found.held):,} of {found.texts:,} texts are held, by {found.contaminated:,} of "
            f"{found.documents:,} documents; {found.too_short:,} were too short to look for"
        )
        for held in found.held[:20]:
            say(f"{held.score:.2f} {held.file} row {held.row}: {held.text}")
        if output is not None:
            say(f"wrote {shortened(str(output))}: {len(lines):,} rows")
