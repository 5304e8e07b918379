"""The command that brings pages in from Common Crawl; every heavy import happens inside it."""

from __future__ import annotations

import os
import shlex
from typing import Annotated, Any

import typer

from corpus.terminal import console, fail, mendable, say, shortened

app = typer.Typer()

Names = list[str] | None


@app.command()
def commoncrawl(
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Where all goes.")],
    language: Annotated[
        Names, typer.Option(metavar="CODE", help="ISO 639-3 code of a page's first language, or all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Pages, drawn all over the index; 0: all that fit.")
    ] = None,
    crawl: Annotated[
        str, typer.Option(metavar="NAME", help="Such as CC-MAIN-2024-22; without one, the newest.")
    ] = "",
    tld: Annotated[Names, typer.Option(metavar="NAME", help="Pages below this top-level domain.")] = None,
    domain: Annotated[Names, typer.Option(metavar="NAME", help="... of this name and all below it.")] = None,
    host: Annotated[Names, typer.Option(metavar="NAME", help="... of this host alone.")] = None,
    status: Annotated[list[int] | None, typer.Option(help="HTTP status; without one, 200.")] = None,
    mime: Annotated[
        Names, typer.Option(metavar="TYPE", help="Media type as detected; without one, HTML and XHTML.")
    ] = None,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Also pages that Common Crawl cut.")
    ] = False,
    via: Annotated[
        str, typer.Option(metavar="columnar|cdx", help="Which index is asked; cdx needs a place.")
    ] = "columnar",
    paths: Annotated[
        str,
        typer.Option(
            metavar="FILE_OR_URL", help="Instead of pages: the whole WARC or WET files in this list."
        ),
    ] = "",
    base: Annotated[
        str | None, typer.Option(metavar="URL", help="Where Common Crawl's files lie; a local copy will do.")
    ] = None,
    index_base: Annotated[str | None, typer.Option(metavar="URL", help="Where its CDX API is.")] = None,
    contact: Annotated[
        str, typer.Option(help="A page or mail address by which Common Crawl can reach you.")
    ] = "",
    connections: Annotated[
        int | None, typer.Option(min=1, help="Requests at once, of each worker; 4 if not said.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other key, e.g. --set selection.spread=64."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Local worker processes.")] = None,
    beam: Annotated[list[str] | None, typer.Argument(metavar="[-- BEAM OPTIONS]")] = None,
) -> None:
    """Fetch pages that Common Crawl has crawled: find them in its index, copy their records into WARC files.

    An option that may be given several times takes any of what it names. What is fetched already is not
    fetched again: the same command goes on where it stopped. Beam's own options follow after --.
    """
    from corpus.commoncrawl.patience import ServerError
    from corpus.counts import CountsError
    from corpus.dataset import DatasetError
    from pipelines.errors import StageError

    with mendable(CountsError, DatasetError, StageError, ServerError):
        selection: dict[str, Any] = {
            "crawl": crawl,
            "languages": [] if language == ["all"] else language,
            "tlds": tld,
            "domains": domain,
            "hosts": host,
            "statuses": status,
            "mimes": mime,
            "truncated": allow_truncated,
            "limit": limit if limit is not None or not paths else 0,
            "via": via,
        }
        access = {
            "base": base,
            "index_base": index_base,
            "agent": {"contact": contact},
            "connections": connections,
        }
        config = _config(selection, access, overrides or [])
        if paths and any(selection[key] for key in ("crawl", "languages", "tlds", "domains", "hosts")):
            fail("--paths takes whole files: no language, crawl or place can be chosen", status=2)
        from pipelines import progress

        progress.take_terminal()
        from corpus.config import Run
        from pipelines import commoncrawl as pipeline
        from pipelines import options

        runner = options.choose(Run(), workers, tuple(beam or ()))
        where = output if "://" in output else os.path.abspath(os.path.expanduser(output))
        folder = shortened(pipeline.run(config, where, paths, runner, console()))
        kind = "wet" if paths and os.path.isdir(f"{folder}/wet") else "warc"
        say(
            f"done: {folder}\nnext: name {shlex.quote(f'{folder}/{kind}/*.gz')} under [[source]] with "
            f'format = "{kind}", then derlem build'
        )


def _config(selection: dict[str, Any], access: dict[str, Any], overrides: list[str]) -> Any:
    """Lay the options, and what is set by key, over the defaults; ConfigError says what is wrong."""
    from corpus import settings
    from corpus.commoncrawl.config import CommonCrawl

    given = {
        "selection": {key: value for key, value in selection.items() if value is not None},
        "access": {key: value for key, value in access.items() if value is not None},
    }
    return settings.parse(CommonCrawl, settings.overlay(given, overrides), "derlem commoncrawl")
