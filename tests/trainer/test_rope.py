"""Rotary positions are relative, and YaRN's frequencies are those of transformers."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from trainer.config import Config
from trainer.rope import Rope, rotate


@pytest.mark.parametrize("rope", [Rope(100.0), Rope(100.0, 4.0, 64)])
def test_products_depend_on_distances_alone(rope: Rope) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 1, 1, 16, generator=generator).expand(1, 40, 1, 16) for _ in range(2))
    rotation = rope.rotation(torch.arange(40)[None], 16)
    products = torch.einsum("bthq,bshq->ts", rotate(query, rotation), rotate(key, rotation))
    for distance in (0, 3, 20):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("base", "factor", "window"), [(10_000.0, 4.0, 2048), (50.0, 2.5, 64), (500_000.0, 32.0, 512)]
)
@pytest.mark.parametrize("head", [16, 64])
def test_frequencies_are_those_of_transformers(base: float, factor: float, window: int, head: int) -> None:
    rope = Rope(base, factor, window)
    config = LlamaConfig(
        hidden_size=head,
        num_attention_heads=1,
        max_position_embeddings=int(window * factor),
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": base,
            "factor": factor,
            "original_max_position_embeddings": window,
        },
    )
    frequencies, temperature = ROPE_INIT_FUNCTIONS["yarn"](config, torch.device("cpu"))
    assert rope.temperature == pytest.approx(temperature)
    cos, sin = rope.rotation(torch.tensor([[0, 1]]), head)
    torch.testing.assert_close(torch.atan2(sin, cos)[0, 1, 0], frequencies, atol=1e-6, rtol=1e-5)


def test_fast_pairs_are_kept_and_slow_ones_are_stretched() -> None:
    plain, stretched = (rope.rotation(torch.tensor([[1]]), 64) for rope in (Rope(1e4), Rope(1e4, 8.0, 2048)))
    ratio = torch.atan2(*stretched[::-1])[0, 0, 0] / torch.atan2(*plain[::-1])[0, 0, 0]
    turns = 2048 * torch.atan2(*plain[::-1])[0, 0, 0] / (2 * math.pi)
    torch.testing.assert_close(ratio[turns > 40], torch.ones(int((turns > 40).sum())))
    torch.testing.assert_close(ratio[turns < 0.8], torch.full((int((turns < 0.8).sum()),), 1 / 8))


@pytest.mark.parametrize(
    ("model", "phases", "told"),
    [
        ({"yarn": 2048}, [], "expected fewer tokens than the longest window, 2048"),
        ({"yarn": 8192}, [{"tokens": 1, "length": 4096}], "longest window, 4096"),
        ({"rope_base": 1.0}, [], "greater than 1"),
        ({}, [{"tokens": 1, "rope_base": 0.5}], "greater than 1"),
    ],
)
def test_positions_that_cannot_be_stretched_are_refused(
    model: dict[str, float], phases: list[dict[str, float]], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        Config.model_validate({"model": model, "data": {"length": 2048, "phases": tuple(phases)}})


def test_the_longest_window_of_any_phase_counts_for_yarn() -> None:
    phases = [{"tokens": 1, "length": 4096}]
    for data in ({"length": 2048}, {"length": 1024, "phases": tuple(phases)}):
        assert Config.model_validate({"model": {"yarn": 1024}, "data": data}).model.yarn == 1024
