"""Print fits on the terminal: tables, and in words what is not known."""

from __future__ import annotations

from rich.console import Console

from commands.render.tables import Table
from trainer.scaling.analysis import Analysis
from trainer.scaling.checks import Check
from trainer.scaling.table import TableFit
from trainer.scaling.uncertainty import Interval


def show(result: TableFit, console: Console) -> None:
    """Print a table's findings and the analysis of each loss column, with its checks."""
    for finding in result.findings:
        console.print(f"[yellow]warning[/]: {finding}")
    for analysis, checks in zip(result.analyses, result.checks, strict=True):
        _analysis(analysis, console)
        _checks(checks, console)


def span(found: Interval) -> str:
    """Return an interval as text; an open side has no limit."""
    lower = "no limit" if found.lower is None else f"{found.lower:.4g}"
    upper = "no limit" if found.upper is None else f"{found.upper:.4g}"
    return f"{lower} to {upper}"


def _analysis(one: Analysis, console: Console) -> None:
    fit = one.fit
    console.print(f"\n[bold]{one.loss}[/]: {one.runs} rows of {one.clusters} runs")
    console.print(f"{fit.law.formula}\n{fit.objective.describe()} = {fit.value:.10g}")
    console.print(f"R² {fit.r2:.4f}, mean error {fit.error:.2%}")
    if one.compared:
        errors = ", ".join(
            f"{each.law} {each.error:.2%} ({each.undetermined} parameters not determined)"
            for each in one.compared
        )
        console.print(f"error in rollouts: {errors}; {fit.law.name} answers")
    table = Table(title=f"{fit.law.name}: estimates, 95 % percentile bootstrap over runs")
    for head in ("", "estimate", "interval"):
        table.add_column(head)
    for name in fit.law.parameters:
        found = one.draws.interval(name)
        table.add_row(name, f"{found.estimate:.4f}", span(found))
    for name, found in one.draws.derived().items():
        table.add_row(name, f"{found.estimate:.4g}", span(found))
    console.print(table)


def _checks(checks: tuple[Check, ...], console: Console) -> None:
    for check in checks:
        colour = "green" if check.verdict == "strong" else "yellow"
        console.print(f"[{colour}]{check.verdict}[/]: {check.name}: {check.why}")
