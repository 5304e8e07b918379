"""The small models of a study of mixes: which mixes they read, their training, their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ConfigError
from corpus.teller import Teller
from trainer import held_out, preflight, tokens
from trainer.compare.plan import named_beside
from trainer.compare.results import Measure, measure
from trainer.held_out import Documents, Floats, HeldOut
from trainer.mix.config import Mix
from trainer.scaling.dispatch import Workers, devices, locked
from trainer.scaling.units import RUNS, Unit

SHARPNESS = (0.5, 4.0)
"""Means of Dirichlet's parameters, between which a mix's is drawn: from few streams to all alike."""
LEAST = 1e-3
"""A smaller share of a mix is 0."""
_TRIES = 10_000


@dataclass(frozen=True, eq=False)
class Swarm:
    """A planned study: the streams, the mixes (float64[mixes, streams], the last ones to test), the domains.

    `held` tokens each stream has; `domains` are the measures of the held-out documents, `importance` how much
    each counts, in sum 1.
    """

    mix: Mix
    streams: tuple[str, ...]
    held: NDArray[np.int64]
    mixes: Floats
    sample: HeldOut
    domains: tuple[Measure, ...]
    importance: Floats
    content: str

    @property
    def natural(self) -> Floats:
        """Return the mix in proportion to the streams' tokens."""
        return np.asarray(self.held / self.held.sum(), np.float64)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """Return a run for each mix."""
        return tuple(self.unit(f"mix-{number:03d}", shares) for number, shares in enumerate(self.mixes))

    def unit(self, name: str, shares: Floats) -> Unit:
        """Return the run of a small model on one mix."""
        weights = {name: share for name, share in zip(self.streams, shares.tolist(), strict=True) if share}
        train = self.mix.train
        config = train.model_copy(
            update={
                "data": train.data.model_copy(update={"weights": weights}),
                "evaluate": train.evaluate.model_copy(update={"documents": 0, "prompt": ""}),
                "checkpoint": train.checkpoint.model_copy(update={"keep": 1, "keep_every": 0}),
            }
        )
        return Unit(
            name=name,
            output=self.mix.output,
            folder=f"{RUNS}/{name}",
            corpus=self.mix.corpus,
            validation=self.mix.corpus,
            content=self.content,
            config=config,
            branch=None,
            # Its own score is not used, because the held-out documents are others: it reads one a stream.
            facts={"run": name, "evaluate": {"documents": 1, "seed": 0}},
        )

    def losses(self, units: Sequence[Unit]) -> Floats:
        """Return the bits per byte of finished runs on each domain: float64[runs, domains]."""
        found = []
        for unit in units:
            bits = held_out.stored(unit.path, self.sample.digest)
            assert bits is not None, unit.name
            found.append([domain.of(bits) for domain in self.domains])
        return np.array(found, np.float64)


def plan(mix: Mix) -> Swarm:
    """Return a study that can be run.

    Raises ConfigError for held-out sets of another tokenizer, domains that do not exist, or caps that leave
    no mix; DatasetError for folders without token shards or validation documents.
    """
    opened = tokens.open(mix.corpus)
    judging = {
        name: tokens.open(folder)
        for name, folder in named_beside(list(mix.held_out), {"corpus": mix.corpus}).items()
    }
    tokens.one_tokenizer({"corpus": opened, **judging})
    settings = mix.train.evaluate
    sample = held_out.choose(judging or {"corpus": opened}, settings.documents, settings.seed)
    domains = _domains(sample.documents)
    found = tokens.streams(opened)
    streams = tuple(stream.name for stream in found)
    held = np.array([int(stream.tokens.sum()) for stream in found], np.int64)
    if len(streams) < 2:
        raise ConfigError(f"{mix.corpus}: its only stream is {streams[0]}: there is nothing to mix")
    _check_caps(mix, held)
    return Swarm(
        mix=mix,
        streams=streams,
        held=held,
        mixes=draw(mix, held),
        sample=sample,
        domains=domains,
        importance=_importance(mix, domains),
        content=tokens.fingerprint(opened, preflight.open_order(mix.train, opened, 1), 0),
    )


def _domains(documents: Documents) -> tuple[Measure, ...]:
    """Return a measure for each domain: a language and source of the held-out documents, of all sets."""
    names = np.char.add(np.char.add(documents.languages, "/"), documents.sources)
    return tuple(
        measure("domain", name, np.where(names == name, 0, -1), documents.bytes)
        for name in dict.fromkeys(names.tolist())
    )


def _importance(mix: Mix, domains: tuple[Measure, ...]) -> Floats:
    """Return how much each domain counts; ConfigError for a name that none has."""
    named = [domain.name for domain in domains]
    if unknown := sorted(set(mix.target) - set(named)):
        raise ConfigError(
            f"target: no held-out documents of {', '.join(unknown)}; there are {', '.join(sorted(named))}"
        )
    weights = np.array([mix.target.get(name, 0.0) if mix.target else 1.0 for name in named])
    if not weights.any():
        raise ConfigError("target: expected at least one weight above 0")
    return np.asarray(weights / weights.sum(), np.float64)


def _check_caps(mix: Mix, held: NDArray[np.int64]) -> None:
    most = mix.epochs * float(held.sum())
    if most < mix.tokens:
        raise ConfigError(
            f"tokens = {mix.tokens:,}: {mix.epochs:g} epochs of all streams are only {most:,.0f} tokens; "
            "lower tokens, raise epochs, or add text"
        )


def draw(mix: Mix, held: NDArray[np.int64]) -> Floats:
    """Draw the mixes of all runs, float64[runs + test, streams], around the root of the natural mix.

    The root gives small streams enough weight for their worth to show. No mix reads a stream more often than
    `epochs` allows, so that what is measured is the mix and not repetition; ConfigError if that cannot be.
    """
    rng = np.random.default_rng(mix.seed)
    centre = np.sqrt(held / held.sum())
    centre /= centre.sum()
    caps = mix.epochs * held / mix.train.data.tokens
    found: list[Floats] = []
    for _ in range(_TRIES):
        sharpness = np.exp(rng.uniform(*np.log(SHARPNESS)))
        shares = rng.dirichlet(centre * sharpness * held.size)
        shares[shares < LEAST] = 0.0
        shares /= shares.sum()
        if (shares <= caps).all():
            found.append(shares)
        if len(found) == mix.runs + mix.test:
            return np.array(found)
    raise ConfigError(
        f"train.data.tokens = {mix.train.data.tokens:,}: no mixes were found that read every stream at most "
        f"{mix.epochs:g} times; lower it, or raise epochs"
    )


@contextmanager
def training(swarm: Swarm, teller: Teller) -> Iterator[Callable[[Sequence[Unit]], None]]:
    """Yield a function that trains and scores what is missing of some runs; the same call resumes them.

    It raises StudyError for runs that failed, StoppedError after SIGTERM or Ctrl-C.
    """
    folder, on = Path(swarm.mix.output), devices(swarm.mix.train.run, swarm.mix.workers)
    with locked(folder) as lock, Workers(folder, on, lock) as workers:
        documents = held_out.write(folder, swarm.sample)

        def train(units: Sequence[Unit]) -> None:
            asked = [replace(unit, held_out=documents) for unit in units]

            def finished(unit: Unit) -> None:
                done = sum(each.done for each in asked)
                teller.say(f"{unit.name}: {done} of {len(asked)} mixes trained and scored")

            workers.dispatch(asked, finished)

        yield train
