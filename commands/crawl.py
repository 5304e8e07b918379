"""The command `derlem crawl`; every heavy import happens inside it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import (
    CRAWL,
    Beam,
    Workers,
    fail,
    local,
    place,
    reported,
    say,
    shortened,
)
from commands.watched import Log, Metrics, watched

app = typer.Typer()


@app.command(rich_help_panel=CRAWL)
def crawl(
    seeds: Annotated[
        Path | None,
        typer.Argument(metavar="SEEDS", parser=local, help="A file with one URL or host per line."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", parser=place, help="The crawl's folder.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", parser=local, help="A TOML file with the crawl's settings."),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(metavar="WHO", help="A page or mail address where site owners reach you.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set limits.pages=500."),
    ] = None,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Fetch from this private network too, e.g. 10.0.0.0/8."),
    ] = None,
    again: Annotated[
        str | None, typer.Option(metavar="EARLIER", parser=place, help="Fetch the pages of this crawl again.")
    ] = None,
    workers: Workers = None,
    log: Log = None,
    metrics: Metrics = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Only print a CONFIG with every key and its meaning.")
    ] = False,
    beam: Beam = None,
) -> None:
    """Fetch web pages politely into WARC files; after a stop the same command resumes.

    It obeys robots.txt and the opt-outs of sites, pauses between requests to a host, and identifies its
    operator: it refuses to start without --contact (or agent.contact in CONFIG). `derlem build` reads the
    fetched pages.
    """
    from corpus import places

    with reported():
        if settings:
            from corpus.template import crawl_template

            print(crawl_template(), end="")
            return
        from corpus.crawl.config import load

        private = [f"network.allow={json.dumps(allow_network)}"] if allow_network else []
        named = [f"agent.contact={json.dumps(contact)}"] if contact else []
        loaded = load(config, (*private, *named, *(overrides or ())))
        if output is None:
            fail("name the crawl's folder: --output DIR", status=2)
        places.writable(output, "--output")
        if again is not None:
            places.folder(again, "--again")
        lines = _lines(seeds)
        from pipelines import progress

        progress.take_terminal()
        from corpus.config import Run
        from pipelines import crawl as pipeline
        from pipelines import options

        runner = options.choose(Run(workers=1), workers, tuple(beam or ()))
        with watched(log, metrics) as teller:
            ended = pipeline.run(output, loaded, lines, runner, teller, again or "")
        folder = shortened(output)
        say(f"{ended.why}: pages {ended.pages:,}, rounds {ended.rounds}, waiting {ended.waiting:,}")
        say(f"next: derlem init corpus.toml --crawl {shlex.quote(folder)}")


def _lines(seeds: Path | None) -> list[str]:
    if seeds is None:
        return []
    try:
        return seeds.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        fail(
            f"{seeds}: cannot be read: {error}; expected a text file with one URL or host per line",
            status=2,
        )
