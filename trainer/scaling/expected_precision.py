"""The expected precision of a fit to a grid of runs: fits to losses simulated by a known law with noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.errors import RunsError
from trainer.scaling.choice import candidates
from trainer.scaling.config import Expected
from trainer.scaling.fit import problem, starts
from trainer.scaling.laws import Floats, Law
from trainer.scaling.minimise import HUBER, descend
from trainer.scaling.runs import Runs
from trainer.scaling.uncertainty import Interval, percentile, runaway

DRAWS = 40
SIZE_DECAY = 5.31
"""R_N* of Muennighoff et al., arXiv 2305.16264."""


@dataclass(frozen=True)
class Expectation:
    """The truth of exponents and R_D* with the range of 95 of 100 fits to the planned runs; `why` if none."""

    law: str
    runs: int
    noise: float
    ranges: dict[str, Interval]
    why: str = ""


def simulate(wanted: Expected, planned: Runs, draws: int = DRAWS) -> Expectation:
    """Draw losses of the planned runs (params, tokens, unique) from the law with noise, and fit them.

    The law is the richest that the columns allow. Each fit starts at the truth and at the starts of variable
    projection, and keeps the lowest minimum.
    """
    law = candidates("", planned)[0]
    known = {
        "a": np.log(wanted.A),
        "b": np.log(wanted.B),
        "e": np.log(wanted.E),
        "alpha": wanted.alpha,
        "beta": wanted.beta,
        "log_rd": np.log(wanted.repetition),
        "log_rn": np.log(SIZE_DECAY),
    }
    truth = np.array([known[name] for name in law.parameters])
    log_loss = law.log_loss(truth, planned.logs())
    rng = np.random.default_rng(0)
    try:
        drawn = np.array(
            [
                _refit(law, planned.with_loss(np.exp(log_loss + noise)), truth)
                for noise in wanted.noise * rng.standard_normal((draws, len(planned)))
            ]
        )
    except RunsError as error:
        return Expectation(law.name, len(planned), wanted.noise, {}, str(error))
    found = {}
    for name, label in (("alpha", "alpha"), ("beta", "beta"), ("log_rd", "R_D*")):
        if name in law.parameters:
            k = law.index(name)
            given = np.exp if name == "log_rd" else np.asarray
            found[label] = percentile(given(truth[k]).item(), given(drawn[:, k]), runaway(law, drawn)[:, k])
    exponent = [law.derived(_named(law, row)).get("N exponent") for row in (truth, *drawn)]
    if exponent[0] is not None:
        values = np.array(exponent[1:], dtype=float)
        found["N exponent"] = percentile(exponent[0], values, (values >= 1.0) - (values <= 0.0).astype(float))
    return Expectation(law.name, len(planned), wanted.noise, found)


def _refit(law: Law, planned: Runs, truth: Floats) -> Floats:
    task = problem(law, planned, HUBER, {})
    begin = task.centred(np.vstack([truth, starts(task, grid=False)]))
    ended = descend(task, begin, np.ones((1, len(planned))), steps=80, rest=1e-7)
    return np.asarray(task.raw(ended.theta[[int(ended.value.argmin())]])[0])


def _named(law: Law, theta: Floats) -> dict[str, float]:
    return dict(zip(law.parameters, theta.tolist(), strict=True))
