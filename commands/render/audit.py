"""The audit of removed copies, printed for a person."""

from __future__ import annotations

from rich.console import Console

from commands.render.formats import percent, row, say, table
from corpus.inspect.audit import Audit


def render_audit(found: Audit, console: Console) -> None:
    """Print how many sampled removals are true, then by band of the stored similarity."""
    say(
        console,
        f"{found.sampled:,} of {found.removed:,} removed near and URL copies compared with the kept texts: "
        f"{found.true:,} reach a true similarity of {found.threshold:g}{percent(found.true, found.sampled)}",
        "bold",
    )
    if not found.bands:
        return
    shown = table("stored similarity", "compared", "true", "share", "least", "mean")
    for band in found.bands:
        row(
            shown,
            f"{band.low:.2f} to {band.high:.2f}",
            f"{band.removals:,}",
            f"{band.true:,}",
            f"{band.true / band.removals:.1%}",
            f"{band.least:.3f}",
            f"{band.mean:.3f}",
        )
    console.print(shown)
