"""Prediction intervals on held-back runs of public tables, split by split: how often they hold, how wide.

`python -m benchmarks.held_out_coverage`: of seven tables of `benchmarks/data/scaling`, and of six tables of
runs at equal compute that are cut from Gemstones' curves, the fifth of the runs with most compute is
predicted from the rest. The law is the richest that the columns allow, then the one that answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reproduce import TABLES, datablations, gadre, gemstones
from trainer.scaling.choice import candidates, choose
from trainer.scaling.fit import fit
from trainer.scaling.laws import Law
from trainer.scaling.prediction import predict
from trainer.scaling.runs import Runs

NEAR = 0.15
"""Runs whose ln compute is this close to a budget belong to it."""


def isoflop(data: Runs, step: float, offset: float) -> Runs:
    """Return at each budget (a factor of `step` apart) the run of each size that is closest to it."""
    log = np.log(data.compute())
    rows: list[int] = []
    for budget in np.arange(log.min() + 0.3 + offset, log.max() - 0.3, np.log(step)):
        near = np.flatnonzero(np.abs(log - budget) < NEAR)
        sizes = data.columns["params"][near]
        best = [min(near[sizes == size], key=lambda k: abs(log[k] - budget)) for size in np.unique(sizes)]
        if len(best) >= 5:
            rows += best
    found = data.take(np.array(rows))
    return Runs(found.columns, found.loss, np.arange(len(found)).astype(str))


def splits() -> Iterator[tuple[str, Runs, Runs]]:
    """Yield name, fitted runs and held-back runs."""
    tables = {
        **{
            f"Gemstones {s}": gemstones(TABLES / "gemstones", s)
            for s in ("cool_end", "hot", "lr_ablation_hot")
        },
        **{
            f"Gadre {name}": gadre(TABLES / "gadre_overtraining", name)[0]
            for name in ("c4_original", "rpj", "rw_original")
        },
        "datablations": datablations(TABLES / "datablations"),
    }
    for subset in ("cool_end", "hot", "hot_100b+"):
        whole = gemstones(TABLES / "gemstones", subset)
        for step, offset in ((1.8, 0.0), (3.0, 0.5)):
            tables[f"equal compute × {step:g}, {subset}"] = isoflop(whole, step, offset)
    for name, data in tables.items():
        key = data.compute()
        below = key < np.quantile(key, 0.8)
        yield name, data.take(below), data.take(~below)


def check(law: Law, inner: Runs, outer: Runs) -> tuple[float, float, float]:
    """Return the share inside, the median half-width and the median error."""
    found = predict(fit(law, inner, descents=16), inner, outer)
    miss = np.abs(found.loss / outer.loss - 1)
    return found.coverage(outer.loss), float(np.median(found.half_width)), float(np.median(miss))


def main() -> int:
    """Print a row for each split."""
    table = Table(title="nominal 95 %; ≥ 90 % of all, no split under 70 %, at ≤ 4 % median half-width")
    for head in ("split", "runs", "beyond", "richest: inside", "half-width", "error", "answers", "inside",
                 "half-width", "error"):  # fmt: skip
        table.add_column(head)
    every: list[tuple[float, ...]] = []
    for name, inner, outer in splits():
        first = check(candidates("", inner)[0], inner, outer)
        law, _ = choose("", inner)
        answers = check(law, inner, outer)
        every.append((*first, *answers))
        shown = [f"{value:.1%}" for value in every[-1]]
        far = outer.compute().max() / inner.compute().max()
        print(name, far, *shown, law.name, flush=True)
        table.add_row(name, f"{len(inner)} + {len(outer)}", f"{far:.2g} ×", *shown[:3], law.name, *shown[3:])
    numbers = np.array(every)
    middle = [f"{f(numbers[:, i]):.1%}" for i in range(6) for f in (np.median if i % 3 else np.mean,)]
    table.add_row("mean, median, median", "", "", *middle[:3], "", *middle[3:])
    Console(width=150).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
