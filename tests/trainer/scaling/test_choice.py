"""The law that answers predicts held-out runs best, unless the difference may be chance."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.scaling import choice
from trainer.scaling.choice import Candidate, choose
from trainer.scaling.fit import fit
from trainer.scaling.laws import CHINCHILLA, Law
from trainer.scaling.prediction import predict
from trainer.scaling.runs import Runs, runs

SIZES, TOKENS = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 3e10, 4)))


def made() -> Runs:
    """Return 16 runs of a law with different exponents, with a little noise."""
    found = runs(np.ones(16), params=SIZES, tokens=TOKENS)
    loss = np.exp(CHINCHILLA.log_loss(np.array([5.0, 7.0, 0.4, 0.3, 0.38]), found.logs()))
    return found.with_loss(loss * np.exp(0.002 * np.random.default_rng(0).standard_normal(16)))


@pytest.mark.parametrize(
    ("rich", "simple", "answers"),
    [
        ((0.024, 2), (0.013, 0), "tied"),  # the miss of the richest law is nearly twice as large
        ((0.010, 0), (0.009, 0), "chinchilla"),  # a tenth is chance
        ((0.010, 2), (0.009, 0), "tied"),  # but not if the runs leave two parameters open
        ((float("inf"), 5), (0.5, 1), "tied"),  # too few runs for the richest
    ],
)
def test_a_simpler_law_answers_if_it_is_clearly_better(
    rich: tuple[float, int], simple: tuple[float, int], answers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"chinchilla": rich, "tied": simple}

    def compared(law: Law, data: Runs, seed: int) -> Candidate:
        return Candidate(law.name, *given[law.name])

    monkeypatch.setattr(choice, "_candidate", compared)
    assert choose("", made())[0].name == answers


def test_a_named_law_is_not_compared() -> None:
    law, compared = choose("tied", made())
    assert (law.name, compared) == ("tied", ())


def test_candidates_carry_their_errors_and_what_is_not_determined() -> None:
    law, compared = choose("", made())
    assert [one.law for one in compared] == ["chinchilla", "tied"]
    assert law.name in ("chinchilla", "tied")
    assert all(0 < one.error < 0.1 for one in compared)


def test_intervals_grow_with_the_distance_from_the_runs() -> None:
    data = made()
    target = runs(np.ones(3), params=np.full(3, 1e9), tokens=3e10 * np.array([1.0, 10.0, 100.0]))
    widths = predict(fit(CHINCHILLA, data, descents=16), data, target).half_width
    assert widths[0] < widths[1] < widths[2]
