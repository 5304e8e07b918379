"""Print the trainer's scores on the terminal."""

from __future__ import annotations

from rich.console import Console

from commands.render.tables import Table
from corpus.tokenizer.lost import TOO_LOW
from trainer.evaluate import Evaluation


def render_scores(found: Evaluation, console: Console) -> None:
    """Print a table of scores: all documents, languages, sources."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "documents", "bytes", "bits/byte", "±", "loss", "perplexity"):
        table.add_column(name, justify="left" if not name else "right")
    for score in found.scores:
        table.add_row(
            score.name,
            f"{score.documents:,}",
            f"{score.bytes:,}",
            f"{'' if score.exact else '>'}{score.bits_per_byte:.4f}",
            f"{score.standard_error:.4f}",
            f"{score.loss:.4f}",
            f"{score.perplexity:.4g}",
        )
    console.print(table)
    if not found.total.exact:
        console.print(f"bits/byte are {TOO_LOW}", style="red")
