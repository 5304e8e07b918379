"""How often a model prefers the right option, by group, and how well it agrees with people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from trainer.load_run import LoadedRun
from trainer.tasks.contamination import Held
from trainer.tasks.likelihood import Floats, Options, nats, options
from trainer.tasks.questions import Question, Rated, Task


@dataclass(frozen=True)
class Accuracy:
    """The share of right answers with its 95 % Wilson interval; `chance` is that of guessing."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """The questions of a group: accuracy by log-likelihood and by log-likelihood per byte.

    `probability` is the mean probability of the right option among the options: it moves smoothly where
    accuracy does not. Options of equal likelihood share the answer, so equal sentences count as a half.
    """

    name: str
    questions: int
    chance: float
    total: Accuracy
    by_byte: Accuracy
    probability: float


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation of people's ratings with log-likelihood per byte, with its 95 % interval.

    Over `count` sentences; the interval is Fisher's with Bonett and Wright's variance (2000).
    """

    count: int
    correlation: float
    low: float
    high: float


@dataclass(frozen=True)
class Contaminated:
    """What the model's corpus holds of a task, and the mean of the groups on those questions and on the rest.

    A mean is None where there are no such questions.
    """

    held: Held
    on_held: Group | None
    without: Group | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        means = {name: each and asdict(each) for name, each in vars(self).items() if name != "held"}
        return {**self.held.model_dump(mode="json"), **means}


@dataclass(frozen=True)
class Judged:
    """A task's groups, their mean (each counts once), and agreement with people if there are ratings.

    `contaminated` is None where it was not asked what the corpus holds.
    """

    task: str
    groups: tuple[Group, ...]
    mean: Group
    agreement: Agreement | None
    contaminated: Contaminated | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = asdict(replace(self, contaminated=None))
        return {**found, "contaminated": self.contaminated and self.contaminated.as_dict()}


def judge(trained: LoadedRun, task: Task, held: Held | None = None) -> Judged:
    """Ask a model every question of a task; `held` is what its corpus holds of it, if that was looked for."""
    found = options(trained, task.questions)
    groups = _groups(task, found, range(len(task.questions)))
    contaminated = None
    if held is not None:
        rest = [number for number in range(len(task.questions)) if number not in held.rows]
        on_held, without = (_groups(task, found, numbers) for numbers in (held.rows, rest))
        contaminated = Contaminated(
            held, _mean(on_held) if on_held else None, _mean(without) if without else None
        )
    return Judged(task.name, groups, _mean(groups), _agreement(trained, task.rated), contaminated)


def _groups(task: Task, found: Sequence[Options], numbers: Iterable[int]) -> tuple[Group, ...]:
    """Return the groups of the questions of these numbers."""
    by_group: dict[str, list[int]] = {}
    for number in numbers:
        by_group.setdefault(task.questions[number].group, []).append(number)
    return tuple(
        group(name, [task.questions[n] for n in chosen], [found[n] for n in chosen])
        for name, chosen in sorted(by_group.items())
    )


def group(name: str, questions: Sequence[Question], found: Sequence[Options]) -> Group:
    """Return the scores of a group of questions."""
    total = [credit(each.total, q.answer) for q, each in zip(questions, found, strict=True)]
    by_byte = [credit(each.by_byte, q.answer) for q, each in zip(questions, found, strict=True)]
    likely = [_softmax(each.total)[q.answer] for q, each in zip(questions, found, strict=True)]
    chance = float(np.mean([1 / len(question.options) for question in questions]))
    return Group(name, len(questions), chance, accuracy(total), accuracy(by_byte), float(np.mean(likely)))


def credit(values: Floats, answer: int) -> float:
    """Return 1 if the answer has the largest value, a share of it if others have the same, else 0."""
    best = values >= values.max() - 1e-9 * max(1.0, abs(float(values.max())))
    return float(best[answer] / best.sum())


def accuracy(credits: Sequence[float]) -> Accuracy:
    """Return the mean of credits with Wilson's interval (1927)."""
    count, share, z = len(credits), float(np.mean(credits)), 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return Accuracy(share, middle - reach, middle + reach)


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


def _mean(groups: Sequence[Group]) -> Group:
    """Return the plain mean of groups, with the interval of a mean of independent shares."""

    def mean(found: Sequence[Accuracy]) -> Accuracy:
        share = float(np.mean([each.share for each in found]))
        # A group that is all right or all wrong has a variance all the same: Wilson's half width for it.
        errors = [(each.high - each.low) / (2 * 1.959964) for each in found]
        reach = 1.959964 * math.sqrt(sum(error**2 for error in errors)) / len(errors)
        return Accuracy(share, share - reach, share + reach)

    return Group(
        name="mean",
        questions=sum(each.questions for each in groups),
        chance=float(np.mean([each.chance for each in groups])),
        total=mean([each.total for each in groups]),
        by_byte=mean([each.by_byte for each in groups]),
        probability=float(np.mean([each.probability for each in groups])),
    )


def _agreement(trained: LoadedRun, rated: Sequence[Rated]) -> Agreement | None:
    if len(rated) < 4:
        return None
    found = nats(trained, [trained.tokenizer.encode(each.text) for each in rated])
    by_byte = -found / np.array([len(each.text.encode()) for each in rated])
    return agreement(by_byte, np.array([each.rating for each in rated]))


def agreement(values: Floats, ratings: Floats) -> Agreement:
    """Return Spearman's correlation of two columns, with its interval."""
    count, found = len(values), float(stats.spearmanr(values, ratings).statistic)
    error = math.sqrt((1 + found**2 / 2) / (count - 3))
    middle = math.atanh(max(-0.999999, min(0.999999, found)))
    reach = 1.959964 * error
    return Agreement(count, found, math.tanh(middle - reach), math.tanh(middle + reach))
