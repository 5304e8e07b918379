"""Is the preset for scarce data better than the default recipe at the same unique tokens? It can be resumed.

    python -m benchmarks.planted TEXT_TR TEXT_MULTI planted --tokens 520000
    OMP_NUM_THREADS=1 python -m benchmarks.scarce planted/base results.jsonl

Trains models of 0.5 million parameters on 65,536 unique tokens: the default recipe for 1, 2 and 4 epochs, and
the recipe of the preset (its optimizer, dropout, average and epochs, at this size), also for 4 epochs: at the
computation of the default. The last recipes permute documents instead of windows. One JSON line per run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import tomllib
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np

from corpus.teller import SILENT
from trainer import config, run

UNIQUE = 65_536
SIZE = ("model.depth=3", "model.width=96", "model.head=32")
SETTINGS = (
    f"data.unique={UNIQUE}",
    "data.length=256",
    "data.batch=8",
    "evaluate.documents=80",
    "evaluate.every=0",
    "evaluate.prompt=",
    "checkpoint.every=100000",
    "run.log=[]",
)


def recipes() -> dict[str, list[str]]:
    """Return the overrides of each recipe by its name."""
    preset: dict[str, Any] = tomllib.loads(
        (resources("trainer") / "presets" / "scarce.toml").read_text(encoding="utf-8")
    )
    scarce = [f"optimizer.{key}={value}" for key, value in preset["optimizer"].items()]
    scarce += [f"model.dropout={preset['model']['dropout']}", f"data.epochs={preset['data']['epochs']}"]
    found = {f"default, {n} epochs": [f"data.epochs={n}"] for n in (1, 2, 4)}
    found |= {"scarce": scarce, "scarce, 4 epochs": [*scarce[:-1], "data.epochs=4"]}
    again = [name for name in found if name != "default, 1 epochs"]
    return found | {f"{name}, documents": [*found[name], "data.permute=documents"] for name in again}


def bits(corpus: str, overrides: list[str], seed: int) -> float:
    """Return the held-out bits per byte of a run; of its average where it has one."""
    settings = config.load("tiny", (*SIZE, *SETTINGS, *overrides, f"seed={seed}"))
    with tempfile.TemporaryDirectory() as folder:
        result = run.train(corpus, Path(folder) / "run", settings, SILENT)
    scores = result.get("evaluation_ema", result["evaluation"])
    return float(scores["all"]["bits_per_byte"])


def main() -> None:
    """Train what is missing, and print means and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus")
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(recipes()))
    asked = parser.parse_args()
    asked.results.touch()
    found = {}
    for line in asked.results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["recipe"], row["seed"]] = row["bits_per_byte"]
    chosen = {name: overrides for name, overrides in recipes().items() if name in asked.only}
    for seed in range(asked.seeds):
        for name, overrides in chosen.items():
            if (name, seed) not in found:
                found[name, seed] = bits(asked.corpus, overrides, seed)
                row = {"recipe": name, "seed": seed, "bits_per_byte": found[name, seed]}
                with asked.results.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
    base = np.mean([found[asked.only[0], seed] for seed in range(asked.seeds)])
    for name in chosen:
        values = [found[name, seed] for seed in range(asked.seeds)]
        shown = ", ".join(f"{value:.4f}" for value in values)
        print(f"{name:<28} {np.mean(values):.4f} ({shown}), {100 * (np.mean(values) / base - 1):+.1f} %")


if __name__ == "__main__":
    main()
