"""The command that takes pages out of a build; every heavy import happens inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.arguments import Workers
from commands.terminal import CORPUS, Terminal, fail, local, place, reported, say, shortened

if TYPE_CHECKING:
    from corpus.forgotten import Key
    from pipelines.forget import Proof, Readers

app = typer.Typer()

_ID = 32  # hexadecimal digits


@app.command(rich_help_panel=CORPUS)
def forget(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", parser=place, help="The folder of a build or a crawl.")
    ],
    url: Annotated[list[str] | None, typer.Option(metavar="URL", help="Forget this page.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Forget all pages of this host and below it.")
    ] = None,
    document: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Forget the document of this id.")
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", parser=local, help="Forget what is in this file, one a line."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the list.")] = "",
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", parser=local, help="The TOML file, if the build has moved."),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="DIR", parser=local, show_default="those beside DIR", help="A run."),
    ] = None,
    archives: Annotated[
        bool, typer.Option("--archives", help="Of a crawl: blank the pages in its archives, too.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Take pages out of every product of a build, or out of a crawl, and keep them out of later ones.

    Only what held them, or depends on it, is made again. The proof in DIR/forgotten says what was removed
    where, with checksums, and which runs have read it. After a stop the same command resumes.
    """
    from corpus import files, places

    with reported():
        places.folder(folder, "DIR")
        folder = files.located(folder, Path.cwd())
        from pipelines import progress

        progress.take_terminal()
        from corpus import forgotten, made
        from corpus.config import load
        from corpus.crawl.state import catalogue
        from pipelines import forget as pipeline
        from pipelines import options

        keys = _keys(folder, url or [], host or [], document or [], listed)
        if not keys and not forgotten.read(folder).requests:
            fail("name what to forget: --url, --host, --id or --list", status=2)
        if catalogue.is_crawl(folder):
            _of_crawl(folder, keys, reason, archives)
            return
        found = made.read(folder)
        known = (found.config, found.base(found.config.places())) if found else None
        if config is not None:
            known = load(config).model_copy(update={"output": folder}), config.resolve().parent
        if known is None:
            fail(f"{folder} does not say what it is made from: add --config FILE, the build's TOML file", 2)

        if keys and pipeline.begin(folder, keys, reason, readers_of(folder, runs)) is None:
            say("all of it was forgotten before")
        runner = options.choose(known[0].run, workers, ())
        proofs = pipeline.finish(*known, runner, Terminal())
        for proof in proofs:
            _say(folder, proof)
        if not proofs:
            say("nothing to do: every request is done")


def readers_of(folder: str, runs: list[Path] | None = None) -> Readers:
    """Return what finds out which runs have read documents: the named ones, or those beside a build."""

    def found(tokens: str, ids: set[str]) -> list[dict[str, Any]]:
        from trainer.readers import readers, runs_beside

        return [each.as_dict() for each in readers(runs or runs_beside(Path(folder)), tokens, ids)]

    return found


def _of_crawl(folder: str, keys: list[Key], reason: str, archives: bool) -> None:
    """Remember what a crawl must not fetch any more, and blank it in the archives where that is asked for."""
    from corpus import forgotten
    from corpus.crawl.state.blanked import blank
    from pipelines import forget as pipeline
    from pipelines.lock import alone

    pipeline.begin(folder, keys, reason, lambda tokens, ids: [])
    if archives:
        with alone(folder):
            number = blank(folder, forgotten.forgotten(forgotten.read(folder).requests))
        say(f"{number:,} records were blanked; corpora that read the archives are made again by their builds")
    say(f"remembered in {shortened(folder)}/{forgotten.FILE}: the crawl does not fetch it again")


def _keys(folder: str, urls: list[str], hosts: list[str], ids: list[str], path: Path | None) -> list[Key]:
    """Return the keys of what is named; a line of the file is a URL, an id of 32 digits, or a host."""
    from corpus import forgotten
    from pipelines.forget import keys_of_ids

    urls, hosts, ids = list(urls), list(hosts), list(ids)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path is not None else []
    except (OSError, ValueError) as error:
        fail(f"{path}: cannot be read: {error}; expected a text file, a URL, host or id a line", status=2)
    for line in filter(None, (line.strip() for line in lines)):
        is_id = len(line) == _ID and set(line) <= set("0123456789abcdef")
        (urls if "://" in line else ids if is_id else hosts).append(line)
    found = [*map(forgotten.of_url, urls), *map(forgotten.of_host, hosts)]
    return [*found, *(keys_of_ids(folder, ids) if ids else [])]


def _say(folder: str, proof: Proof) -> None:
    """Print what a request took out."""
    rows = ", ".join(f"{number:,} in {where}" for where, number in proof.found.items()) or "nothing"
    changed = sum(len(change.before) for change in proof.stages)
    say(f"found {rows}; {changed:,} files were made again or removed; nothing is left in {proof.read:,}")
    back = sum(proof.copies.values())
    if proof.copies:
        say(
            f"{len(proof.copies):,} documents had been removed as copies of what is forgotten: "
            f"{back:,} of them are in the shards now"
        )
    for run in proof.runs:
        read = run["documents"]
        said = f"has read {read:,} of the documents" if read is not None else "was trained on earlier tokens"
        say(f"run {shortened(run['run'])}, {run['steps']:,} steps: {said}")
    say(f"proof: {shortened(folder)}/{proof.path}")
