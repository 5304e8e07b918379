"""The command that extracts one page, and says what kind it is and why each line was kept or dropped."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from commands.terminal import LOOK, AsJson, console, place, reported

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def extract(
    page: Annotated[str, typer.Argument(metavar="FILE", parser=place, help="An HTML file, or a WARC file.")],
    url: Annotated[str | None, typer.Option(metavar="URL", help="The page in the WARC file.")] = None,
    why: Annotated[
        bool, typer.Option("--why", help="The kind of page, and all lines: kept or dropped, and why.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the main text of one page; with --why, what was kept and dropped, and the reasons."""
    from corpus.inspect.page import explain, read
    from corpus.text.html import extract as main_text

    with reported():
        html = read(page, url)
        if not why:
            text = main_text(html)
            print(json.dumps({"text": text}, ensure_ascii=False) if as_json else text)
            return
        found = explain(html)
        if as_json:
            print(json.dumps(found.kind._asdict()))
            for line in found.lines:
                print(json.dumps(line.as_dict(), ensure_ascii=False))
            return
        out = console(stderr=False)
        out.print(f"kind of page: {found.kind.name}, score {found.kind.score:.2f}", highlight=False)
        for line in found.lines:
            style, sign = ("green", "+") if line.kept else ("red", "-")
            out.print(f"{sign} {line.likely:.2f}", style=style, end=" ", highlight=False)
            out.print(line.text, markup=False, highlight=False)
            out.print(f"       {line.path}  ({', '.join(line.reasons)})", style="dim", markup=False)
