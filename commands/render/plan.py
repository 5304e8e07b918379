"""Print a study's plan before it starts, and its outcome when it ends."""

from __future__ import annotations

from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console

from commands.render.tables import Table
from trainer.scaling.plan import Estimate, Plan
from trainer.scaling.rates import cell, learning_rate_check, seed_noise
from trainer.scaling.study import Outcome


def render(plan: Plan, cost: Estimate, console: Console) -> None:
    """Print sizes, budgets, epochs and cost."""
    length = plan.study.train.data.length
    title = f"sizes; N: parameters in products; batch: windows of {length:,} tokens"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for head in ("model", "N", "tokens", "steps", "batch", "lr", "decay", "tok/s"):
        table.add_column(head, justify="right")
    muon = plan.study.train.optimizer.name == "muon"
    for size in plan.sizes:
        steps = list(size.steps.values())
        table.add_row(
            size.name,
            _short(size.shape.matmul_parameters),
            f"{_short(steps[0] * size.batch * length)}–{_short(steps[-1] * size.batch * length)}",
            f"{steps[0]:,}–{steps[-1]:,}",
            f"{size.batch}",
            f"{size.lr:.3g}" + (f", {size.matrix_lr:.3g}" if muon else ""),
            f"{size.weight_decay:.3g}",
            _short(cost.rates[size.name]),
        )
    console.print(table)
    for line in lines(plan, cost):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines(plan: Plan, cost: Estimate) -> list[str]:
    """Return the rest of the plan as lines of text."""
    cells, checked = plan.cells(), plan.cells(plan.checks)
    found = [
        f"{len(cells)} models (cells) from {len(plan.trunks)} training runs (trunks), and {len(checked)} to "
        f"check the learning rate; predicted before training: {', '.join(cell.name for cell in plan.last)}"
    ]
    for corpus, held in plan.held.items():
        own = [cell for cell in cells if cell.trunk.corpus == corpus]
        epochs = sorted({round(cell.tokens / cell.unique, 2) for cell in own})
        more = "no cell repeats data" if epochs == [1.0] else f"epochs of the cells: {_list(epochs)}"
        found.append(f"{corpus}: {held:,} tokens; {more}")
        short = [cell for cell in own if not cell.trunk.unique and cell.tokens > held]
        if short:
            found.append(
                f"  the corpus is too small for {len(short)} main cells, which repeat it up to "
                f"{max(cell.tokens for cell in short) / held:.1f} times"
            )
    found.append(
        f"{cost.tokens:,} tokens, {cost.flops:.3g} FLOPs: {_time(cost.seconds)} on one device, about "
        f"{_time(cost.wall)} on {cost.devices}, estimated from a few steps"
        + (f"; price {cost.price:,.2f}" if plan.study.price else "")
    )
    return found


def outcome(plan: Plan, done: Outcome, console: Console) -> None:
    """Print the learning-rate check, the noise between seeds, and predictions with measured losses."""
    noise, replicates = seed_noise(map(cell, done.rows))
    found = learning_rate_check(done.rows, done.checks)
    said = [f"noise between seeds: {noise:.2%} of the loss (one standard deviation, {replicates} runs)"]
    shown = [str(found)] if found else []
    for line in (*shown, *(said if replicates else []), *_predictions(done)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _predictions(done: Outcome) -> list[str]:
    found = []
    for each in done.predictions:
        measured = next((row["loss"] for row in done.rows if row["run"] == each["cell"]), None)
        if measured is None or each["loss"] is None:
            continue
        around = "" if each["lower"] is None else f" ({each['lower']:.4f} to {each['upper']:.4f})"
        found.append(
            f"{each['cell']}: predicted {each['loss']:.4f}{around}, measured {measured:.4f}: "
            f"off by {each['loss'] / measured - 1:+.2%}"
        )
    return found


def _list(values: list[float]) -> str:
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown) if len(shown) <= 8 else f"{shown[0]} to {shown[-1]}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _short(number: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
