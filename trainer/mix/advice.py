"""What a study of mixes says: the best mix, what it is worth, and how far to trust the law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from corpus import files
from corpus.settings import as_key
from corpus.teller import Teller
from trainer.held_out import Floats
from trainer.mix.law import Fitted, best, fitted
from trainer.mix.swarm import LEAST, Swarm, training
from trainer.scaling.uncertainty import Interval


@dataclass(frozen=True)
class Stream:
    """A stream: its tokens, its share by tokens and in the best mix, and how often that mix reads it.

    `slopes` has the slope of the law for each held-out domain: a domain gains most from the lowest.
    """

    name: str
    tokens: int
    natural: float
    best: float
    epochs: float
    slopes: Mapping[str, float]


@dataclass(frozen=True)
class Test:
    """How the law did on mixes that it was not fitted to.

    `rank` is Spearman's correlation of predicted and measured losses, `inside` the share of runs inside
    intervals of level `level`, `error` the median relative miss, `spread` the standard deviation of the
    measured losses over their mean: a law that says nothing would miss by about as much.
    """

    mixes: int
    rank: float
    inside: float
    level: float
    error: float
    spread: float


@dataclass(frozen=True)
class Advice:
    """The best mix, its predicted loss beside that of the natural mix, and the test of the law.

    `natural_measured` and `best_measured` are the losses of a model that was trained on each.
    """

    streams: tuple[Stream, ...]
    domains: tuple[str, ...]
    natural: Interval
    best: Interval
    gain: Interval
    natural_measured: float
    best_measured: float
    test: Test
    runs: int

    def toml(self) -> str:
        """Return the table of a training configuration that sets the best mix."""
        rows = [f"{as_key(stream.name)} = {stream.best:.4f}" for stream in self.streams if stream.best]
        return "\n".join(["# Add this table to the preset of your run.", "[data.weights]", *rows, ""])


def advise(swarm: Swarm, teller: Teller) -> Advice:
    """Train the runs that are missing, then the best mix and the natural one, and return the advice.

    Raises StudyError for runs that failed, StoppedError after SIGTERM or Ctrl-C.
    """
    runs = swarm.mix.runs
    with training(swarm, teller) as train:
        train(swarm.units)
        losses = swarm.losses(swarm.units)
        found = fitted(swarm.mixes[:runs], losses[:runs], swarm.importance)
        shares = best(found, np.minimum(1.0, swarm.mix.epochs * swarm.held / swarm.mix.tokens))
        shares[shares < LEAST] = 0.0
        shares /= shares.sum()
        # Another goal or cap gives another best mix, and each has its own run.
        advised = swarm.unit(f"best-{files.fingerprint(shares.tolist())[:8]}", shares)
        both = (swarm.unit("natural", swarm.natural), advised)
        train(both)
        natural_measured, best_measured = (swarm.losses(both) @ swarm.importance).tolist()
    names = tuple(domain.name for domain in swarm.domains)
    streams = [
        Stream(
            name=name,
            tokens=int(swarm.held[n]),
            natural=float(swarm.natural[n]),
            best=float(shares[n]),
            epochs=float(shares[n] * swarm.mix.tokens / swarm.held[n]),
            slopes=dict(zip(names, found.law.slopes[:, n].tolist(), strict=True)),
        )
        for n, name in enumerate(swarm.streams)
    ]
    return Advice(
        streams=tuple(streams),
        domains=names,
        natural=found.interval(swarm.natural),
        best=found.interval(shares),
        gain=found.gain(swarm.natural, shares),
        natural_measured=natural_measured,
        best_measured=best_measured,
        test=_test(found, swarm.mixes[runs:], losses[runs:] @ swarm.importance),
        runs=runs,
    )


def _test(found: Fitted, mixes: Floats, measured: Floats) -> Test:
    predicted, intervals = found.value(mixes), [found.interval(each) for each in mixes]
    held = [one.holds(value) for one, value in zip(intervals, measured.tolist(), strict=True)]
    return Test(
        mixes=len(intervals),
        rank=float(stats.spearmanr(predicted, measured).statistic),
        inside=float(np.mean(held)),
        level=intervals[0].level,
        error=float(np.median(np.abs(predicted / measured - 1))),
        spread=float(measured.std() / measured.mean()),
    )
