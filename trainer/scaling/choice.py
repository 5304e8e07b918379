"""Which law answers: the richest that the runs' columns allow, unless a simpler one predicts better."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from corpus.errors import RunsError
from trainer.scaling.fit import fit
from trainer.scaling.laws import CHINCHILLA, DATA, JOINT, LAWS, REPETITION, REPETITION_TIED, TIED, Law
from trainer.scaling.prediction import held_out_error, rollouts
from trainer.scaling.runs import Runs
from trainer.scaling.uncertainty import bootstrap

MARGIN = 0.8
"""A simpler law answers if its held-out error is below this share of the richer one's: two errors of few runs
differ by chance, and the lower of two is lower than its law deserves."""
PENALTY = 1.1
"""The factor of a law's held-out error for each parameter that the runs do not determine."""
RESAMPLES = 100


@dataclass(frozen=True)
class Candidate:
    """A law's held-out error in rollouts (of ln loss), and how many parameters the runs do not determine."""

    law: str
    error: float
    undetermined: int

    @property
    def penalised(self) -> float:
        """Return the error by which laws are compared."""
        return self.error * PENALTY**self.undetermined

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self) | {"penalised": self.penalised}


def candidates(name: str, runs: Runs) -> tuple[Law, ...]:
    """Return the law of a name, or those that the runs' columns allow, the richest first.

    RunsError if the name is unknown or no law fits the columns.
    """
    if name:
        if name not in LAWS:
            raise RunsError(f"law {name!r} is unknown; expected one of {', '.join(LAWS)}")
        return (LAWS[name],)
    varied = {c for c in ("params", "tokens") if np.ptp(np.log(runs.columns.get(c, np.ones(1)))) > 0.01}
    if "tokens" not in varied:
        raise RunsError(
            "no tokens that differ from run to run: name their column with --tokens, and give runs of "
            "several amounts of data"
        )
    if "params" not in varied:
        return (DATA,)
    if not repeated(runs).any():
        return CHINCHILLA, TIED
    more = all(np.ptp(runs.columns.get(c, np.ones(1))) > 0 for c in ("share", "decay"))
    return (*((JOINT,) if more else ()), REPETITION, REPETITION_TIED)


def choose(name: str, runs: Runs, seed: int = 0) -> tuple[Law, tuple[Candidate, ...]]:
    """Return the law that answers, and the candidates compared; none are compared if only one is possible."""
    laws = candidates(name, runs)
    if len(laws) == 1:
        return laws[0], ()
    compared = tuple(_candidate(law, runs, seed) for law in laws)
    best = 0
    for i, one in enumerate(compared):
        if one.penalised < MARGIN * compared[0].penalised and one.penalised < compared[best].penalised:
            best = i
    return laws[best], compared


def _candidate(law: Law, runs: Runs, seed: int) -> Candidate:
    try:
        fitted = fit(law, runs, descents=16)
        error = held_out_error(rollouts(law, runs))
    except RunsError:  # too few runs for this law
        return Candidate(law.name, float("inf"), len(law.parameters))
    draws = bootstrap(fitted, runs, RESAMPLES, seed)
    loose = sum(not draws.interval(name).determined for name in law.parameters)
    return Candidate(law.name, error, loose)


def repeated(runs: Runs) -> Any:
    """Return which runs saw some of their data more than once [n]."""
    return repeats(runs.columns["tokens"], runs.columns["unique"])


def repeats(tokens: Any, unique: Any) -> Any:
    """Return whether tokens exceed unique tokens (numbers or arrays) by more than a few at the end."""
    return tokens > 1.001 * unique
