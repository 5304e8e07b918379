"""Averages of weights against their definitions."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

from trainer.average import Ema, mean


def trained(steps: int, decay: float = 0.9) -> tuple[nn.Linear, Ema, list[np.ndarray]]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    ema = Ema(model, decay)
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        ema.update()
        seen.append(model.weight.detach().double().numpy().copy())
    return model, ema, seen


def test_the_average_weighs_each_weight_seen_by_its_age() -> None:
    _, ema, seen = trained(50)
    shares = np.array([0.9**age for age in reversed(range(50))])
    expected = np.tensordot(shares / shares.sum(), np.stack(seen), axes=1)
    np.testing.assert_allclose(ema.weights["weight"].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_first_update_is_the_weights_themselves() -> None:
    model, ema, _ = trained(1)
    assert torch.equal(ema.weights["weight"], model.weight)


def test_inside_the_block_the_model_has_the_average_and_after_it_its_own_weights() -> None:
    model, ema, _ = trained(5)
    own, averaged = model.weight.detach().clone(), ema.weights["weight"].clone()
    with suppress(KeyError), ema.swapped():
        assert torch.equal(model.weight, averaged)
        raise KeyError
    assert torch.equal(model.weight, own)
    assert torch.equal(ema.weights["weight"], averaged)


def test_an_average_goes_on_from_its_state() -> None:
    model, ema, _ = trained(5)
    state = {"weights": {n: w.clone() for n, w in ema.weights.items()}, "count": ema.state_dict()["count"]}
    again = Ema(model, 0.9)
    again.load_state_dict(state)
    with torch.no_grad():
        model.weight.add_(1.0)
    ema.update()
    again.update()
    assert torch.equal(ema.weights["weight"], again.weights["weight"])


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_decay_that_averages_nothing_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Ema(nn.Linear(1, 1), decay)


def test_the_mean_of_checkpoints_is_that_of_their_weights() -> None:
    made = [{"a": torch.full((2,), float(k)), "b": torch.tensor([[k * 3.0]])} for k in (1, 2, 6)]
    found = mean(iter(made))
    assert found["a"].tolist() == [3.0, 3.0]
    assert found["b"].tolist() == [[9.0]]
    assert found["a"].dtype == torch.float32
    assert made[0]["a"].tolist() == [1.0, 1.0]


def test_checkpoints_of_other_models_are_not_averaged() -> None:
    with pytest.raises(ValueError, match=r"checkpoint 2 differs .* in a \(found \(3,\), expected \(2,\)\)"):
        mean([{"a": torch.zeros(2)}, {"a": torch.zeros(3)}])
    with pytest.raises(ValueError, match="no checkpoints"):
        mean([])
