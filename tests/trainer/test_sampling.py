"""The next token is chosen as the published rules say, to the number, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare
from torch import Tensor

from corpus.errors import ConfigError
from corpus.settings import parse
from trainer.sampling import Sampling, draw, draws, penalise, truncate

# Few values, so that there are ties.
LOGITS = arrays(np.float32, 8, elements=st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0])).map(
    torch.from_numpy
)


def kept(logits: Tensor, **settings: float) -> list[int]:
    left = truncate(logits, **settings)  # type: ignore[arg-type]
    assert torch.equal(left[left > -torch.inf], logits[left > -torch.inf])
    return (left > -torch.inf).nonzero().flatten().tolist()


def of(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_top_k_keeps_k_and_of_equals_the_lower_ids() -> None:
    assert kept(of(0.2, 0.3, 0.2, 0.3), top_k=2) == [1, 3]
    assert kept(of(0.2, 0.3, 0.2, 0.3), top_k=3) == [0, 1, 3]
    assert kept(of(0.25, 0.25, 0.25, 0.25), top_k=1) == [0]
    assert kept(of(0.5, 0.5), top_k=9) == [0, 1]


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.01, [1]), (0.5, [1]), (0.51, [0, 1]), (0.75, [0, 1]), (0.76, [0, 1, 2]), (1.0, [0, 1, 2, 3])],
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(p: float, expected: list[int]) -> None:
    assert kept(of(0.25, 0.5, 0.125, 0.125), top_p=p) == expected


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, [0, 1, 2, 3]), (0.25, [0, 1, 2, 3]), (0.26, [0, 1]), (0.51, [1]), (1.0, [1])]
)
def test_min_p_keeps_what_reaches_its_share_of_the_likeliest(p: float, expected: list[int]) -> None:
    assert kept(of(0.25, 0.5, 0.125, 0.125), min_p=p) == expected


def test_min_p_keeps_all_of_equals() -> None:
    assert kept(of(0.3, 0.4, 0.3), min_p=0.7) == [0, 1, 2]
    assert kept(of(0.3, 0.4, 0.3), min_p=0.8) == [1]


def test_top_p_counts_what_top_k_has_left_as_everything() -> None:
    # 0.4 and 0.2 of 0.6 are 2/3 and 1/3.
    assert kept(of(0.4, 0.2, 0.2, 0.2), top_k=2, top_p=0.66) == [0]
    assert kept(of(0.4, 0.2, 0.2, 0.2), top_k=2, top_p=0.67) == [0, 1]


def test_what_cannot_come_stays_so() -> None:
    assert kept(torch.tensor([0.0, -torch.inf, 0.0]), top_k=3, top_p=0.999999) == [0, 2]
    assert kept(torch.tensor([0.0, -torch.inf, -torch.inf]), top_k=2) == [0]


@given(LOGITS, st.integers(0, 9), st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_truncation_is_its_definition(logits: Tensor, top_k: int, top_p: float, min_p: float) -> None:
    order = sorted(range(8), key=lambda id: (-float(logits[id]), id))[: top_k or None]
    weights = [math.exp(float(logits[id])) for id in order]
    expected, reached = [], 0.0
    for id, weight in zip(order, weights, strict=True):
        share = weight / sum(weights)
        if abs(reached - top_p) < 1e-9 or abs(share - min_p * weights[0] / sum(weights)) < 1e-9:
            return  # on the border, where rounding decides
        if reached < top_p and share >= min_p * weights[0] / sum(weights):
            expected.append(id)
        reached += share
    assert kept(logits, top_k=top_k, top_p=top_p, min_p=min_p) == sorted(expected)


def test_a_penalty_divides_positive_and_multiplies_negative_logits_of_what_was_seen() -> None:
    logits = torch.tensor([[3.0, -3.0, 3.0, -3.0, 0.0]])
    seen = torch.tensor([[True, True, False, False, True]])
    assert penalise(logits, seen, 1.5).tolist() == [[2.0, -4.5, 3.0, -3.0, 0.0]]
    assert torch.equal(penalise(logits, seen, 1.0), logits)


def test_draws_are_distributed_as_softmax() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0, -torch.inf, 0.9, -4.0])
    uniform = torch.from_numpy(draws([[1]], seed=3, number=50_000))[0]
    ids = draw(logits.expand(len(uniform), -1), uniform)
    counts = torch.bincount(ids, minlength=6)
    assert counts[3] == 0
    likely = logits.double().softmax(-1)
    some = likely > 0
    assert chisquare(counts[some].numpy(), (likely * len(uniform))[some].numpy()).pvalue > 0.01


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2**-53])
def test_the_smallest_and_the_largest_number_find_something_that_can_come(uniform: float) -> None:
    numbers = torch.tensor([uniform], dtype=torch.float64)
    for seed in range(200):
        logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(seed))
        logits[:, :5] = logits[:, -5:] = -torch.inf
        assert 5 <= int(draw(logits, numbers)) < 45


def test_numbers_hang_on_seed_prompt_and_how_often_it_came_before() -> None:
    alone = draws([[5, 6]], 0, 4)
    assert np.array_equal(draws([[7], [5, 6], [8]], 0, 4)[1], alone[0])
    assert np.array_equal(draws([[5, 6]], 0, 9)[0, :4], alone[0])
    first, second = draws([[5, 6], [5, 6]], 0, 4)
    assert np.array_equal(first, alone[0])
    assert not np.array_equal(second, first)
    assert not np.array_equal(draws([[5, 6]], 1, 4), alone)
    assert not np.array_equal(draws([[5], [6]], 0, 4)[1], alone[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "beam", "temperature": 0.7},
            'temperature: only for method = "sample", but method is "beam"',
        ),
        ({"method": "greedy", "top_p": 0.9, "top_k": 5}, 'top_k and top_p: only for method = "sample"'),
        ({"beams": 4}, 'beams: only for method = "beam", but method is "sample"'),
        ({"method": "beam", "alpha": 0.5}, 'alpha: only for method = "contrastive"'),
        ({"temperature": 0.0}, "temperature = 0.0"),
        ({"top_p": 1.5}, "top_p = 1.5"),
        ({"repetition_penalty": 0.0}, "repetition_penalty = 0.0"),
        ({"temprature": 1.0}, "did you mean 'temperature'"),
        ({"method": "contrastive", "candidates": 1}, "candidates = 1"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Sampling, settings, "derlem generate")
    assert message in str(error.value)


def test_settings_of_the_method_and_of_all_go_together() -> None:
    data = {"method": "beam", "beams": 2, "tokens": 5, "repetition_penalty": 1.2, "bias": {"7": -2.0}}
    assert parse(Sampling, data, "derlem generate").bias == {7: -2.0}
