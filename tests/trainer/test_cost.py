"""What a planned training run takes follows from its shape, its tokens and a GPU's peak."""

from __future__ import annotations

import subprocess
import sys

import pytest

from corpus.errors import ConfigError
from trainer import config
from trainer.cost import plan
from trainer.shape import counted, flops, shape
from trainer.throughput import PEAKS


def test_hours_by_hand() -> None:
    loaded = config.load("124m")
    found = plan(loaded, 32_768, "H100", 8, 0.5)
    step = loaded.data.length * loaded.data.batch
    assert found.tokens == -(-loaded.data.tokens // step) * step
    per_token = flops(shape(loaded.model, 32_768), (loaded.data.length + 1) / 2)
    assert found.flops == pytest.approx(per_token * found.tokens)
    assert found.hours == pytest.approx(found.flops / (PEAKS["H100"] * 0.5) / 3600)
    assert found.wall_hours == pytest.approx(found.hours / 8)


def test_a_phase_of_longer_windows_costs_more() -> None:
    plain = config.load("124m", ["data.tokens=1_000_000_000"])
    phased = config.load(
        "124m",
        ["data.tokens=1_000_000_000", "data.phases=[{tokens = 500_000_000, length = 8192, batch = 64}]"],
    )
    assert plan(phased, 32_768, "H100", 1, 0.4).flops > 1.05 * plan(plain, 32_768, "H100", 1, 0.4).flops


def test_each_side_of_an_encoder_decoder_reads_its_share_of_the_tokens() -> None:
    keys = ["model.depth=2", "model.qk_norm=false", "objective.name=span-corruption", "objective.span=3.0"]
    loaded = config.load("tiny", [*keys, "model.kind=encoder-decoder", "objective.share=0.15"])
    found, sizes = plan(loaded, 600, "H100", 1, 0.5), shape(loaded.model, 600)
    keys_seen = (loaded.data.length + 1) / 2  # 0.9 tokens of a text's are read, 0.2 are written
    expected = 0.9 * flops(sizes, keys_seen, 1.0) + 0.2 * flops(sizes, keys_seen, 0.0)
    assert found.flops == pytest.approx(found.tokens * expected)


def test_of_experts_the_active_ones_are_paid_for() -> None:
    dense, mixed = config.load("124m"), config.load("124m", ["model.experts.count=8"])
    without, found = (plan(each, 32_768, "H100", 1, 0.4) for each in (dense, mixed))
    assert without.parameters == without.active_parameters
    assert found.parameters > 1.8 * found.active_parameters
    assert found.flops == pytest.approx(without.flops, rel=5e-3)  # routers, and a rounded width
    assert counted(without.parameters, without.active_parameters) == f"{without.parameters:,}"
    expected = f"{found.parameters:,} ({found.active_parameters:,} active)"
    assert counted(found.parameters, found.active_parameters) == expected


def test_a_gpu_without_a_known_peak_is_refused() -> None:
    with pytest.raises(ConfigError, match="its peak is not known"):
        plan(config.load("tiny"), 600, "Abacus", 1, 0.4)


def test_the_plan_needs_no_torch() -> None:
    code = "import sys, trainer.cost; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
