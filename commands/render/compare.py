"""Print the plan of a comparison, and what it found."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console

from commands.render.tables import Table
from trainer.compare.plan import Confounds, power
from trainer.compare.runs import Planned
from trainer.compare.sequential import BETTER, WORSE
from trainer.compare.summary import Summary, headline, of_size, warnings, worth_text
from trainer.scaling.plan import Estimate

_COLOURS = {BETTER: "green", WORSE: "red"}


def plan(planned: Planned, confounds: Confounds, cost: Estimate, console: Console) -> None:
    """Print the models, the cost of all seeds, and the smallest difference that they can show."""
    comparison = planned.comparison
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("size", "parameters", "training tokens", "tokens/s"):
        table.add_column(head, justify="left" if head == "size" else "right")
    for size in planned.grid.sizes:
        tokens = [n * size.batch * comparison.train.data.length for n in size.steps.values()]
        table.add_row(
            size.name,
            f"{size.shape.matmul_parameters:,}",
            ", ".join(f"{each:,}" for each in tokens),
            f"{cost.rates[size.name]:,.0f}",
        )
    console.print(table)
    seen = power(planned, planned.results())
    sure = "measured" if seen.measured else "assumed"
    for line in (
        f"corpora: {', '.join(planned.corpora)}; held-out: {', '.join(planned.main)}, "
        f"{planned.held.documents.bytes.size:,} documents in all sets",
        f"cost: at most {_time(cost.seconds)} of one device for {comparison.most} seeds, "
        f"{_time(cost.seconds * comparison.first / comparison.most)} until the first look",
        f"smallest difference: {100 * seen.smallest / seen.bits_per_byte:.2f} % bits per byte with a chance "
        f"of 80 %, at a noise of {100 * seen.noise / seen.bits_per_byte:.2f} % a run ({sure})",
    ):
        console.print(line, markup=False, soft_wrap=True)
    if copied := len(confounds.leaks.ids):
        console.print(f"{copied} held-out documents have copies in training text: not used")


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.1f} minutes"


def found(summary: Summary, console: Console) -> None:
    """Print every corpus, and the same sentences as the page."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    first = summary.corpora[0]
    heads = ("corpus", "bits/byte", "difference", "± seeds", "± documents", "verdict", f"worth in {first}")
    for head in heads:
        table.add_column(head, justify="left" if head in ("corpus", "verdict", heads[-1]) else "right")
    table.add_row(first, f"{summary.bits_per_byte:.4f}", "", "", "", "", "")
    for other in summary.others:
        apart = other.apart
        colour = _COLOURS.get(apart.verdict)
        table.add_row(
            other.name,
            f"{other.bits_per_byte:.4f}",
            f"{apart.value:+.4f}",
            *(f"{x:.4f}" if math.isfinite(x) else "–" for x in (apart.seed_error, apart.document_error)),
            f"[{colour}]{apart.verdict}[/]" if colour else apart.verdict,
            worth_text(other.worth[-1]),
        )
    console.print(table)
    lines = [*headline(summary), *(of_size(summary, other) for other in summary.others if other.with_size)]
    for line in [*lines, *(f"note: {each}" for each in warnings(summary))]:
        console.print(line, markup=False, soft_wrap=True)
