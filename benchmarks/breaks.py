"""How often a break is called where there is none, and where there is one: simulated curves over 8 sizes.

`python -m benchmarks.breaks [REPEATS] [SEED]`. A curve is nats of a digit, from ln(1/10) up, three
seeds a size; noise is that of their mean, which the test knows only from the seeds, as in a study. Counted is
the smooth metric's part of a verdict: p below 5 %, sizes held out agree, and upwards.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from trainer.abilities import breaks
from trainer.abilities.breaks import Floats

SIZES = 8
X = np.log(np.geomspace(1e5, 3e8, SIZES))
SHARE = (X - X[0]) / (X[-1] - X[0])
KINDS = ("power law", "logistic", "Gompertz", "plateau, then line", "jump")


def curve(kind: str, random: np.random.Generator) -> Floats:
    """Draw a curve of a kind; the narrowest smooth ones rise from 10 to 90 % in 2.4 steps of the sizes."""
    if kind == "power law":
        return np.asarray(-2.3 * np.exp(-random.uniform(0.1, 0.6) * (X - X[0])))
    if kind == "logistic":
        middle, steep = random.uniform(0.2, 0.8), random.uniform(4, 12)
        return np.asarray(-2.3 + 2.2 / (1 + np.exp(-(SHARE - middle) * steep)))
    if kind == "Gompertz":
        middle, steep = random.uniform(0.1, 0.9), random.uniform(4, 9)
        return np.asarray(-2.3 + 2.2 * np.exp(-np.exp(-(SHARE - middle) * steep)))
    if kind == "plateau, then line":
        middle, width = random.uniform(0.3, 0.6), random.uniform(0.08, 0.2)
        return np.asarray(-2.3 + 3 * width * np.log1p(np.exp((SHARE - middle) / width)))
    fall, last = random.uniform(0.02, 0.15), random.integers(1, SIZES - 2)
    return np.asarray(
        -2.3 * np.exp(-fall * (X - X[0])) + np.where(np.arange(SIZES) > last, random.uniform(0.5, 1), 0)
    )


def called(kind: str, noise: float, random: np.random.Generator, seed: int) -> tuple[bool, bool]:
    """Return for one simulated study whether p is below 5 %, and whether a break is found."""
    models = curve(kind, random)[:, None] + noise * math.sqrt(3) * random.standard_normal((SIZES, 3))
    spread = models.var(1, ddof=1)
    known = np.sqrt(np.maximum(spread.mean(), spread) / 3)
    found = breaks.find(X, models.mean(1), known, seed, simulations=199)
    return found.p < 0.05, found.p < 0.05 and found.gain > 0 and found.jump > 0


def main(repeats: int = 12, seed: int = 2) -> None:
    """Print a line for each kind and noise."""
    random = np.random.default_rng(seed)
    for kind in KINDS:
        for noise in (0.02, 0.05, 0.1):
            tests = [called(kind, noise, random, number) for number in range(repeats)]
            low, broken = (sum(each) for each in zip(*tests, strict=True))
            print(f"{kind}, noise {noise}: p < 5 % in {low}, a break called in {broken} of {repeats}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
