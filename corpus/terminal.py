"""How a command speaks to the person at the terminal; programs read stdout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console


def console(stderr: bool = True) -> Console:
    """Give a Rich console that gives numbers no colours of its own."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def say(text: str, style: str | None = None) -> None:
    """Print plain text to stderr: brackets are no markup, lines are not broken."""
    console().print(text, style=style, soft_wrap=True, markup=False)


def shortened(url: str) -> str:
    """Give a local path as seen from where the user stands."""
    return os.path.relpath(url) if "://" not in url else url


def fail(text: str, status: int = 1) -> NoReturn:
    """End the command with a message."""
    say(text, style="red")
    raise typer.Exit(status)


@contextmanager
def mendable(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that a user can mend into one message and exit status 2 (configuration) or 1; others keep
    their trace."""
    from corpus.settings import ConfigError

    try:
        yield
    except ConfigError as error:
        fail(str(error), status=2)
    except kinds as error:
        fail(str(error))
