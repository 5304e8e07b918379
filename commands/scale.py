"""The commands about scaling, one function each; heavy imports are inside the functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.terminal import WORTH, AsJson, Terminal, console, fail, local, reported, say, shortened

if TYPE_CHECKING:
    from trainer.scaling.config import Study

app = typer.Typer()

_Params = Annotated[str, typer.Option(metavar="COLUMN", help="The column of parameters.")]
_Tokens = Annotated[str, typer.Option(metavar="COLUMN", help="The column of tokens seen.")]
_Unique = Annotated[str, typer.Option(metavar="COLUMN", help="The column of unique tokens.")]
_Run = Annotated[
    str,
    typer.Option(metavar="COLUMN", help="The column of run names; the rows of a run are resampled together."),
]
_Compute = Annotated[
    str, typer.Option(metavar="COLUMN", show_default="6·N·D", help="The column of training FLOPs.")
]
_Share = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help="The column of the share of tokens in the loss's language; the others are of a second one.",
    ),
]
_Decay = Annotated[str, typer.Option(metavar="COLUMN", help="The column of weight decays.")]
_Law = Annotated[
    str, typer.Option(metavar="NAME", show_default="the one that predicts best", help="The law to fit.")
]
_Resamples = Annotated[int, typer.Option(metavar="N", min=40, help="Bootstrap resamples.")]


@app.command(rich_help_panel=WORTH)
def scale(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY_OR_CORPUS",
            parser=local,
            help="The study's TOML file; or a build with tokens, for which a study is drafted.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=local, help="Of a drafted study: its file and its runs."
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            metavar="H",
            min=0.01,
            max=10_000,
            show_default="0.5",
            help="Of a drafted study: about how long it may take.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set sizes.count=3."),
    ] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Only show the models and their cost.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the plan, or the table, to stdout as JSON.")
    ] = False,
) -> None:
    """Train a planned family of models; run the same command again to resume.

    It shows its plan first. Finished cells are not trained again; cells are spread over all GPUs.
    """
    from corpus import places

    with reported():
        from trainer.scaling import config

        if path.is_dir():
            loaded = _drafted(path, output, hours or 0.5, overrides or [], only_plan)
        else:
            loaded = config.load(path, tuple(overrides or ()))
            if output is not None:
                fail(f"--output {output}: {path} is a study, which names its own: --set output=DIR", status=2)
            if hours is not None:
                fail(f"--hours {hours:g}: {path} is a study, which has its own budgets", status=2)
        places.writable(loaded.output, "output")
        for name, folder in loaded.corpora.items():
            places.folder(folder, f"corpora.{name} =")
        from commands.render import plan as shown
        from trainer.records import plain
        from trainer.scaling import dispatch, plan, study

        made = plan.plan(loaded)
        on = dispatch.devices(made.study.train.run, made.study.workers)
        cost = plan.estimate(made, max(1, len(on)), keep=not only_plan)
        if as_json and only_plan:
            print(json.dumps(plain({**made.as_dict(), "estimate": cost}), ensure_ascii=False))
        else:
            shown.render(made, cost, console(stderr=not only_plan))
        if only_plan:
            return
        done = study.scale(made, Terminal())
        shown.outcome(made, done, console())
        if as_json:
            print(json.dumps(done.rows, ensure_ascii=False))
        say(f"done: {shortened(str(done.folder / study.TABLE))}")
        say(f"next: derlem report {shortened(str(done.folder))} --output report.html")


def _drafted(corpus: Path, output: Path | None, hours: float, overrides: list[str], only_plan: bool) -> Study:
    """Return the study of a corpus, of the file in the output folder; draft and tune it unless that exists.

    The draft is stored before it is tuned: another one, by another measured speed, would not fit its runs
    that have finished. Only to show its plan, nothing is trained or written.
    """
    from corpus import places

    if output is None:
        fail(f"{corpus}: a corpus needs --output DIR, the folder of its study", status=2)
    if any(each.partition("=")[0].strip() == "output" for each in overrides):
        fail("--set output=…: the study of a corpus is in the folder of --output", status=2)
    places.writable(str(output), "--output")
    from trainer.scaling import dispatch, draft, plan

    def cost(made: plan.Plan) -> float:
        on = dispatch.devices(made.study.train.run, made.study.workers)
        return plan.estimate(made, max(1, len(on))).wall

    folder, home = str(corpus.resolve()), output.resolve()
    held = draft.read(home, folder, overrides)
    if held is not None:
        study, is_tuned = held
        say(f"continues the study in {shortened(str(home))}; remove the folder to have another drafted")
    else:
        study, is_tuned = draft.draft(folder, home, hours, cost, overrides), False
        if doubt := draft.doubt(study):
            say(f"note: {doubt}")
    if not only_plan and not is_tuned:
        draft.write(study, hours, is_tuned=False)
        study = draft.tuned(study, Terminal())
        say(f"wrote {shortened(str(draft.write(study, hours, is_tuned=True)))}")
    return study


@app.command(rich_help_panel=WORTH)
def fit(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", parser=local, help="CSV, Parquet or JSON lines, a run a row.")
    ],
    loss: Annotated[
        list[str], typer.Option(metavar="COLUMN", help="A column of losses; repeatable: one per language.")
    ],
    params: _Params = "",
    tokens: _Tokens = "",
    unique: _Unique = "",
    run: _Run = "",
    compute: _Compute = "",
    share: _Share = "",
    decay: _Decay = "",
    law: _Law = "",
    resamples: _Resamples = 400,
    as_json: AsJson = False,
) -> None:
    """Fit a scaling law to a table of runs, with intervals and all reasons for doubt."""
    with reported():
        from commands.render.fit import show
        from trainer.records import plain
        from trainer.scaling.runs import Columns
        from trainer.scaling.table import fit_table

        columns = Columns(tuple(loss), params, tokens, unique, run, compute, share, decay)
        found = fit_table(table, columns, law, resamples=resamples)
        if as_json:
            print(json.dumps(plain(found), ensure_ascii=False))
        else:
            show(found, console(stderr=False))


@app.command(rich_help_panel=WORTH)
def abilities(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE", parser=local, help="Folders of runs, or tables of answers."),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK", help="Such as addition/3/tr or pairs/harmony; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=local, help="Answers, verdicts, page, pictures."
        ),
    ] = None,
    by: Annotated[
        str, typer.Option("--scale", metavar="NAME", help="Order models by parameters, tokens, compute …")
    ] = "parameters",
    n: Annotated[
        int | None, typer.Option(metavar="N", show_default="as many as needed", help="Items per task.")
    ] = None,
    most: Annotated[
        int, typer.Option(metavar="N", min=200, help="Largest number of items per task, unless --n is given.")
    ] = 2000,
    shots: Annotated[int, typer.Option(metavar="N", min=0, help="Solved examples before each question.")] = 2,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the items.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write the verdicts to stdout as JSON.")] = False,
) -> None:
    """Test whether an ability appears suddenly with scale, or only its metric does."""
    from corpus import places

    with reported():
        for source in sources:
            places.usable_as(str(source), "SOURCE")
        if output is not None:
            places.writable(str(output), "--output")
        from commands.render.abilities import render_abilities
        from trainer.abilities import command

        request = command.Request(tuple(task or ()), by, n, most, shots, seed)
        judged = command.abilities(sources, request, output, Terminal())
        if as_json:
            print(json.dumps([ability.as_dict() for ability in judged], ensure_ascii=False))
        else:
            render_abilities(judged, console(stderr=False), by)


@app.command(rich_help_panel=WORTH)
def report(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS", parser=local, help="A study's folder, or a table of runs.")
    ],
    page: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE",
            parser=local,
            help="The page; its JSON twin is in the same folder.",
        ),
    ] = Path("report.html"),
    loss: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column of losses; the first is reported on.")
    ] = None,
    params: _Params = "",
    tokens: _Tokens = "",
    unique: _Unique = "",
    run: _Run = "",
    compute: _Compute = "",
    share: _Share = "",
    decay: _Decay = "",
    corpus: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column of corpora, which are compared.")
    ] = "",
    seed: Annotated[str, typer.Option(metavar="COLUMN", help="The column of seeds.")] = "",
    about: Annotated[
        str, typer.Option(metavar="NAME", show_default="the one with most runs", help="The corpus to fit.")
    ] = "",
    law: _Law = "",
    model: Annotated[
        float,
        typer.Option(
            metavar="N",
            show_default="the largest of any run",
            help="Parameters of the model that the answers are for.",
        ),
    ] = 0.0,
    held: Annotated[
        float,
        typer.Option(metavar="N", show_default="the most of any run", help="Unique tokens of the corpus."),
    ] = 0.0,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN=WHY", help="A run to exclude from the fit, and why; repeatable."),
    ] = None,
    resamples: _Resamples = 400,
) -> None:
    """Write a report on runs: one HTML page that opens from disk, and its JSON twin.

    A study's folder needs no column options; any other table does.
    """
    from corpus import places

    with reported():
        from corpus.settings import LARGEST
        from trainer.scaling.report import build
        from trainer.scaling.runs import Columns
        from trainer.scaling.source import STUDY, Asked

        places.usable_as(str(runs), "RUNS")
        places.usable_as(str(page), "--output")
        places.writable(str(page.parent), "the folder of --output")
        if page.is_dir():
            fail(f"--output {page}: a folder; name a file, such as {page}/report.html", status=2)
        if page.suffix == ".json":
            fail(
                f"--output {page}: its JSON twin has that name; name the page, such as report.html", status=2
            )
        for name, value in {"--model": model, "--held": held}.items():
            if not 0 <= value <= LARGEST:
                fail(f"{name} {value}: expected a number from 0 to {LARGEST:,}", status=2)
        left = dict(each.partition("=")[::2] for each in leave_out or ())
        if not all((*left, *left.values())):
            fail("--leave-out: expected RUN=WHY, such as small-3='diverged at step 400'", status=2)
        named = Columns(tuple(loss or ()), params, tokens, unique, run, compute, share, decay)
        beside = {"corpus": corpus, "seed": seed}
        if runs.is_dir() and (given := [*named.given, *(name for name, column in beside.items() if column)]):
            options = ", ".join(f"--{name}" for name in given)
            fail(f"{options}: {runs} is a folder, and a study's columns are known; omit the option", status=2)
        columns = STUDY if runs.is_dir() else named
        asked = Asked(columns, corpus, seed, law, about, model, held, left)
        found = build.report(runs, asked, resamples)
        twin = build.write(found, page)
        say(found.about)
        for line in found.lines:
            say(line)
        say(f"wrote {shortened(str(page))} and {shortened(str(twin))}")
