"""Tables of how far a build, a crawl or a training run is."""

from __future__ import annotations

import math
import time
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from commands.render.formats import count, row, safe, table
from corpus.crawl.state.status import Status
from pipelines.status import UNFINISHED, BuildStatus, StageStatus
from trainer.shape import counted
from trainer.status import RunStatus


def build_status(found: BuildStatus) -> RenderableType:
    """Return the stages of a build as a table, with the causes of failed units below."""
    now = time.time()
    shown = table("stage", "units", "documents", "kept", "rate", "left")
    for stage in found.stages:
        row(shown, *_cells(stage), style="" if stage.state == UNFINISHED else "dim")
    parts: list[RenderableType] = [shown]
    for stage in found.stages:
        if stage.state == UNFINISHED and stage.last is not None:
            parts.append(Text(f"{stage.name}: last sign of work {_ago(now - stage.last)}"))
        parts += [Text(f"{stage.name} failed at {safe(error)}", style="red") for error in stage.errors]
        if stage.failed > len(stage.errors):
            parts.append(Text(f"{stage.name}: {stage.failed - len(stage.errors):,} more failed", style="red"))
    if found.holder:
        parts.append(Text(f"held by {found.holder}"))
    return Group(*parts)


def _cells(stage: StageStatus) -> tuple[str, ...]:
    units = "" if stage.planned is None else f"{stage.done:,}/{stage.planned:,}"
    if stage.planned is None and stage.state == UNFINISHED:
        units = f"{stage.done:,}/?"
    unit = "units" if stage.seen is None else ""
    return (
        stage.name,
        units or stage.state,
        "" if stage.seen is None else count(stage.seen),
        "" if stage.kept is None else count(stage.kept),
        "" if stage.rate is None else f"{stage.rate:,.4g} {unit}/s".replace(" /", "/"),
        "" if stage.left_s is None else _span(stage.left_s),
    )


def run_status(found: RunStatus) -> RenderableType:
    """Return a training run at its last reported step as a table."""
    now = time.time()
    shown = table("run", "finished" if found.is_finished else "unfinished")
    if found.parameters is not None and found.active_parameters is not None:
        row(shown, "parameters", counted(found.parameters, found.active_parameters))
    row(shown, "step", f"{found.step:,}")
    planned = f" of {count(found.planned_tokens)}" if found.planned_tokens else ""
    row(shown, "tokens", f"{count(found.tokens)}{planned}")
    if found.loss is not None:
        row(shown, "loss (nats a token)", f"{found.loss:.4f}")
    if found.held_out is not None:
        row(shown, "held out (bits/byte)", f"{found.held_out:.4f}")
    if found.busiest is not None and found.even is not None:
        row(shown, "busiest expert", f"{found.busiest:.1%} of a layer's choices (even: {found.even:.1%})")
    if found.outlook is not None:
        ahead = {"after another epoch": found.outlook.epoch, "after as much fresh text": found.outlook.fresh}
        for name, value in ahead.items():
            if value is not None:
                row(shown, name, f"{value:.4f}")
        row(shown, "limited by", found.outlook.limit or "no verdict")
    if found.tokens_per_second is not None:
        row(shown, "tokens/s", f"{found.tokens_per_second:,.0f}")
    if found.waited is not None:
        row(shown, "data wait", f"{found.waited:.1%}")
    if found.skipped or found.rollbacks:
        row(shown, "skipped steps, rollbacks", f"{found.skipped:,}, {found.rollbacks:,}", style="red")
    if found.left_s is not None:
        row(shown, "left", _span(found.left_s))
    if found.last is not None:
        row(shown, "last report", _ago(now - found.last))
    return shown


def crawl_status(found: Status) -> RenderableType:
    """Return the state of a crawl as a table, what failed last."""
    state = "between rounds" if found.is_finished else "active or stopped"
    shown = table(f"round {found.round}", state)
    rows = {
        "origins visited": found.origins,
        "requests sent": found.requests,
        "bytes of bodies": found.bytes,
        "pages kept": found.outcomes["kept"],
    }
    if not found.is_finished:
        rows |= {"due in this round": found.due, "waiting for later": found.waiting}
    for name, number in rows.items():
        row(shown, name, f"{number:,}")
    row(shown, "URLs per second", f"{found.rate:.1f}")
    for cause, number in found.causes.most_common():
        row(shown, f"  {cause}", f"{number:,}", style="dim")
    return shown


def _span(seconds: float) -> str:
    return str(timedelta(seconds=math.ceil(seconds)))


def _ago(seconds: float) -> str:
    return f"{_span(max(0.0, seconds))} ago"
