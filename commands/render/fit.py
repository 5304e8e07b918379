"""Print fits on the terminal: tables, and in words what is not known."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from trainer.scaling.analysis import Analysis, TableFit
from trainer.scaling.uncertainty import Interval


def show(result: TableFit, console: Console) -> None:
    """Print a table's findings and the analysis of each loss column."""
    for finding in result.findings:
        console.print(f"[yellow]{finding.check}[/]: {finding.message}")
    for analysis in result.analyses:
        _analysis(analysis, console)


def span(found: Interval) -> str:
    """Return an interval as text; an open side has no limit."""
    lower = "no limit" if found.lower is None else f"{found.lower:.4g}"
    upper = "no limit" if found.upper is None else f"{found.upper:.4g}"
    return f"{lower} to {upper}"


def _analysis(one: Analysis, console: Console) -> None:
    fit = one.fit
    ranges = "; ".join(f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in one.ranges.items())
    console.print(f"\n[bold]{one.loss}[/]: {one.runs} rows of {one.clusters} runs ({ranges})")
    console.print(f"{fit.law.formula}\n{fit.objective.describe()} = {fit.value:.10g}")
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
        if name not in fit.held:
            found = one.bootstrap.interval(name)
            table.add_row(name, f"{found.estimate:.4f}", span(found))
    for name, found in one.bootstrap.derived().items():
        table.add_row(name, f"{found.estimate:.4g}", span(found))
    console.print(table)
    proof = fit.certificate
    console.print(
        f"{proof.starts} starts, {proof.agreeing} of {proof.descents} descents agree, gradient "
        f"{proof.gradient:.1e}, minima near the lowest: {len(proof.basins)}, {proof.seconds:.2f} s"
    )
    _rivals(one, console)
    _approaches(one, console)
    _held_out(one, console)
    for remark in one.remarks:
        console.print(f"[yellow]not known[/]: {remark}")


def _rivals(one: Analysis, console: Console) -> None:
    table = Table(title="laws on these runs")
    for head in ("law", "rows", "objective", "R²", "mean error", "parameters"):
        table.add_column(head)
    for name, fit in one.fits.items():
        numbers = " ".join(f"{key}={value:.4g}" for key, value in fit.derived.items())
        exponents = " ".join(
            f"{k}={v:.4g}" for k, v in fit.parameters.items() if k.startswith(("alpha", "beta"))
        )
        table.add_row(
            name,
            str(fit.runs),
            f"{fit.value:.6g}",
            f"{fit.r2:.4f}",
            f"{fit.error:.2%}",
            f"{exponents} {numbers}",
        )
    console.print(table)


def _approaches(one: Analysis, console: Console) -> None:
    if not one.approaches:
        return
    compute = 6 * one.ranges["params"][1] * one.ranges["tokens"][1]
    table = Table(title=f"Chinchilla's approaches side by side; N*, D* at {compute:.2g} FLOPs")
    for head in ("approach", "N ~ C^a", "D ~ C^b", "N*", "D*", "rests on"):
        table.add_column(head)
    for frontier in one.approaches:
        if frontier.why:
            table.add_row(str(frontier.approach), "–", "–", "–", "–", frontier.why)
            continue
        n, d = frontier.optimum(compute)
        table.add_row(
            str(frontier.approach),
            f"{frontier.a:.4f}",
            f"{frontier.b:.4f}",
            f"{n:.3g}",
            f"{d:.3g}",
            {1: "points of the envelope: ", 2: "budgets: ", 3: "rows: "}[frontier.approach]
            + str(frontier.budgets),
        )
    console.print(table)


def _held_out(one: Analysis, console: Console) -> None:
    if not one.held_out:
        console.print("[yellow]not known[/]: too few runs to hold some out, so no prediction was checked")
        return
    table = Table(title="the largest fifth predicted from the rest (conformal, from rollouts)")
    for head in ("held out by", "rows", "farthest", "median error", "nominal", "measured", "half-width"):
        table.add_column(head)
    for check in one.held_out:
        table.add_row(
            check.by,
            f"{len(check.runs)} from {check.fitted}",
            f"{check.farthest:.3g}×",
            f"{check.error:.2%}",
            f"{min(check.predicted.level, check.predicted.possible):.0%}",
            f"{check.coverage:.0%}",
            f"±{check.half_width:.2%}",
        )
    console.print(table)
