"""Simulate runs of a known law 200 times: how often the 95 % intervals hold the truth, and what a fit costs.

`python -m benchmarks.intervals [SIMULATIONS]`: 240 runs (16 sizes × 15 token counts), 1 % noise in ln loss.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from trainer.scaling.fit import fit
from trainer.scaling.laws import CHINCHILLA
from trainer.scaling.runs import Runs, runs
from trainer.scaling.uncertainty import bootstrap

TRUTH = {"a": 6.1, "b": 7.6, "e": float(np.log(1.82)), "alpha": 0.347, "beta": 0.366}
NOISE = 0.01
RESAMPLES = 400


def simulated(seed: int) -> Runs:
    """Return 240 runs of the law with a seeded noise."""
    sizes = np.repeat(np.geomspace(5e7, 1.5e10, 16), 15)
    ratios = np.tile(np.geomspace(2, 300, 15), 16)
    made = runs(np.ones(240), params=sizes, tokens=sizes * ratios)
    theta = np.array([TRUTH[name] for name in CHINCHILLA.parameters])
    noise = np.random.default_rng(seed).normal(0, NOISE, 240)
    return made.with_loss(np.exp(CHINCHILLA.log_loss(theta, made.logs()) + noise))


def main(simulations: int) -> None:
    """Print coverage per parameter, seconds of a fit and of its bootstrap."""
    console = Console()
    truth = {**TRUTH, **CHINCHILLA.derived(TRUTH)}
    held = dict.fromkeys(truth, 0)
    fits, draws = [], []
    for seed in range(simulations):
        data = simulated(seed)
        began = time.process_time()
        found = fit(CHINCHILLA, data)
        fits.append(time.process_time() - began)
        began = time.process_time()
        drawn = bootstrap(found, data, RESAMPLES, seed)
        draws.append(time.process_time() - began)
        intervals = {name: drawn.interval(name) for name in TRUTH} | drawn.derived()
        for name, value in truth.items():
            held[name] += intervals[name].holds(value)
    table = Table(title=f"{simulations} simulations: 95 % intervals that hold the truth (target 93–97 %)")
    for head in ("", "truth", "held"):
        table.add_column(head)
    for name, value in truth.items():
        table.add_row(name, f"{value:.4g}", f"{held[name] / simulations:.1%}")
    console.print(table)
    console.print(
        f"a fit of 240 runs from 4,500 starts: {statistics.median(fits):.2f} s of one core (median)"
    )
    console.print(f"{RESAMPLES} resamples: {statistics.median(draws):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
