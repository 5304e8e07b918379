"""The rule errs as rarely as it promises, at whichever look it stops, and sees what its plan says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trainer.compare.estimate import Difference
from trainer.compare.sequential import BETTER, OPEN, TIE, WORSE, Rule, simulate, smallest_difference

RULE = Rule(3, 8, 0.05)
DRAWS = np.random.default_rng(7).standard_normal((20_000, 2, 8))


def known(value: float, error: float = 0.001) -> Difference:
    return Difference(value, error, 0.0, 1e6)


def test_equals_are_called_different_as_often_as_promised() -> None:
    found = simulate(RULE, 0.0, DRAWS)
    assert found.better + found.worse == pytest.approx(0.05, abs=0.006)
    assert found.better == pytest.approx(found.worse, abs=0.005)


def test_tests_without_a_rule_would_err_three_times_as_often() -> None:
    """Looking after each seed at the plain level finds differences between equals."""
    assert RULE.level(2) < 0.05 / 3


def test_heavy_tails_do_not_raise_the_error() -> None:
    draws = np.random.default_rng(8).standard_t(3, (20_000, 2, 8))
    found = simulate(RULE, 0.0, draws)
    assert found.better + found.worse < 0.05


def test_more_corpora_are_held_to_one_error() -> None:
    assert RULE.level(4) < RULE.level(2) / 2


def test_the_smallest_difference_is_seen_with_its_power() -> None:
    effect = smallest_difference(RULE, 1.0, 2, power=0.8)
    found = simulate(RULE, effect, DRAWS)
    assert 0.8 < found.worse < 0.86  # earlier looks add a little
    assert found.better < 0.001


def test_few_documents_hide_what_many_seeds_would_show() -> None:
    seeds = smallest_difference(RULE, 1.0, 2)
    assert smallest_difference(RULE, 1.0, 2, document_error=0.5) > seeds
    # Of documents alone: the two-sided bound of the rule's level, and the power, of a normal distribution.
    bound = stats.norm.isf(RULE.level(2) / 2) + stats.norm.isf(0.2)
    assert smallest_difference(RULE, 1e-9, 2, document_error=1.0) == pytest.approx(bound, rel=1e-3)


def test_large_differences_stop_early_and_equals_do_not() -> None:
    assert simulate(RULE, 6.0, DRAWS).seeds < 4
    assert simulate(RULE, 0.0, DRAWS).seeds > 7


def test_a_true_difference_at_the_limit_is_rarely_called_a_tie() -> None:
    assert simulate(Rule(3, 8, 0.05, tie=2.0), 2.0, DRAWS).tie < 0.05


def test_verdicts() -> None:
    rule = Rule(3, 8, 0.05, tie=0.01)
    assert [rule.verdict(known(value), 2) for value in (-0.02, 0.02, 0.002)] == [BETTER, WORSE, TIE]
    assert rule.verdict(known(0.002, 0.02), 2) == OPEN


def test_it_stops_when_every_corpus_is_decided_or_no_seed_is_left() -> None:
    decided, undecided = known(-0.02), known(0.0, 0.02)
    assert RULE.stops(3, [decided])
    assert not RULE.stops(2, [decided])
    assert not RULE.stops(3, [decided, undecided])
    assert RULE.stops(8, [decided, undecided])


@pytest.mark.parametrize("wrong", [(1, 8, 0.05), (5, 4, 0.05), (3, 8, 0.0)])
def test_a_rule_that_cannot_be_followed_is_refused(wrong: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="expected 2 <= first"):
        Rule(*wrong)
