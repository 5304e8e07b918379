"""Metrics against values worked out by hand: their sign, their range, how they are normalised."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import OutputsError
from trainer.abilities.outputs import Output
from trainer.abilities.scores import (
    METRICS,
    brier,
    choice_grade,
    choice_probabilities,
    digit_accuracy,
    digits_right,
    edit_distance,
    emergence_score,
    exact_match,
    independent_match,
    log_sum,
    no_digit_more,
    target_brier,
    wilson,
    wrong_mass,
)

HALF = math.log(0.5)


def made(**values: Any) -> Output:
    return Output(**{"model": "m", "scale": 1.0, "task": "t", "id": "1", **values})


def score(name: str, **values: Any) -> float | None:
    return METRICS[name].of(made(**values))


def test_exact_match_wants_one_of_the_answers_as_it_is_written() -> None:
    assert exact_match("46", ["46"]) == 1.0
    assert exact_match("046", ["46"]) == 0.0
    assert exact_match("kedi", ["köpek", "kedi"]) == 1.0
    assert score("exact_match", prediction="", target=("46",)) == 0.0


def test_digits_are_aligned_from_the_least_significant() -> None:
    assert digits_right("806", "806") == [True, True, True]
    assert digits_right("06", "806") == [False, True, True]
    assert digits_right("1806", "806") == [True, True, True]
    assert not no_digit_more("1806", "806")
    assert digits_right("80", "806") == [False, False, False]  # 8 over 0, 0 over 6
    assert digits_right("", "806") == [False, False, False]


def test_the_targets_digits_are_the_denominator_of_digit_accuracy() -> None:
    assert digit_accuracy("06", "806") == pytest.approx(2 / 3)
    assert digit_accuracy("123456", "6") == 1.0
    assert digit_accuracy("7", "806") == 0.0
    with pytest.raises(ValueError, match="has no digit"):
        digit_accuracy("1", "on")


def test_padding_is_no_digit_so_a_missing_zero_is_wrong() -> None:
    assert digit_accuracy("5", "05") == 0.5


def test_digits_with_and_without_a_carry_are_told_apart() -> None:
    values = {"prediction": "816", "target": ("806",), "carry": (1, 0, 0)}
    assert score("digit_accuracy_carry", **values) == 1.0
    assert score("digit_accuracy_no_carry", **values) == 0.5
    assert score("digit_accuracy_carry", prediction="9", target=("9",), carry=(0,)) is None
    # The 1 in front of 112 is the carry itself: it tells of neither.
    values = {"prediction": "912", "target": ("112",), "carry": (2, 1, 0)}
    assert score("digit_accuracy_carry", **values) == 1.0
    assert score("digit_accuracy_no_carry", **values) == 1.0


def test_forced_digit_accuracy_and_nats_per_digit_are_means_over_digits() -> None:
    values = {"target": ("806",), "digit_nats": (HALF, HALF, 4 * HALF), "digit_right": (True, False, True)}
    assert score("forced_digit_accuracy", **values) == pytest.approx(2 / 3)
    assert score("nats_per_digit", **values) == pytest.approx(2 * HALF)


def test_edit_distance_is_levenshteins_over_the_longer() -> None:
    assert edit_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert edit_distance("", "") == 0.0
    assert edit_distance("", "abc") == 1.0
    assert score("edit_distance", prediction="06", target=("806",)) == pytest.approx(1 / 3)
    assert score("edit_distance", prediction="mavi ev", target=("mavi evler",)) == 0.5  # words are pieces


@given(st.text("ab1", max_size=6), st.text("ab1", max_size=6))
def test_edit_distance_is_symmetric_within_0_and_1_and_0_only_for_equals(a: str, b: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert 0.0 <= edit_distance(a, b) <= 1.0
    assert (edit_distance(a, b) == 0.0) == (a == b)


def test_brier_is_in_0_to_2_and_lower_is_better() -> None:
    assert brier([1.0, 0.0], 0) == 0.0
    assert brier([0.0, 1.0], 0) == 2.0
    assert brier([0.25] * 4, 2) == pytest.approx(0.75)
    assert brier([0.7, 0.2, 0.1], 0) == pytest.approx(0.09 + 0.04 + 0.01)
    assert (METRICS["brier"].low, METRICS["brier"].high) == (0, 2)


def test_the_target_conditioned_brier_looks_at_the_right_option_alone() -> None:
    assert target_brier([0.7, 0.2, 0.1], 0) == pytest.approx(0.09)
    assert target_brier([0.0, 1.0], 0) == 1.0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_better_answer_is_better_by_every_metric(name: str) -> None:
    base: dict[str, Any] = {"target": ("806",), "options": ("806", "807"), "gold": 0, "carry": (1, 0, 0)}
    bad = made(
        **base,
        prediction="917",
        option_nats=(math.log(0.1), math.log(0.6)),
        target_nats=(math.log(0.1),),
        target_tokens=4,
        digit_nats=(math.log(0.4), math.log(0.5), math.log(0.5)),
        digit_right=(False, False, True),
        end_nats=HALF,
    )
    good = made(
        **base,
        prediction="806",
        option_nats=(math.log(0.6), math.log(0.1)),
        target_nats=(math.log(0.6),),
        target_tokens=4,
        digit_nats=(math.log(0.9), math.log(0.9), math.log(0.9)),
        digit_right=(True, True, True),
        end_nats=math.log(0.9),
    )
    metric = METRICS[name]
    first, second = metric.of(bad), metric.of(good)
    assert first is not None
    assert second is not None
    assert (second > first) if metric.better == "higher" else (second < first)
    assert all(metric.low <= value <= metric.high for value in (first, second))


def test_options_are_weighed_against_each_other_after_their_mass_is_known() -> None:
    nats = [math.log(0.06), math.log(0.02), math.log(0.01), math.log(0.01)]
    assert choice_probabilities(nats) == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert wrong_mass(nats, 0) == pytest.approx(0.04)
    assert choice_probabilities([-2000.0, -2001.0]) == pytest.approx([1 / (1 + 1 / math.e), 1 / (1 + math.e)])


def test_options_that_are_equally_likely_share_the_grade() -> None:
    assert choice_grade([-1.0, -1.0], 0) == 0.5
    assert choice_grade([-1.0, -2.0], 0) == 1.0
    assert choice_grade([-1.0, -2.0], 1) == 0.0


def test_several_right_answers_add_their_probabilities() -> None:
    assert log_sum([math.log(0.2), math.log(0.3)]) == pytest.approx(HALF)
    assert log_sum([-math.inf, -math.inf]) == -math.inf
    assert score(
        "target_nats", target=("a", "b"), target_nats=(math.log(0.2), math.log(0.3))
    ) == pytest.approx(HALF)


def test_log_likelihood_is_of_bytes_and_of_tokens() -> None:
    values = {"target": ("ışık",), "target_nats": (-7.0,), "target_tokens": 2}  # ı and ş are two bytes each
    assert score("nats_per_byte", **values) == pytest.approx(-1.0)
    assert score("nats_per_token", **values) == pytest.approx(-3.5)
    # A model's nats are of the blank in front, too.
    assert score("nats_per_byte", **values, target_bytes=8) == pytest.approx(-7 / 8)


def test_the_expected_match_is_the_probability_of_all_digits_and_the_end() -> None:
    values = {"target": ("46",), "digit_nats": (HALF, HALF), "digit_right": (True, True)}
    assert score("expected_match", **values, end_nats=HALF) == pytest.approx(1 / 8)
    assert score("expected_match", **values) is None


def test_independent_digits_match_by_the_product_of_their_accuracies() -> None:
    answers = ["11", "12", "21", "22"]  # each digit of 11 is right half of the time, independently
    rows = [made(id=said, target=("11",), prediction=said) for said in answers]
    assert independent_match(rows) == pytest.approx(0.25)
    together = [made(id=str(k), target=("11",), prediction=said) for k, said in enumerate(["11", "22"])]
    assert independent_match(together) == pytest.approx(0.25)  # measured: 0.5, as errors come together
    longer = [made(id=str(k), target=("11",), prediction=said) for k, said in enumerate(["11", "911"])]
    assert independent_match(longer) == pytest.approx(0.5)
    assert independent_match([made(target=("on",), prediction="on")]) is None


def test_the_emergence_score_is_the_range_over_the_median_step() -> None:
    assert emergence_score([0.0, 0.1, 0.2, 0.3]) == pytest.approx(3.0)
    assert emergence_score([0.3, 0.2, 0.1, 0.0]) == pytest.approx(-3.0)
    assert emergence_score([0.0, 0.01, 0.02, 1.0]) == pytest.approx(100.0)
    assert emergence_score([0.0, 0.0, 0.0, 1.0]) == math.inf
    assert emergence_score([0.5, 0.5]) == 0.0


def test_wilsons_interval_has_its_published_values() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": 0.0}, "above 0"),
        ({"target": ("1",), "target_nats": (0.5,)}, "at most 0"),
        ({"options": ("a", "b"), "option_nats": (-1.0,), "gold": 0}, "1 option_nats for 2 options"),
        ({"options": ("a", "b"), "option_nats": (-1.0, -1.0)}, "gold None"),
        ({"options": ("a", "b"), "option_nats": (-math.inf, -math.inf), "gold": 0}, "probability 0"),
        ({"target": ("46",), "digit_nats": (-1.0,)}, "1 digit_nats for a target of 2 digits"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OutputsError, match=message):
        made(**values)
