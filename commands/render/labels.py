"""What a classifier is worth, and how values are spread, printed for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from commands.render.formats import count, row, say, table
from corpus.quality.labels import Report
from corpus.quality.percentiles import POINTS, Percentiles


def render_labels(report: Report, console: Console) -> None:
    """Print each label's precision and recall, the words that tell it, and how far probabilities hold."""
    say(
        console,
        f"{report.texts:,} texts, each judged by a model that did not see it: {report.right:.1%} right",
    )
    shown = table("label", "texts", "precision", "recall")
    for label in report.labels:
        row(shown, label.label, count(label.texts), f"{label.precision:.3f}", f"{label.recall:.3f}")
    console.print(shown)
    for label in report.labels:
        say(console, f"{label.label}: {' '.join(label.words)}")
    bins = table("probability", "texts", "mean", "right")
    for one in report.calibration:
        row(
            bins,
            f"{one.low:.2f} to {one.high:.2f}",
            count(one.texts),
            f"{one.probability:.3f}",
            f"{one.right:.3f}",
        )
    console.print(bins)


def render_percentiles(found: Sequence[Percentiles], console: Console) -> None:
    """Print the percentiles of each model's values, and the limits as lines of a configuration."""
    shown = table("value of", "language", "source", "documents", *(f"{point} %" for point in POINTS))
    for each in found:
        points = [f"{value:.4g}" for value in each.points]
        row(shown, each.rule, each.language, each.source or "all", count(each.documents), *points)
    console.print(shown)
    for each in found:
        if each.limit is not None:
            say(console, f'[filter.limits."{each.language}"]\n"{each.rule}" = {{ min = {each.limit:.6g} }}')
