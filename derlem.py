"""The front door: the command line, mounted from `commands`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from corpus import interrupt

if Path(sys.argv[0]).stem == "derlem":  # as a command: a Ctrl-C is answered from here on, during imports too
    interrupt.answer("stopped")

import typer

from commands import (
    build,
    card,
    commoncrawl,
    compare,
    cost,
    crawl,
    decontaminate,
    dedupe,
    extract,
    forget,
    look,
    mix,
    quality,
    status,
    tokenizer,
    train,
    view,
    whatif,
)
from commands.terminal import CORPUS, LOOK, Group

app = typer.Typer(
    name="derlem",
    cls=Group,
    help="Make a language-model corpus from the web, Turkish first, and say what it is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"derlem {version('derlem')}")
        raise typer.Exit


@app.callback()
def _derlem(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options of the program itself."""


app.add_typer(build.app)
app.add_typer(forget.app)
app.add_typer(look.app)
app.add_typer(extract.app)
app.add_typer(whatif.app)
app.add_typer(card.app)
app.add_typer(decontaminate.app)
app.add_typer(status.app)
app.add_typer(view.app)
app.add_typer(cost.app)
app.add_typer(dedupe.app, name="dedupe", rich_help_panel=LOOK)
app.add_typer(tokenizer.app, name="tokenizer", rich_help_panel=CORPUS)
app.add_typer(quality.app, name="quality", rich_help_panel=CORPUS)
app.add_typer(crawl.app)
app.add_typer(commoncrawl.app)
app.add_typer(train.app)
app.add_typer(compare.app)
app.add_typer(mix.app)


def main() -> None:
    """Run the command line."""
    app(prog_name="derlem")


if __name__ == "__main__":
    main()
