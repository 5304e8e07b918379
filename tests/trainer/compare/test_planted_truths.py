"""The table of planted faults has the signs, the order and how often a comparison finds each fault."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from comparisons import results

from benchmarks.planted_truths import CORPORA, table
from trainer.compare.results import Results

WORTH = (1.0, 1.0, 0.9, 0.8, 0.6, 0.5)
"""Tokens of base that a token of each corpus is worth, without noise; the faults grow."""
SLOPE = 0.2


def made(worth: tuple[float, ...] = WORTH, noise: float = 0.0, seeds: int = 8) -> Results:
    """Return results of CORPORA, whose only held-out set is "clean"."""
    found = results(worth, noise, seeds, slope=SLOPE)
    sets = np.full(found.documents.sets.size, "clean")
    return replace(found, corpora=CORPORA, documents=replace(found.documents, sets=sets))


def counts(line: str) -> tuple[int, int]:
    """Return how many comparisons of a line said worse, and how many better."""
    worse, better = re.findall(r"(\d+) (?:worse|better)", line)
    return int(worse), int(better)


def test_without_noise_all_is_right_and_differences_are_those_that_were_planted() -> None:
    head, order, seen, comparisons, *lines = table(made(), of=4, plays=20)
    assert head.endswith("bits per byte, 8 seeds, noise of a run 0.0000")
    assert seen.startswith("a comparison of 4 seeds sees 0.0")
    assert comparisons.endswith("20 call all four faults worse and in their order, 20 have the order")
    assert order == "all four signs right in 8 of 8 seeds, signs and order in 8"
    assert [line.split()[0] for line in lines] == list(CORPORA[1:])
    assert [counts(line) for line in lines[1:]] == [(20, 0)] * 4
    for line, worth in zip(lines, WORTH[1:], strict=True):
        planted = -SLOPE * np.log(worth)
        assert abs(float(line.split()[1]) - planted) < 0.03 * planted + 1e-4, line
        assert f"worse in {8 if worth < 1 else 0} of 8 seeds" in line


def test_a_wrong_sign_and_a_wrong_order_are_counted() -> None:
    better = table(made((1.0, 1.0, 1.2, 0.8, 0.6, 0.5)), of=4, plays=5)
    assert better[1] == "all four signs right in 0 of 8 seeds, signs and order in 0"
    assert counts(better[5]) == (0, 5)
    assert " 0 call all four" in better[3]
    swapped = table(made((1.0, 1.0, 0.8, 0.9, 0.6, 0.5)), of=4, plays=5)
    assert swapped[1] == "all four signs right in 8 of 8 seeds, signs and order in 0"
    assert " 0 call all four" in swapped[3]
    assert swapped[3].endswith("0 have the order")


def test_equals_are_seldom_told_apart_and_faults_below_the_noise_are_missed() -> None:
    noisy = table(made((1.0, 1.0, 0.99, 0.8, 0.6, 0.2), noise=0.05, seeds=20), of=4, plays=200)
    same, least, *_, largest = (counts(line) for line in noisy[4:])
    assert sum(same) <= 0.1 * 200
    assert least[0] < 0.5 * 200
    assert largest[0] > 0.9 * 200
