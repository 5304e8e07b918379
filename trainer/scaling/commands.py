"""The commands about scaling, one function each; every heavy import happens inside it."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from corpus.terminal import console, fail, mendable, say, shortened

app = typer.Typer()


@app.command()
def scale(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's TOML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set sizes.count=3."),
    ] = None,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Show what it would train, cost and tell; train nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the plan, or the table, to stdout as JSON.")
    ] = False,
) -> None:
    """Train a planned family of models; the same command goes on where it was stopped.

    It shows its plan first. What is finished is not trained again, and cells spread over the GPUs there are.
    """
    with _errors():
        from trainer.run import StoppedError
        from trainer.scaling import config, plan, render_plan, spread, study

        made = plan.plan(config.load(path, tuple(overrides or ())))
        devices = len(spread.devices(made.study.train.run))
        cost = plan.estimate(made, max(1, devices))
        told = plan.foresee(made)
        if as_json and only_plan:
            known = {**made.as_dict(), "estimate": cost.as_dict(), "expected": told.as_dict()}
            print(json.dumps(known, ensure_ascii=False))
        else:
            render_plan.render(made, cost, told, console(stderr=not only_plan))
        if only_plan:
            return
        try:
            done = study.scale(made, console())
        except StoppedError as stopped:
            say("stopped: what is finished is kept, and the same command goes on")
            raise typer.Exit(128 + stopped.signal) from None
        render_plan.outcome(made, done, console())
        if as_json:
            print(json.dumps(done.rows, ensure_ascii=False))
        say(f"done: {shortened(str(done.folder / study.TABLE))}")


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, Parquet or JSON lines, a run a row.")],
    loss: Annotated[list[str], typer.Option(help="Column of losses; several times: one a language.")],
    params: Annotated[str, typer.Option(help="Column of parameters.")] = "",
    tokens: Annotated[str, typer.Option(help="Of tokens seen.")] = "",
    unique: Annotated[str, typer.Option(help="Of unique tokens.")] = "",
    run: Annotated[str, typer.Option(help="Of the name of the run: its rows are resampled together.")] = "",
    compute: Annotated[str, typer.Option(help="Of training FLOPs; 6·N·D if none.")] = "",
    steps: Annotated[str, typer.Option(help="Of steps: compared with the tokens.")] = "",
    batch: Annotated[str, typer.Option(help="Of sequences a step: likewise.")] = "",
    length: Annotated[str, typer.Option(help="Of tokens of a sequence: likewise.")] = "",
    tokenizer: Annotated[str, typer.Option(help="Of tokenizers: one fit takes one.")] = "",
    planned: Annotated[str, typer.Option(help="Of tokens at which the schedule would have ended.")] = "",
    law: Annotated[str, typer.Option(help="The law; the richest that the columns allow if none.")] = "",
    resamples: Annotated[int, typer.Option(min=40, help="Bootstrap resamples.")] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")] = False,
) -> None:
    """Fit a scaling law to a table of runs, with intervals and everything that speaks against it."""
    from trainer.scaling.runs import RunsError

    with mendable(RunsError):  # torch stays out
        from trainer.scaling.analysis import fit_table
        from trainer.scaling.render import show
        from trainer.scaling.table import Columns

        columns = Columns(
            tuple(loss), params, tokens, unique, run, compute, steps, batch, length, tokenizer, planned
        )
        found = fit_table(table, columns, law, resamples=resamples)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            show(found, console(stderr=False))


@app.command()
def emergence(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE…", help="Folders of runs, tables of outputs, or a family's TOML."),
    ],
    task: Annotated[
        list[str] | None, typer.Option(help="Such as addition/3/tr or pairs/harmony; several times.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Answers, verdicts, page, pictures.")
    ] = None,
    by: Annotated[
        str, typer.Option("--scale", help="Order models by parameters, tokens, compute …")
    ] = "parameters",
    n: Annotated[int | None, typer.Option(min=2, help="Items of a task; else as many as it takes …")] = None,
    most: Annotated[int, typer.Option(min=200, help="… up to so many.")] = 2000,
    shots: Annotated[int, typer.Option(min=0, help="Solved examples in front of each question.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the items.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write the verdicts to stdout as JSON.")] = False,
) -> None:
    """Say whether an ability jumps with scale, or only its metric: one set of answers, many metrics."""
    with _errors():
        from trainer.scaling.emergence import command, show

        request = command.Request(tuple(task or ()), by, n, most, shots, seed)
        judged = command.emergence(sources, request, output, console())
        if as_json:
            print(json.dumps([ability.as_dict() for ability in judged], ensure_ascii=False))
        else:
            show.show(judged, console(stderr=False), by)


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="A study's folder, or a table of runs.")],
    page: Annotated[
        Path, typer.Option("--output", "-o", metavar="PAGE", help="The page; its JSON twin goes beside it.")
    ] = Path("report.html"),
    loss: Annotated[
        list[str] | None, typer.Option(help="A table's column of losses; the first is reported on.")
    ] = None,
    params: Annotated[str, typer.Option(help="Its column of parameters.")] = "",
    tokens: Annotated[str, typer.Option(help="Of tokens seen.")] = "",
    unique: Annotated[str, typer.Option(help="Of unique tokens.")] = "",
    run: Annotated[str, typer.Option(help="Of the name of the run.")] = "",
    compute: Annotated[str, typer.Option(help="Of training FLOPs; 6·N·D if none.")] = "",
    corpus: Annotated[str, typer.Option(help="Of the corpus: corpora are compared.")] = "",
    seed: Annotated[str, typer.Option(help="Of the seed.")] = "",
    about: Annotated[str, typer.Option(help="The corpus to fit; the one with most runs if none.")] = "",
    law: Annotated[str, typer.Option(help="The law; the richest that the columns allow if none.")] = "",
    model: Annotated[float, typer.Option(help="Parameters that the answers are for; the most.")] = 0.0,
    held: Annotated[float, typer.Option(help="Unique tokens of the corpus; the most that a run saw.")] = 0.0,
    more: Annotated[float, typer.Option(help="How many further unique tokens to value.")] = 1e9,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="RUN=WHY", help="A run not to fit, and why.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=40, help="Bootstrap resamples.")] = 400,
) -> None:
    """Write what runs say: one page that opens from disk, and its JSON twin.

    A study's folder needs no columns; for any other table name them.
    """
    from trainer.scaling.runs import RunsError

    with mendable(RunsError):  # torch stays out
        from trainer.scaling.report import build
        from trainer.scaling.report.source import STUDY, Asked
        from trainer.scaling.table import Columns

        left = dict(each.partition("=")[::2] for each in leave_out or ())
        if not all(left.values()):
            fail("--leave-out: expected RUN=WHY, such as small-3='diverged at step 400'", status=2)
        named = Columns(tuple(loss or ()), params, tokens, unique, run, compute)
        columns = STUDY if runs.is_dir() else named
        asked = Asked(columns, corpus, seed, law, about, model, held, more, left)
        found = build.report(runs, asked, resamples)
        twin = build.write(found, page)
        for answer in found.answers:
            say(f"{answer.question}\n  {answer.statement}")
        say(f"wrote {shortened(str(page))} and {shortened(str(twin))}")


def _errors() -> AbstractContextManager[None]:
    """Turn errors that a user can mend into one message; others keep their trace."""
    from corpus.dataset import DatasetError
    from trainer.checkpoint import CheckpointError
    from trainer.scaling.runs import RunsError
    from trainer.scaling.spread import UnitError

    return mendable(DatasetError, CheckpointError, RunsError, UnitError)
