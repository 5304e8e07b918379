"""Scores of one answer by each metric: pure functions, each with its unit, range and direction."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from trainer.abilities.outputs import Output

_DIGITS = frozenset("0123456789")
_PIECES = re.compile(r"[0-9]|[^\W0-9_]+|[^\w\s]|_")


def exact_match(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction is one of the right answers, as written; else 0."""
    return float(prediction in targets)


def digits_right(prediction: str, target: str) -> list[bool]:
    """Return for each digit of the target, in the order of the text, whether the prediction has it.

    Places are counted from the least significant digit; a prediction with fewer digits is padded with a
    non-digit. Digits beyond the target's places are ignored; `no_digit_more` checks them.
    """
    said = [each for each in reversed(prediction) if each in _DIGITS]
    wanted = [each for each in reversed(target) if each in _DIGITS]
    said += [""] * len(wanted)
    return [said[place] == digit for place, digit in enumerate(wanted)][::-1]


def digit_accuracy(prediction: str, target: str) -> float:
    """Return the share of the target's digits that are right; ValueError for a target without digits."""
    right = digits_right(prediction, target)
    if not right:
        raise ValueError(f"target {target!r} has no digit")
    return sum(right) / len(right)


def no_digit_more(prediction: str, target: str) -> bool:
    """Return whether the prediction has no digit beyond the target's places."""
    return sum(each in _DIGITS for each in prediction) <= sum(each in _DIGITS for each in target)


def edit_distance(said: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """Return the Levenshtein distance of two sequences over the length of the longer: 0 equal, 1 disjoint.

    Insertions, deletions and substitutions cost 1; two empty sequences are equal.
    """
    longest = max(len(said), len(wanted))
    if not longest:
        return 0.0
    row = list(range(len(wanted) + 1))
    for i, each in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (each != other))
    return row[-1] / longest


def choice_probabilities(option_nats: Sequence[float]) -> list[float]:
    """Return p(option | one of the options): probabilities over the vocabulary, made to sum to 1."""
    highest = max(option_nats)
    shares = [math.exp(nats - highest) for nats in option_nats]
    return [share / sum(shares) for share in shares]


def brier(probabilities: Sequence[float], gold: int) -> float:
    """Return Brier's score over all options, Σ (p - 1[gold])²: 0 is best, 2 is worst (Brier 1950)."""
    return sum((p - (k == gold)) ** 2 for k, p in enumerate(probabilities))


def target_brier(probabilities: Sequence[float], gold: int) -> float:
    """Return (1 - p of the right option)²: 0 is best, 1 is worst (Schaeffer et al. 2023)."""
    return (1 - probabilities[gold]) ** 2


def choice_grade(option_nats: Sequence[float], gold: int) -> float:
    """Return 1 if the right option is the likeliest, 1 / m if m options share that, else 0."""
    best = max(option_nats)
    return (option_nats[gold] == best) / sum(nats == best for nats in option_nats)


def log_sum(nats: Sequence[float]) -> float:
    """Return ln of the sum of probabilities: several right answers add up (BIG-bench#468)."""
    highest = max(nats)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(each - highest) for each in nats))


def wrong_mass(option_nats: Sequence[float], gold: int) -> float:
    """Return the probability, over the vocabulary, of all wrong options together."""
    return sum(math.exp(nats) for k, nats in enumerate(option_nats) if k != gold)


