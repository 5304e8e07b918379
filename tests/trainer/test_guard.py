"""Which steps are taken: clipping, steps that are not finite, outliers, rollback, resuming."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from trainer.guard import WINDOW, Decision, Guard, Unread, gradient_norm


def parameters(*gradients: list[float]) -> list[nn.Parameter]:
    made = []
    for gradient in gradients:
        made.append(nn.Parameter(torch.zeros(len(gradient))))
        made[-1].grad = torch.tensor(gradient)
    return made


def decide(guard: Guard, loss: float, norm: float) -> Decision:
    """Decide a step, and read the decision."""
    numbers = guard.decide(*torch.tensor([loss, norm], dtype=torch.float64))
    decision = Unread(numbers).read()
    guard.seen(decision)
    return decision


def check(guard: Guard, loss: float, given: list[nn.Parameter]) -> Decision:
    """Decide a step from its gradients, and read the decision."""
    return guard.check(torch.tensor(loss), given).decision.read()


def steady(guard: Guard, steps: int, seed: int = 0) -> None:
    for norm in 1 + 0.1 * np.random.default_rng(seed).standard_normal(steps):
        assert not decide(guard, 2.0, float(norm)).skip


def test_the_norm_is_that_of_all_gradients_together() -> None:
    given = [*parameters([3.0, 0.0], [0.0, 0.0, 4.0]), nn.Parameter(torch.ones(9))]
    assert gradient_norm(given).item() == pytest.approx(5.0)


def test_a_large_gradient_is_scaled_to_the_clip_and_a_small_one_is_left() -> None:
    given = parameters([3.0], [4.0])
    decision = check(Guard(clip=1.0, outlier=6.0, patience=5), 2.5, given)
    assert (decision.norm, decision.loss, decision.skip) == (5.0, 2.5, "")
    assert [p.grad.item() for p in given if p.grad is not None] == pytest.approx([0.6, 0.8])
    small = parameters([0.3], [0.4])
    check(Guard(clip=1.0, outlier=6.0, patience=5), 2.5, small)
    assert [p.grad.item() for p in small if p.grad is not None] == pytest.approx([0.3, 0.4])


def test_a_clip_of_zero_leaves_every_gradient() -> None:
    given = parameters([300.0])
    check(Guard(clip=0.0, outlier=6.0, patience=5), 2.5, given)
    assert given[0].grad is not None
    assert given[0].grad.item() == 300.0


@pytest.mark.parametrize(
    ("loss", "gradient"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan), (2.0, math.inf)]
)
def test_a_step_that_is_not_finite_is_left_out(loss: float, gradient: float) -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=2)
    given = parameters([gradient], [1.0])
    assert check(guard, loss, given).skip == "not finite"
    assert [p.grad.item() for p in given if p.grad is not None] == [0.0, 0.0]


def test_a_norm_six_deviations_above_the_last_ones_is_an_outlier() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=5)
    steady(guard, WINDOW)
    limit = decide(guard, 2.0, 1.0).limit
    assert 1.5 < limit < 1.75  # mean 1, deviation 0.1
    assert decide(guard, 2.0, 1.8).skip == "outlier"
    assert decide(guard, 2.0, 0.01).skip == ""


def test_outliers_are_not_looked_for_before_half_the_window() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=5)
    steady(guard, WINDOW // 2 - 1)
    assert decide(guard, 2.0, 100.0).skip == ""


def test_an_outlier_of_zero_never_skips_a_finite_step() -> None:
    guard = Guard(clip=1.0, outlier=0.0, patience=5)
    steady(guard, WINDOW)
    assert decide(guard, 2.0, 1e9).skip == ""


def test_one_spike_does_not_blind_the_guard() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=5)
    steady(guard, WINDOW)
    assert decide(guard, 2.0, 1e6).skip == "outlier"
    assert decide(guard, 2.0, 3.0).skip == "outlier"


def test_norms_that_stay_higher_are_accepted_in_the_end() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=100)
    steady(guard, WINDOW)
    skips = [decide(guard, 2.0, 2.5).skip for _ in range(30)]
    assert skips[0] == "outlier"
    assert skips[-1] == ""


def test_rollback_is_wanted_after_patience_skips_in_a_row() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=3)
    for _ in range(2):
        decide(guard, math.nan, 1.0)
    decide(guard, 2.0, 1.0)
    for _ in range(3):
        assert not guard.rollback
        decide(guard, math.nan, 1.0)
    assert guard.rollback
    guard.rolled_back(4)
    assert not guard.rollback


def test_a_rollback_forgets_the_norms_so_that_it_is_not_repeated_for_ever() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=3)
    steady(guard, WINDOW)
    while not guard.rollback:
        decide(guard, 2.0, 50.0)
    guard.rolled_back(4)
    assert decide(guard, 2.0, 50.0).skip == ""


@pytest.mark.parametrize("before", [0, 10, 64, 130, 300])
def test_a_guard_loaded_from_its_state_decides_as_if_never_interrupted(before: int) -> None:
    rng = np.random.default_rng(before)
    numbers = np.exp(rng.standard_cauchy(before + 200) / 8).tolist()
    numbers[before // 2] = math.nan
    through = Guard(clip=1.0, outlier=3.0, patience=5)
    for norm in numbers[:before]:
        decide(through, 2.0, norm)
    resumed = Guard(clip=1.0, outlier=3.0, patience=5)
    resumed.load_state_dict(through.state_dict())
    for norm in numbers[before:]:
        assert decide(resumed, 2.0, norm) == pytest.approx(decide(through, 2.0, norm), nan_ok=True) or (
            math.isnan(norm)
        )
        assert resumed.rollback == through.rollback


def test_the_state_always_has_the_same_shapes() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=5)
    empty = {name: tensor.shape for name, tensor in guard.state_dict().items()}
    steady(guard, 200)
    assert {name: tensor.shape for name, tensor in guard.state_dict().items()} == empty


def test_a_rollback_after_which_no_step_was_taken_is_hopeless() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=2)
    assert not guard.hopeless(4)
    guard.rolled_back(4)
    decide(guard, math.nan, 1.0)
    assert guard.hopeless(4)
    assert guard.hopeless(8)
    decide(guard, 2.0, 1.0)
    assert not guard.hopeless(4)


def test_a_third_rollback_to_one_checkpoint_is_hopeless() -> None:
    guard = Guard(clip=1.0, outlier=6.0, patience=2)
    for _ in range(2):
        assert not guard.hopeless(4)
        guard.rolled_back(4)
        decide(guard, 2.0, 1.0)
    assert guard.hopeless(4)
    assert not guard.hopeless(8)
