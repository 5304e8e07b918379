"""How many steps does a recipe of the optimizer save, to equal held-out bits per byte? It can be resumed.

    derlem build corpus.toml --until tokenize     # law and manuals in Turkish, 1,024 pieces
    OMP_NUM_THREADS=1 python -m benchmarks.recipe corpus results.jsonl

Today's Muon is trained for several numbers of steps, each with its own decay of the rate: a point of a longer
run before its decay says little of a shorter run. Every recipe is trained for `--steps`; the steps in which
today's Muon of the same seed reaches its bits per byte are interpolated between today's runs (log steps). At
another `--width` and `--batch` both have the rates that `trainer.recipe` says. A file holds one such point.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

import numpy as np

from corpus.teller import SILENT
from trainer import config, run

LENGTHS = (360, 400, 500, 640)  # steps of today's Muon
WIDTH, BATCH, LENGTH = 64, 4, 256  # where the preset's rates are valid
SETTINGS = (
    *("model.depth=2", "model.head=32", f"data.length={LENGTH}"),
    *("evaluate.prompt=", "evaluate.every=0", "checkpoint.every=100000", "run.log=[]"),
)
TODAY = "today"
RECIPES: dict[str, tuple[str, ...]] = {
    "momentum warm-up, 100 steps": ("momentum_warmup=100",),
    "cautious decay": ("cautious=true",),
    "normalised update": ("normalize=true",),
    "average of weights, 0.97": ("ema=0.97",),
    "embedding 4 x": ("embedding_lr=4",),
    "norms 0.3 x": ("norm_lr=0.3",),
    "momentum 0.85": ("momentum=0.85",),
    "weight decay 0.03": ("weight_decay=0.03",),
    "embedding, momentum, decay": ("embedding_lr=4", "momentum=0.85", "weight_decay=0.03"),
    "embedding and the switches": (
        *("embedding_lr=4", "momentum_warmup=100"),
        *("cautious=true", "normalize=true"),
    ),
}
"""Overrides of the optimizer section."""


def at(width: int, batch: int) -> tuple[str, ...]:
    """Return the overrides of a width and a batch, with the rates that they need."""
    root, rates = math.sqrt(batch / BATCH), config.load("tiny").optimizer
    lr = (rates.lr or 0.0) * root * math.sqrt(WIDTH / width)
    return (
        *(f"model.width={width}", f"data.batch={batch}"),
        *(f"optimizer.lr={lr:.4g}", f"optimizer.matrix_lr={rates.matrix_lr * root:.4g}"),
    )


def trained(corpus: str, overrides: tuple[str, ...], seed: int, tokens: int) -> dict[str, float]:
    """Train once; return held-out bits per byte, of the average of the weights too, and processor seconds."""
    given = (f"data.tokens={tokens}", f"seed={seed}")
    settings = config.load("tiny", (*SETTINGS, *overrides, *given))
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        result = run.train(corpus, Path(folder) / "run", settings, SILENT)
        spent = time.process_time() - before
    scores = result.get("evaluation_ema", result["evaluation"])
    return {
        "bits_per_byte": scores["all"]["bits_per_byte"],
        "last": result["evaluation"]["all"]["bits_per_byte"],
        "seconds": spent,
    }


def needed(bits: float, today: dict[int, float]) -> float:
    """Return the steps in which today's Muon reaches these bits per byte; nan outside of its runs."""
    lengths = sorted(today, key=lambda steps: today[steps])  # ascending bits
    found = np.interp(bits, [today[n] for n in lengths], np.log(lengths), left=np.nan, right=np.nan)
    return float(np.exp(found))


def main() -> None:
    """Train what is missing, seed by seed, and print a row for each recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus")
    parser.add_argument("results", type=Path)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--documents", type=int, default=80)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--only", nargs="*", default=list(RECIPES))
    parser.add_argument("--also", nargs="*", default=[], metavar="KEY=VALUE;...", help="more recipes")
    asked = parser.parse_args()
    recipes = {name: RECIPES[name] for name in asked.only}
    recipes |= {each: tuple(each.split(";")) for each in asked.also}
    asked.results.touch()
    rows = [json.loads(line) for line in asked.results.read_text(encoding="utf-8").splitlines()]
    found = {(row["recipe"], row["seed"], row["steps"]): row for row in rows}
    wanted: list[tuple[str, tuple[str, ...], int]] = [(TODAY, (), steps) for steps in asked.lengths]
    wanted += [(name, overrides, asked.steps) for name, overrides in recipes.items()]
    for seed in asked.seeds:
        for name, overrides, steps in wanted:
            if (name, seed, steps) not in found:
                row = {"recipe": name, "seed": seed, "steps": steps}
                optimizer = tuple(f"optimizer.{each}" for each in overrides)
                point = (*at(asked.width, asked.batch), f"evaluate.documents={asked.documents}", *optimizer)
                row |= trained(asked.corpus, point, seed, steps * asked.batch * LENGTH)
                found[name, seed, steps] = row
                with asked.results.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
    for name, _, steps in wanted:
        each = [found[name, seed, steps] for seed in asked.seeds]
        ratios = []
        for seed, row in zip(asked.seeds, each, strict=True):
            today = {n: found[TODAY, seed, n]["bits_per_byte"] for n in asked.lengths}
            ratios.append(steps / needed(row["bits_per_byte"], today))
        bits = [row["bits_per_byte"] for row in each]
        print(
            f"{name:<40} {steps:>4} {fmean(bits):.4f} ({', '.join(f'{value:.4f}' for value in bits)}), "
            f"steps {fmean(ratios):.2f} ({', '.join(f'{value:.2f}' for value in ratios)}); "
            f"{median(row['seconds'] for row in each):.0f} s"
        )


if __name__ == "__main__":
    main()
