"""The command that describes a finished corpus; every heavy import happens inside it."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, place, reported, say

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def card(
    folder: Folder,
    name: Annotated[
        str, typer.Option(metavar="TEXT", show_default="the folder's name", help="The corpus's name.")
    ] = "",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=place, show_default="the build", help="Another folder."
        ),
    ] = None,
) -> None:
    """Write the dataset card: README.md and croissant.json.

    It has sources with licences, languages, every limit in force, what was taken out, personal data, and
    known gaps. The licence of a source is the key licence of its table in the configuration.
    """
    from corpus import files, made, places
    from corpus.inspect.card import card as describe
    from corpus.inspect.card import readme
    from corpus.inspect.croissant import croissant

    with reported():
        places.folder(folder, "DIR")
        known = made.read(folder)
        title = name or files.real(folder).rstrip("/").rpartition("/")[2]
        found = describe(folder, title, known.config if known else None)
        for path, text in (("README.md", readme(found)), ("croissant.json", croissant(found))):
            files.write_bytes(output or folder, path, text.encode())
            say(f"wrote {files.join(output or folder, path)}")
        for gap in found.gaps:
            say(f"gap: {gap}")
