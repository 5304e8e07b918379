"""Print what tasks and single texts show of a model."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console

from commands.render.tables import Table
from trainer.tasks.judge import Accuracy, Contaminated, Judged
from trainer.tasks.likelihood import Text


def render_judged(found: Judged, console: Console) -> None:
    """Print a task's groups, their mean, and the agreement with people."""
    title = f"{found.task}: accuracy with 95 % intervals, chance {found.mean.chance:.2f}"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for head in ("", "n", "accuracy", "per byte", "p(right)"):
        table.add_column(head, justify="right" if head else "left", no_wrap=bool(head), overflow="fold")
    for each in (*found.groups, found.mean):
        table.add_row(
            each.name,
            f"{each.questions:,}",
            _share(each.total),
            _share(each.by_byte),
            f"{each.probability:.3f}",
            end_section=each is found.groups[-1],
        )
    console.print(table)
    if found.contaminated is not None:
        console.print(_contaminated(found.contaminated), markup=False, soft_wrap=True)
    if found.agreement is not None:
        agreed = found.agreement
        console.print(
            f"agreement with people: Spearman's correlation of {agreed.count} ratings with log-likelihood "
            f"per byte {agreed.correlation:+.3f} ({agreed.low:+.3f} to {agreed.high:+.3f})",
            markup=False,
            soft_wrap=True,
        )


def _contaminated(found: Contaminated) -> str:
    """Return what the corpus holds of a task, and the accuracy on that and on the rest."""
    held = found.held
    said = (
        f"the run's corpus holds {len(held.rows):,} of {held.questions:,} questions, in "
        f"{held.contaminated:,} of {held.documents:,} documents ({held.too_short:,} are too short)"
    )
    if found.on_held is None:
        return said
    rest = "none is left" if found.without is None else f"{_share(found.without.total)} on the rest"
    return f"{said}: accuracy {_share(found.on_held.total)} on these, {rest}"


def _share(found: Accuracy) -> str:
    return f"{found.share:.3f} ({found.low:.2f}–{found.high:.2f})"


def render_text(found: Text, console: Console) -> None:
    """Print a text's tokens with the bits of each, and the sums."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("token")
    for head in ("probability", "bits"):
        table.add_column(head, justify="right")
    for token, nats in zip(found.tokens, found.nats.tolist(), strict=True):
        known = math.isfinite(nats)
        table.add_row(
            repr(token)[1:-1],
            f"{math.exp(-nats):.4f}" if known else "not predicted",
            f"{nats / math.log(2):.2f}" if known else "",
        )
    console.print(table)
    console.print(
        f"log-likelihood {found.log_likelihood:.3f} nats, perplexity {found.perplexity:.4g}, "
        f"{found.bits_per_byte:.4f} bits per byte "
        f"({len(found.tokens)} tokens, {len(found.text.encode())} bytes)",
        markup=False,
        soft_wrap=True,
    )
