"""What follows a plan: the learning rate, Muon's momentum, and the rotary positions.

The learning rate is a share of its peak: a pure function of tokens, independent of steps and state.

A step trains on the tokens `begin` … `end` of the run, and its rate is the curve's height at their middle.
So the first step already moves the weights, the last one still does if the floor is 0, and the area under
a straight piece of the curve is the same for every batch size. (The height at `begin` would waste the first
step on rate 0, the height at `end` the last one.)

A scaling study trains one trunk and branches off it: `trunk = rates(schedule, largest)`, and for each
number of tokens D `branch = rates(schedule, D, warmup=trunk.warmup)`. Both curves are equal up to
`branch.stable`, so the branch starts from the trunk's checkpoint there (or the last one before).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpus.errors import ConfigError
from trainer import config
from trainer.rope import Rope

_FIRST_MOMENTUM = 0.85


@dataclass(frozen=True, slots=True)
class Rates:
    """A learning-rate curve over `total` tokens: the first `warmup` rise, the last `decay` fall to `floor`.

    Between them the rate is 1. Cosine and linear schedules fall from the end of the warmup: their decay is
    the whole rest.
    """

    total: int
    warmup: int
    decay: int
    shape: str
    floor: float

    @property
    def stable(self) -> int:
        """Return the number of tokens after which the rate falls: where a branch leaves its trunk."""
        return self.total - self.decay

    def at(self, tokens: float) -> float:
        """Return the height of the curve, in [0, 1], after this many tokens of the run."""
        if tokens < self.warmup:
            return max(0.0, tokens) / self.warmup
        if tokens <= self.stable:
            return 1.0
        return self.floor + (1.0 - self.floor) * _fall(self.shape, (tokens - self.stable) / self.decay)

    def step(self, begin: int, end: int) -> float:
        """Return the rate of the step that trains on the tokens `begin` … `end` of the run."""
        return self.at((begin + end) / 2)


def rates(schedule: config.Schedule, total: int, *, warmup: int | None = None) -> Rates:
    """Return the curve of a run of `total` tokens; `warmup` in tokens if a trunk has fixed it.

    Raises ConfigError if the warmup overlaps the decay.
    """
    if total < 1:
        raise ConfigError(f"a schedule needs at least one token; found a total of {total}")
    rising = round(schedule.warmup * total) if warmup is None else warmup
    falling = min(round(schedule.decay * total), total) if schedule.name == "wsd" else max(0, total - rising)
    if rising + falling > total + 1:  # each is rounded
        raise ConfigError(
            f"the warmup of {rising:,} tokens overlaps the decay, which starts after {total - falling:,} of "
            f"{total:,}; raise data.tokens, or lower schedule.warmup"
        )
    shape = schedule.shape if schedule.name == "wsd" else schedule.name
    return Rates(total, rising, min(falling, total - rising), shape, schedule.floor)


def _fall(shape: str, share: float) -> float:
    """Return the height, falling from 1 to 0, after a share of the decay.

    1-sqrt: Hägele et al. 2024, arXiv 2405.18392 §3, where it beats a linear cooldown.
    """
    share = min(1.0, share)
    if shape == "1-sqrt":
        return 1.0 - math.sqrt(share)
    if shape == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    return 1.0 - share


def momentum(settings: config.Optimizer, step: int) -> float:
    """Return Muon's momentum in a step, counted from 0: it rises linearly from 0.85, as in modded-nanogpt.

    In steps, not in a share of the run, so that a trunk and its branches have the same.
    """
    if step >= settings.momentum_warmup:
        return settings.momentum
    first = min(_FIRST_MOMENTUM, settings.momentum)
    return first + (settings.momentum - first) * step / settings.momentum_warmup


def rope(settings: config.Config, steps: int) -> Rope:
    """Return the rotary positions after this many steps: of the phase that the last of them belongs to.

    Longer windows need a larger base, or stretched positions: no query was ever trained on such distances
    (2309.16039, 2309.00071).
    """
    data, end = settings.data, 0
    for phase in data.phases:
        length = phase.length or data.length
        end += -(-phase.tokens // (length * (phase.batch or data.batch)))
        if steps <= end:
            return _rope(settings.model, phase.rope_base, length)
    return _rope(settings.model, None, data.length)


def _rope(model: config.Model, base: float | None, length: int) -> Rope:
    if not 0 < model.yarn < length:
        return Rope(base or model.rope_base)
    return Rope(base or model.rope_base, length / model.yarn, model.yarn)
