"""The command that brings pages in from Common Crawl; every heavy import happens inside it."""

from __future__ import annotations

import os
import shlex
from typing import Annotated, Any

import typer

from commands.terminal import CRAWL, Beam, Workers, fail, place, reported, say, shortened
from commands.watched import Log, Metrics, watched

app = typer.Typer()

Names = list[str] | None


@app.command(rich_help_panel=CRAWL)
def commoncrawl(
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", parser=place, help="Output folder.")
    ],
    language: Annotated[
        Names,
        typer.Option(
            metavar="CODE", show_default="tur", help="ISO 639-3 code of a page's first language, or all."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="10,000",
            help="Number of pages, drawn from the whole index; 0: all that match.",
        ),
    ] = None,
    crawl: Annotated[
        str,
        typer.Option(
            metavar="NAME", show_default="the newest", help="A crawl of Common Crawl, e.g. CC-MAIN-2024-22."
        ),
    ] = "",
    tld: Annotated[
        Names, typer.Option(metavar="NAME", help="Top-level domain of the pages, e.g. tr.")
    ] = None,
    domain: Annotated[
        Names, typer.Option(metavar="NAME", help="Domain of the pages; includes its subdomains.")
    ] = None,
    host: Annotated[
        Names, typer.Option(metavar="NAME", help="Host of the pages, without its subdomains.")
    ] = None,
    status: Annotated[
        list[int] | None, typer.Option(metavar="N", show_default="200", help="HTTP status.")
    ] = None,
    mime: Annotated[
        Names, typer.Option(metavar="TYPE", show_default="HTML and XHTML", help="Media type as detected.")
    ] = None,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Include pages that Common Crawl truncated.")
    ] = False,
    via: Annotated[
        str,
        typer.Option(metavar="INDEX", help="columnar, or cdx, which needs --tld, --domain or --host."),
    ] = "columnar",
    paths: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Fetch whole WARC or WET files instead: those listed in this file or URL.",
        ),
    ] = "",
    base: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default="Common Crawl",
            help="URL of Common Crawl's files, or the folder of a local copy.",
        ),
    ] = None,
    index_base: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default="Common Crawl",
            help="URL of Common Crawl's CDX API.",
        ),
    ] = None,
    contact: Annotated[
        str, typer.Option(metavar="WHO", help="A page or mail address where Common Crawl can reach you.")
    ] = "",
    connections: Annotated[
        int | None, typer.Option(metavar="N", show_default="4", help="Requests at once, per worker.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VAL", help="Override a key, e.g. --set access.tries=3."),
    ] = None,
    workers: Workers = None,
    log: Log = None,
    metrics: Metrics = None,
    beam: Beam = None,
) -> None:
    """Fetch pages from Common Crawl: find them in its index, copy their records into WARC files.

    Repeatable options match any of the given values. Finished work is not repeated: after a stop the same
    command resumes. Beam's own options follow after --.
    """
    from corpus import files, places

    with reported():
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
        places.writable(output, "--output")
        if paths:
            places.usable_as(paths, "--paths")
        config = _config(selection, access, overrides or [])
        if files.is_local(config.access.base):
            places.folder(config.access.base, "access.base =")
        if paths and any(selection[key] for key in ("crawl", "languages", "tlds", "domains", "hosts")):
            fail("--paths takes whole files: no language, crawl or place can be chosen", status=2)
        from pipelines import progress

        progress.take_terminal()
        from corpus.config import Run
        from pipelines import commoncrawl as pipeline
        from pipelines import options

        runner = options.choose(Run(workers=1), workers, tuple(beam or ()))
        where = files.located(output, os.getcwd())
        with watched(log, metrics) as teller:
            fetched = pipeline.run(config, where, paths, runner, teller)
        folder = shortened(fetched.folder)
        named = ", and ".join(
            f'{shlex.quote(f"{folder}/{kind}/*.gz")} under a [[source]] with format = "{kind}"'
            for kind in fetched.kinds
        )
        begin = f"derlem init corpus.toml --crawl {shlex.quote(shortened(where))}"
        say(f"done: {folder}\nnext: {begin}, or name {named}; then derlem build")


def _config(selection: dict[str, Any], access: dict[str, Any], overrides: list[str]) -> Any:
    """Return the defaults with the options and --set over them; ConfigError for a wrong value."""
    from corpus import settings
    from corpus.commoncrawl.config import CommonCrawl

    given = {
        "selection": {key: value for key, value in selection.items() if value is not None},
        "access": {key: value for key, value in access.items() if value is not None},
    }
    where = settings.named("derlem commoncrawl", overrides)
    return settings.parse(CommonCrawl, settings.overlay(given, overrides), where)
