"""The report of a stage, printed for a person at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from commands.render.tables import Table
from corpus.plural import plural


def _share(number: int, whole: int) -> str:
    return f"{100 * number / whole:.1f} %" if whole else ""


def render_stage(summary: Mapping[str, Any], console: Console) -> None:
    """Print a stage's table: documents in, kept, dropped by rule, and rates."""
    counts = summary["counts"]
    table = Table(box=None, pad_edge=False)
    table.add_column(summary["stage"], min_width=24, style="none", header_style="bold")
    table.add_column("documents", justify="right")
    table.add_column("share", justify="right")
    seen = counts["seen"]
    table.add_row("in", f"{seen:,}", "")
    table.add_row("kept", f"{counts['kept']:,}", _share(counts["kept"], seen), style="bold")
    for label, names in (("dropped", counts["dropped"]), ("rejected", counts["rejected"])):
        for name, number in sorted(names.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(f"  {label}: {name}", f"{number:,}", _share(number, seen))
    for name, number in sorted(counts["skipped"].items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"  (skipped, not a document: {name})", f"{number:,}", "", style="dim")
    console.print(table)
    for topic, names in counts["noted"].items():
        most = sorted(names.items(), key=lambda item: (-item[1], item[0]))
        if not most:
            continue
        text = ", ".join(f"{name} {number:,}" for name, number in most[:8])
        console.print(f"{topic}: {text}{', …' if len(most) > 8 else ''}", style="dim")
    is_crawl = summary["stage"] == "crawl"  # a round of a crawl may find only dead links
    if seen and not counts["kept"] and not is_crawl:
        console.print("nothing was kept: see the rules above", style="red")
    if summary["silent_rules"]:
        console.print(f"dropped nothing: {', '.join(summary['silent_rules'])}", style="dim")
    for remark in summary["facts"].get("remarks", []):
        console.print(remark, style="dim")
    before = summary["units_done_before"]
    units = summary["units"]
    line = f"{plural(units, 'unit')}, {before} done before, {summary['wall_s']:.1f} s"
    if summary["documents_per_s"] is not None:
        line += f", {summary['documents_per_s']:,.0f} documents/s"
        line += f", {summary['mb_per_s']:,.1f} MB/s" if summary["mb_per_s"] is not None else ""
        line += f", peak {summary['peak_mb']:,.0f} MB"
    console.print(line, style="dim")
    if summary["seconds"]:
        steps = sorted(summary["seconds"].items(), key=lambda item: -item[1])
        text = ", ".join(f"{step} {spent:.1f}" for step, spent in steps)
        console.print(f"seconds by step: {text}", style="dim")
    console.print()
