"""The command that prices a choice of data; heavy imports are inside the function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import WORTH, AsJson, Terminal, console, local, place, reported, say, shortened

app = typer.Typer()

PAGE, TWIN = "compare.html", "compare.json"


@app.command(rich_help_panel=WORTH)
def compare(
    corpora: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS_OR_RULE",
            help="Builds with tokens, the others against the first; with --filters: rules.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", parser=local, help="Runs, page and its JSON twin."),
    ],
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORPUS", parser=place, help="Decide by this build's validation documents; repeatable."
        ),
    ] = None,
    filters: Annotated[
        Path | None,
        typer.Option(
            metavar="CONFIG",
            parser=local,
            help="Build this corpus, and without each of the named rules, and compare these.",
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="NAME_OR_FILE", help="Models, budgets, seeds: tiny, or a TOML file.")
    ] = "tiny",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set most=12."),
    ] = None,
    hold_mix: Annotated[
        bool, typer.Option("--hold-mix", help="Read every corpus in the first one's mix of sources.")
    ] = False,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Only show the cost and the smallest difference it can see.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the same models on several corpora and report what a token of each is worth.

    It stops when every corpus is decided; the same command resumes it. With --filters the arguments are rules
    instead of builds, such as gopher, c4.min_lines or dedupe.near: each is priced by a build without it.
    """
    from corpus import files, places

    with reported():
        folders = [] if filters else [place(each) for each in corpora]
        for folder in (*folders, *(held_out or ())):
            places.folder(folder, "CORPUS")
        places.writable(str(output), "--output")
        from commands.render import compare as shown
        from trainer.compare import config, plan, runs, summary
        from trainer.compare.page import page
        from trainer.records import plain
        from trainer.scaling.dispatch import devices

        settings = config.load(preset, tuple(overrides or ()))
        names = _without(filters, corpora, output) if filters else plan.named(folders)
        # Corpora of one configuration hold out nearly the same documents: those of the first are enough.
        sets = plan.named_beside(held_out or ([next(iter(names.values()))] if filters else []), names)
        planned, confounds = plan.plan(
            settings, names, sets, str(output), hold_mix=hold_mix, own=filters is None
        )
        on = devices(settings.train.run, settings.workers)
        cost = plan.cost(planned, len(on), keep=not only_plan)
        shown.plan(planned, confounds, cost, console(stderr=not only_plan))
        if only_plan:
            return
        results = runs.run(planned, Terminal())
        found = summary.summarise(planned, confounds, results)
        files.write_bytes(str(output), PAGE, page(found).encode())
        twin = plain(found)
        files.write_json(str(output), TWIN, twin)
        if as_json:
            print(json.dumps(twin, ensure_ascii=False, allow_nan=False))
        else:
            shown.found(found, console(stderr=False))
        say(f"wrote {shortened(str(output / PAGE))} and {shortened(str(output / TWIN))}")


def _without(path: Path, rules: list[str], output: Path) -> dict[str, str]:
    """Build a corpus, and without each of some rules; return the builds by name."""
    from commands import ablation
    from corpus.config import load
    from pipelines import options, progress

    config = load(path, ())
    progress.take_terminal()
    runner = options.choose(config.run, None, ())
    return ablation.build(config, path.resolve().parent, rules, output / "builds", runner, Terminal())
