"""Messages of commands to a person, on stderr; programs read stdout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from corpus.teller import Bar


# The panels of `derlem --help`, in the order in which a user needs them.
CORPUS, LOOK, CRAWL, TRAIN, WORTH = "Corpus", "Look", "Crawl", "Train", "Worth"

WORKERS = "Local worker processes."
Workers = Annotated[int | None, typer.Option(metavar="N", show_default="1", help=WORKERS)]
Beam = Annotated[
    list[str] | None, typer.Argument(metavar="-- BEAM OPTIONS", help="Beam's own options, after --.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]


def place(text: str) -> str:
    """Return the path or URL that an argument names, from the working directory."""
    from corpus import files, places

    try:
        return files.located(places.usable(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def local(text: str | Path) -> Path:
    """Return the path on this machine that an argument names, from the working directory."""
    from corpus import files

    if not files.is_local(str(text)):
        raise typer.BadParameter(f"{text}: expected a path on this machine, not a URL")
    return Path(place(str(text)))


class Group(TyperGroup):
    """A group of commands whose help is wrapped to the width of the terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for command in self.commands.values():
            command.help = _flowing(command.help or "")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse words that are not UTF-8, which neither text nor JSON can hold."""
        for word in args:
            if re.search("[\ud800-\udfff]", word):
                raise typer.BadParameter(f"{word!r}: expected UTF-8 text")
        return super().parse_args(ctx, args)


def _flowing(text: str) -> str:
    """Return paragraphs as one line each, their brackets marked as text: Rich reads [name] as a style."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return re.sub(r"\[(?=[a-z#/@])", r"\\[", "\n\n".join(paragraphs))


def console(stderr: bool = True) -> Console:
    """Return a Rich console that does not colour numbers on its own."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(text: str, style: str | None = None) -> None:
    """Print plain text to stderr: brackets are not markup, lines are not broken."""
    console().print(text, style=style, soft_wrap=True, markup=False)


def shortened(url: str) -> str:
    """Return a local path as seen from the working directory."""
    from corpus import files

    return os.path.relpath(files.located(url)) if files.is_local(url) else url


def fail(text: str, status: int = 1) -> NoReturn:
    """End the command with a message."""
    say(text, style="red")
    raise typer.Exit(status)


@contextmanager
def reported() -> Iterator[None]:
    """End the command with the message of an error that a user can act on, or of a signal that stopped a run.

    A package of an extra that is not installed is named with what installs it. Other errors keep their trace.
    """
    from corpus import files, places
    from corpus.errors import DerlemError, ElsewhereError, StoppedError

    try:
        with files.told_of_full_disk("a file"):
            yield
    except ElsewhereError as error:
        raise typer.Exit(error.ends_with) from None
    except StoppedError as stopped:
        say(str(stopped))
        raise typer.Exit(128 + stopped.signal) from None
    except DerlemError as error:
        fail(str(error), error.status)
    except ModuleNotFoundError as error:
        extra = places.extra_of(error.name or "")
        if extra is None:
            raise
        fail(f"this command needs {error.name}, which is not installed: {places.installs(extra)}")


class Terminal:
    """Messages, bars and reports on a Rich console: that of stderr unless another is given."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console()

    @property
    def draws(self) -> bool:
        return self._console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        return self._console.status(text)

    @contextmanager
    def bar(self, name: str, total: float, stays: bool = False) -> Iterator[Bar]:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            *([TextColumn("[bold]{task.fields[name]}")] if name else []),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            *([] if stays else [TimeRemainingColumn()]),
        )
        with Progress(*columns, console=self._console, transient=not stays) as drawn:
            yield _Bar(drawn, drawn.add_task("", total=total, name=name))

    def report(self, summary: Mapping[str, Any]) -> None:
        from commands.render.stage import render_stage

        render_stage(summary, self._console)

    def note(self, event: str, **facts: object) -> None:
        pass


class _Bar:
    def __init__(self, drawn: Progress, task: TaskID) -> None:
        self._drawn, self._task = drawn, task

    def update(self, done: float, text: str) -> None:
        self._drawn.update(self._task, completed=done, description=text)
