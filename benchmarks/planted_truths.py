"""Does `derlem compare` find planted faults, and no difference between equals?

    python benchmarks/planted.py TEXT_TR TEXT_MULTI planted --tokens 520000
    nice -n 15 python benchmarks/planted_truths.py planted --seeds 20

Trains one model of 20 thousand parameters per corpus and seed on 450,000 tokens, seeds from `--first` on. The
same command resumes it; Ctrl-C ends it with the table of the finished seeds. The table has each seed's signs
and order, and comparisons of `--of` seeds that are drawn from those that are trained: each faulty corpus
against `base`, and `base` against `same`, whose runs are paired at random, because they are runs on the same
documents.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from commands.terminal import Terminal
from corpus.errors import StoppedError
from trainer import held_out, tokens
from trainer.compare import config, runs
from trainer.compare.estimate import contrast
from trainer.compare.results import Results, measures
from trainer.compare.sequential import BETTER, WORSE, Rule
from trainer.scaling.plan import plan

CORPORA = ("base", "same", "shuffled", "translated", "english", "copies")
"""The last four from the smallest fault to the largest."""
SETTINGS = (
    *("sizes.count=1", "sizes.smallest=22000", "sizes.largest=22000"),
    *("tokens.per_parameter=5.6", "tokens.multiples=[4]"),
)
DOCUMENTS = 200
"""Held-out documents of each source."""


def played(results: Results, other: int, of: int, draw: np.random.Generator, equals: bool) -> str:
    """Return the verdict of a comparison with `base` on seeds drawn from the finished ones."""
    main = measures(results.documents, ["clean"])[0]
    bits = results.bits[:, -1, -1]
    if equals:  # of base and same together, any run may be either corpus's
        pool = np.concatenate([bits[0], bits[1]])
        chosen = draw.permutation(len(pool))[: 2 * of]
        pair = np.stack([pool[chosen[:of]], pool[chosen[of:]]])
    else:
        pair = bits[[0, other]][:, draw.permutation(results.seeds)[:of]]
    rule = Rule(min(3, of), of, 0.05)
    for seeds in rule.looks:
        found = contrast(pair[:, :seeds], results.documents.bytes, main, 0, 1)
        verdict = rule.verdict(found, 2)
        if verdict in (BETTER, WORSE):
            break
    return verdict


def table(results: Results, of: int, plays: int) -> list[str]:
    """Return the lines of the table of results whose corpora are CORPORA."""
    measure = measures(results.documents, ["clean"])[0]
    bits = results.bits[:, -1, -1]
    values = measure.of(bits)
    signs = (values[2:] > values[0]).all(0)
    order = (np.diff(values[2:], axis=0) > 0).all(0)
    lines = [
        f"base {values[0].mean():.4f} bits per byte, {results.seeds} seeds",
        f"all four signs right in {signs.sum()} of {results.seeds} seeds, "
        f"signs and order in {(signs & order).sum()}",
    ]
    draw = np.random.default_rng(0)
    for number, name in enumerate(CORPORA[1:], 1):
        found = contrast(bits[[0, number]], results.documents.bytes, measure, 0, 1)
        verdicts = [played(results, number, of, draw, name == "same") for _ in range(plays)]
        worse = int(np.sum(values[number] > values[0]))
        said = f"{verdicts.count(WORSE)} worse, {verdicts.count(BETTER)} better"
        lines.append(
            f"{name:<11} {found.value:+.4f} ± {found.seed_error:.4f} over seeds ± {found.document_error:.4f} "
            f"over documents; worse in {worse} of {results.seeds} seeds; "
            f"of {plays} comparisons of {of} seeds {said}"
        )
    return lines


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("planted", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--of", type=int, default=4)
    parser.add_argument("--plays", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeds = (
        f"first={asked.seeds}",
        f"most={asked.seeds}",
        f"train.seed={asked.first}",
        f"workers={asked.workers}",
    )
    settings = config.load("tiny", (*SETTINGS, *seeds))
    corpora = {name: str(asked.planted / name) for name in CORPORA}
    grid = plan(settings.study(corpora, str(asked.planted / f"study-{asked.first}")))
    held = held_out.choose({"clean": tokens.open(corpora["base"])}, DOCUMENTS, 0)
    planned = runs.Planned(settings, grid, held, ("clean",))
    try:
        results: Results | None = runs.run(planned, Terminal())
    except StoppedError:
        results = planned.results()
    if results is None:
        return
    print("\n".join(table(results, asked.of, asked.plays)))


if __name__ == "__main__":
    main()
