"""What a build and a training run would cost, printed for a person."""

from __future__ import annotations

from rich.console import Console

from commands.render.formats import count, row, say, table
from corpus.prices import Gpu, Prices, Worker
from pipelines.cost import FEW_SECONDS, Estimate
from trainer.cost import Training
from trainer.shape import counted


def render_build(found: Estimate, worker: Worker, prices: Prices, console: Console) -> None:
    """Print a row for each stage, the sums, and what they rest on."""
    shown = table("stage", "documents", "s per 1,000", "vCPU hours", "GB months", prices.currency)
    for each in found.rows:
        measured = each.measured
        rate = 1000 * measured.work.seconds / measured.documents if measured.documents else 0.0
        cells = (each.price.vcpu_hours, each.price.gb_months, each.price.work + each.price.storage)
        row(shown, measured.stage, count(each.documents), _short(rate), *map(_short, cells))
    total = found.total
    row(shown, "all", "", "", *map(_short, (total.vcpu_hours, total.gb_months, total.work + total.storage)))
    console.print(shown)
    entered = found.rows[0].measured.documents
    entered, largest = found.rows[0].measured.documents, _times(found.factor)
    spent = f"{found.seconds:,.0f} s of processor time ({found.lasted:,.0f} s by the clock)"
    say(console, f"measured: {entered:,} documents in {spent}; estimated: {largest}")
    say(console, f"work: {worker.where} ({worker.noted})")
    say(console, f"storage: {prices.storage.where} ({prices.storage.noted})")
    longest = max((each.measured for each in found.rows), key=lambda each: each.longest)
    memory = max((each.measured for each in found.rows), key=lambda each: each.peak_mb)
    say(
        console,
        f"longest unit: {longest.longest:,.0f} s in {longest.stage}, however many the workers; "
        f"most memory of a process: {memory.peak_mb:,.0f} MiB in {memory.stage}",
    )
    if found.seconds < FEW_SECONDS:
        few = f"{found.seconds:,.0f} s are mostly imports and compilation"
        say(console, f"{few}: estimate from a build of {FEW_SECONDS:.0f} s or more", style="yellow")


def render_training(plan: Training, gpu: Gpu, currency: str, console: Console) -> None:
    """Print what a training run takes."""
    console.print()
    say(
        console,
        f"training: {counted(plan.parameters, plan.active_parameters)} parameters, {plan.tokens:,} tokens, "
        f"{plan.flops:.3g} FLOPs; "
        f"{_short(plan.hours)} hours of {plan.gpu} at {plan.mfu:.0%} of its peak, "
        f"{_short(plan.wall_hours)} hours on {plan.gpus}",
    )
    say(
        console,
        f"{currency} {_short(plan.hours * gpu.hour)}, at the spot price about "
        f"{_short(plan.hours * gpu.spot_hour)}: {gpu.where} ({gpu.noted})",
    )


def _times(factor: float) -> str:
    return "the same" if factor == 1 else f"{factor:,.3g} times as many"


def _short(number: float) -> str:
    """Write a number with three digits, in full from a hundred on."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