def independent_match(outputs: Sequence[Output]) -> float | None:
    """Return the exact match that independent digits would have: the product of the digits' accuracies.

    Computed place by place, separately for targets of each length; the last factor is the share of
    predictions without extra digits. If the measured exact match is higher, digits are right and wrong
    together. None if no prediction or no digit is known.
    """
    lengths: dict[int, list[list[bool]]] = {}
    for output in outputs:
        if output.prediction is not None and output.target:
            right = digits_right(output.prediction, output.target[0])
            if right:
                right.append(no_digit_more(output.prediction, output.target[0]))
                lengths.setdefault(len(right), []).append(right)
    total = sum(map(len, lengths.values()))
    if not total:
        return None
    matches = 0.0
    for rows in lengths.values():
        matches += len(rows) * math.prod(sum(place) / len(rows) for place in zip(*rows, strict=True))
    return matches / total


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one answer; `of` returns None if it does not apply. `sharp`: it has a threshold."""

    name: str
    meaning: str
    better: Literal["higher", "lower"]
    low: float
    high: float
    sharp: bool
    of: Callable[[Output], float | None]


def _exact(o: Output) -> float | None:
    return exact_match(o.prediction, o.target) if o.prediction is not None and o.target else None


def _right(o: Output) -> list[bool]:
    return digits_right(o.prediction, o.target[0]) if o.prediction is not None and o.target else []


def _digits(o: Output) -> float | None:
    right = _right(o)
    return sum(right) / len(right) if right else None


def _digits_by_carry(o: Output, carry: int) -> float | None:
    if not o.carry:
        return None
    of = [right for right, into in zip(_right(o), o.carry, strict=False) if into == carry]
    return sum(of) / len(of) if of else None


def _forced(o: Output) -> float | None:
    return sum(o.digit_right) / len(o.digit_right) if o.digit_right else None


def _distance(o: Output) -> float | None:
    if o.prediction is None or not o.target:
        return None
    return min(edit_distance(_pieces(o.prediction), _pieces(target)) for target in o.target)


def _pieces(text: str) -> list[str]:
    """Cut a text like a tokenizer that splits digits: into single digits, words and signs."""
    return _PIECES.findall(text)


def _choices(of: Callable[[list[float], int], float], o: Output) -> float | None:
    if not o.option_nats or o.gold is None:
        return None
    return of(choice_probabilities(o.option_nats), o.gold)


def _grade(o: Output) -> float | None:
    return choice_grade(o.option_nats, o.gold) if o.option_nats and o.gold is not None else None


def _wrong(o: Output) -> float | None:
    return wrong_mass(o.option_nats, o.gold) if o.option_nats and o.gold is not None else None


def _target(o: Output) -> float | None:
    return log_sum(o.target_nats) if o.target_nats else None


def _per_byte(o: Output) -> float | None:
    bytes = o.target_bytes or (len(o.target[0].encode()) if o.target else 0)
    return o.target_nats[0] / bytes if o.target_nats and bytes else None


def _per_token(o: Output) -> float | None:
    return o.target_nats[0] / o.target_tokens if o.target_nats and o.target_tokens else None


def _per_digit(o: Output) -> float | None:
    return sum(o.digit_nats) / len(o.digit_nats) if o.digit_nats else None


def _expected(o: Output) -> float | None:
    if not o.digit_nats or o.end_nats is None:
        return None
    return math.exp(sum(o.digit_nats) + o.end_nats)


_UNBOUNDED = -math.inf

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("exact_match", "the whole answer is right", "higher", 0, 1, True, _exact),
        Metric("choice_grade", "the right option is the likeliest", "higher", 0, 1, True, _grade),
        Metric(
            "nats_per_digit",
            "ln p of a digit after the right ones",
            "higher",
            _UNBOUNDED,
            0,
            False,
            _per_digit,
        ),
        Metric(
            "nats_per_byte",
            "ln p of the answer over its UTF-8 bytes",
            "higher",
            _UNBOUNDED,
            0,
            False,
            _per_byte,
        ),
        Metric(
            "nats_per_token", "ln p of the answer over its tokens", "higher", _UNBOUNDED, 0, False, _per_token
        ),
        Metric(
            "target_nats", "ln of the summed p of all right answers", "higher", _UNBOUNDED, 0, False, _target
        ),
        Metric("wrong_mass", "p of the wrong options, over the vocabulary", "lower", 0, 1, False, _wrong),
        Metric(
            "choice_probability",
            "p of the right option among the options",
            "higher",
            0,
            1,
            False,
            lambda o: _choices(lambda p, gold: p[gold], o),
        ),
        Metric(
            "brier",
            "Σ (p - 1[gold])² over the options, 0 to 2",
            "lower",
            0,
            2,
            False,
            lambda o: _choices(brier, o),
        ),
        Metric(
            "target_brier",
            "(1 - p of the right option)²",
            "lower",
            0,
            1,
            False,
            lambda o: _choices(target_brier, o),
        ),
        Metric("digit_accuracy", "digits right, from the least significant", "higher", 0, 1, False, _digits),
        Metric(
            "digit_accuracy_no_carry",
            "the same, no carry coming in",
            "higher",
            0,
            1,
            False,
            lambda o: _digits_by_carry(o, 0),
        ),
        Metric(
            "digit_accuracy_carry",
            "the same, a carry coming in",
            "higher",
            0,
            1,
            False,
            lambda o: _digits_by_carry(o, 1),
        ),
        Metric("forced_digit_accuracy", "digits right after right digits", "higher", 0, 1, False, _forced),
        Metric("edit_distance", "edits ÷ the longer one's tokens", "lower", 0, 1, False, _distance),
        Metric("expected_match", "p of sampling the whole answer", "higher", 0, 1, False, _expected),
    )
}
"""All metrics of single answers, by name."""

SMOOTH = ("nats_per_digit", "nats_per_byte", "brier", "digit_accuracy", "edit_distance")
"""The smooth metric of a verdict: the first that the outputs allow, not one picked by its result."""

SHARP = ("exact_match", "choice_grade")
"""The sharp metric of a verdict: the first that the outputs allow."""


def emergence_score(values: Sequence[float]) -> float:
    """Return the emergence score of values in the order of scale (2206.04615; 2304.15004).

    sign(argmax - argmin) · (max - min) / √(median of squared steps): large if one step makes the change.
    Infinite if more than half of the steps are 0 and another is not, 0 if all are. At least two values.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} values: an emergence score needs at least two")
    span = max(values) - min(values)
    if not span:
        return 0.0
    squares = sorted((b - a) ** 2 for a, b in pairwise(values))
    half, odd = divmod(len(squares), 2)
    middle = squares[half] if odd else (squares[half - 1] + squares[half]) / 2
    sign = 1 if values.index(max(values)) > values.index(min(values)) else -1
    return sign * (span / math.sqrt(middle) if middle else math.inf)


def wilson(successes: float, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share, 95 % by default; ValueError for n < 1."""
    if n < 1:
        raise ValueError("Wilson's interval needs at least one answer")
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
