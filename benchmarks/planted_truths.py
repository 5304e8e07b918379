"""Does `derlem compare` find planted faults, and no difference between equals?

    python benchmarks/planted.py TEXT_TR TEXT_MULTI planted --tokens 520000
    nice -n 15 python benchmarks/planted_truths.py planted --seeds 20 --workers 2

Trains one model of 20 thousand parameters per corpus and seed on 459,000 tokens, seeds from `--first` on. The
same command resumes it; Ctrl-C ends it with the table of the finished seeds. The table has each seed's signs
and order, and simulated comparisons of all corpora with `base` on up to `--of` seeds: runs with the means and
the noise of the trained ones, stopped by the rule of `derlem compare`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from commands.terminal import Terminal
from corpus.errors import StoppedError
from trainer import held_out, tokens
from trainer.compare import config, runs
from trainer.compare.estimate import contrast, difference, noise
from trainer.compare.results import Results, measures
from trainer.compare.sequential import BETTER, WORSE, Rule, smallest_difference
from trainer.scaling.plan import plan

CORPORA = ("base", "same", "shuffled", "translated", "english", "copies")
"""The last four from the smallest fault to the largest."""
SETTINGS = (
    *("sizes.count=1", "sizes.smallest=22000", "sizes.largest=22000"),
    *("tokens.per_parameter=5.6", "tokens.multiples=[4]"),
)
DOCUMENTS = 200
"""Held-out documents of each source."""
TIE = 0.005
"""The share of the bits per byte within which corpora are a tie, the default of a comparison."""


@dataclass(frozen=True)
class Played:
    """A comparison of all corpora with `base`: its seeds, verdicts by corpus, and the order of the means."""

    seeds: int
    verdicts: tuple[str, ...]
    ordered: bool

    @property
    def right(self) -> bool:
        """Return whether all faults are called worse, in their order."""
        return self.ordered and set(self.verdicts[1:]) == {WORSE}


def played(results: Results, rule: Rule, draw: np.random.Generator) -> Played:
    """Play a comparison by the rule of `derlem compare`, of runs with the measured means and noise.

    Runs are drawn, not chosen from the finished ones: choices of eight of twenty would be too alike.
    """
    measure = measures(results.documents, ["clean"])[0]
    means = results.bits[:, -1:, -1:].mean(3, keepdims=True)
    means[1] = means[0]  # the same documents
    spread = noise(measure.of(results.bits[:, -1, -1]))[0]
    drawn = draw.normal(0, spread, (len(CORPORA), 1, 1, rule.most, 1))
    bits = means + drawn * results.documents.bytes
    for seeds in rule.looks:
        so_far = replace(results, bits=bits[..., :seeds, :])
        found = [difference(so_far, measure, other) for other in range(1, len(CORPORA))]
        if rule.stops(seeds, found):
            break
    values = [each.value for each in found]
    verdicts = tuple(rule.verdict(each, len(CORPORA)) for each in found)
    return Played(seeds, verdicts, values[1:] == sorted(values[1:]))


def table(results: Results, of: int, plays: int) -> list[str]:
    """Return the lines of the table of results whose corpora are CORPORA."""
    measure = measures(results.documents, ["clean"])[0]
    bits = results.bits[:, -1, -1]
    values = measure.of(bits)
    signs = (values[2:] > values[0]).all(0)
    order = (np.diff(values[2:], axis=0) > 0).all(0)
    level = float(values[0].mean())
    rule = Rule(min(3, of), of, 0.05, TIE * level)
    draw = np.random.default_rng(0)
    every = [played(results, rule, draw) for _ in range(plays)]
    found = [contrast(bits[[0, number]], results.documents.bytes, measure, 0, 1) for number in range(1, 6)]
    documents = float(np.mean([each.document_error for each in found]))
    spread = noise(values)[0]
    seen = [smallest_difference(rule, spread, len(CORPORA), power, documents) for power in (0.8, 0.95)]
    lines = [
        f"base {level:.4f} bits per byte, {results.seeds} seeds, noise of a run {spread:.4f}",
        f"all four signs right in {signs.sum()} of {results.seeds} seeds, "
        f"signs and order in {(signs & order).sum()}",
        f"a comparison of {of} seeds sees {seen[0]:.4f} with 80 %, {seen[1]:.4f} with 95 %",
        f"of {plays} comparisons of up to {of} seeds, {np.mean([each.seeds for each in every]):.1f} by mean, "
        f"{sum(each.right for each in every)} call all four faults worse and in their order, "
        f"{sum(each.ordered for each in every)} have the order",
    ]
    for number, (name, each) in enumerate(zip(CORPORA[1:], found, strict=True)):
        verdicts = [one.verdicts[number] for one in every]
        worse = int(np.sum(values[number + 1] > values[0]))
        lines.append(
            f"{name:<11} {each.value:+.4f} ± {each.seed_error:.4f} over seeds ± {each.document_error:.4f} "
            f"over documents; worse in {worse} of {results.seeds} seeds; of the comparisons "
            f"{verdicts.count(WORSE)} worse, {verdicts.count(BETTER)} better"
        )
    return lines


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("planted", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--of", type=int, default=8)
    parser.add_argument("--plays", type=int, default=1_000)
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
