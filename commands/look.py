"""The commands that look into a corpus; every heavy import happens inside them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import LOOK, AsJson, console, fail, place, reported, say
from corpus import chain

app = typer.Typer()


@app.command(rich_help_panel=LOOK)
def verify(folder: Folder) -> None:
    """Check every file of a corpus, or of a crawl, against its manifests: checksums, schemas, counts."""
    from corpus import dataset, files, places
    from corpus.crawl.state import catalogue
    from corpus.verify import verify as verified

    with reported():
        places.folder(folder, "DIR")
        made = [files.join(folder, name) for name in (stage.folder for stage in chain.STAGES)]
        there = [stage for stage in made if files.size(stage, dataset.MANIFEST) is not None]
        there += catalogue.stages(folder)
        faults = 0
        advice: dict[str, None] = {}
        for stage in there or [folder]:
            found = verified(stage)
            faults += len(found.faults)
            for fault in found.faults:
                say(f"{stage}: {fault}", style="red")
            units = found.manifest.units
            if found.faults:
                advice[catalogue.advice(found.manifest.stage)] = None
            else:
                number = sum(len(unit.files) for unit in units)
                say(f"{stage}: {number} files and the counts of {len(units)} units are correct")
        if faults:
            fail(f"{faults} faults in {folder}; {'; '.join(advice)}")


@app.command(rich_help_panel=LOOK)
def inspect(folder: Folder, as_json: AsJson = False) -> None:
    """Show a corpus in numbers: totals, languages, lengths, hosts, and what each stage took out."""
    from commands.render.overview import render_overview
    from corpus import places
    from corpus.inspect.overview import overview

    with reported():
        places.folder(folder, "DIR")
        found = overview(folder)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_overview(found, console(stderr=False))


@app.command(rich_help_panel=LOOK)
def show(
    folder: Folder,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only this language, e.g. tur_Latn.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Show N documents drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 0,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of documents to show (ignored with --random).")
    ] = 5,
    dropped: Annotated[
        str | None, typer.Option(metavar="RULE", help="Documents that RULE dropped: gopher, dedupe.near …")
    ] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Records that could not be read.")] = False,
    parts: Annotated[
        bool, typer.Option("--parts", help="Documents that filter kept, before deduplication.")
    ] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="Token shards, decoded.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Token shards: pieces with their ids.")] = False,
    document: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The document of this id.")
    ] = None,
    find: Annotated[str | None, typer.Option(metavar="WORDS", help="Documents with these words.")] = None,
    furniture: Annotated[
        str | None, typer.Option(metavar="HOST", help="Lines removed because HOST repeats them.")
    ] = None,
    spans: Annotated[
        bool,
        typer.Option("--spans", help="Passages removed because another document keeps them (with --id)."),
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, however long.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read documents: what was kept, what was dropped and why, what could not be read."""
    from commands.render.overview import CHARACTERS, render_documents
    from corpus import places
    from corpus.inspect.documents import documents

    if parts and (tokens or ids):
        fail(
            "--parts cannot be combined with --tokens or --ids: documents are shown from one stage", status=2
        )
    if furniture is not None:
        _show_furniture(folder, furniture, as_json)
        return
    if spans:
        _show_spans(folder, limit, document or "", full, as_json)
        return
    with reported():
        places.folder(folder, "DIR")
        found = documents(
            folder,
            language=language,
            random=random,
            seed=seed,
            limit=limit,
            stage="tokens" if tokens or ids else "parts" if parts else None,
            rule=dropped,
            rejected=rejected,
            id=document,
            find=find,
            ids=ids,
        )
        if as_json:
            for entry in found:
                print(json.dumps(entry.as_dict(), ensure_ascii=False))
        else:
            render_documents(found, console(stderr=False), None if full else CHARACTERS, find)


def _show_furniture(folder: str, host: str, as_json: bool) -> None:
    from commands.render.furniture import render_furniture
    from corpus import places
    from corpus.inspect.furniture import furniture

    with reported():
        places.folder(folder, "DIR")
        found = furniture(folder, host)
        if as_json:
            for each in found:
                print(json.dumps(each.as_dict(), ensure_ascii=False))
        else:
            render_furniture(found, console(stderr=False))


def _show_spans(folder: str, limit: int, id: str, full: bool, as_json: bool) -> None:
    from commands.render.overview import CHARACTERS
    from commands.render.spans import render_spans
    from corpus import places
    from corpus.inspect.spans import spans

    with reported():
        places.folder(folder, "DIR")
        found = spans(folder, limit, id)
        if as_json:
            for each in found:
                print(json.dumps(each.as_dict(), ensure_ascii=False))
        else:
            render_spans(found, console(stderr=False), None if full else CHARACTERS)


@app.command(rich_help_panel=LOOK)
def clusters(
    folder: Folder,
    largest: Annotated[int, typer.Option(min=1, metavar="N", help="Number of clusters to show.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show the largest clusters of copies, with the passages in which two members differ."""
    from commands.render.clusters import render_clusters
    from corpus import places
    from corpus.inspect.clusters import clusters as find_clusters

    with reported():
        places.folder(folder, "DIR")
        found = find_clusters(folder, largest)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_clusters(found, console(stderr=False))


@app.command(rich_help_panel=LOOK)
def diff(
    first: Annotated[str, typer.Argument(metavar="DIR", parser=place, help="A build's output folder.")],
    second: Annotated[str, typer.Argument(metavar="DIR2", parser=place, help="Another build's.")],
    examples: Annotated[
        int, typer.Option(min=0, metavar="N", help="Examples of each change, drawn at random.")
    ] = 2,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two builds: texts only in one, kept or dropped now, changed, and why.

    A text is known by its URL, or where it has none by its place in its file.
    """
    from commands.render.diff import render_diff
    from corpus import places
    from corpus.inspect.diff import diff as compare_builds

    with reported():
        places.folder(first, "DIR")
        places.folder(second, "DIR2")
        found = compare_builds(first, second, examples, seed)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_diff(found, console(stderr=False))
