"""A planted jump is found, a smooth curve is not called broken, and a sharp metric alone makes no ability."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.errors import ConfigError, OutputsError
from trainer.abilities import breaks, outputs, verdict
from trainer.abilities.breaks import Floats
from trainer.abilities.outputs import Output
from trainer.abilities.page import page

SIZES = np.geomspace(1e5, 3e8, 8)
X = np.log(SIZES)


def power_law(slope: float) -> Floats:
    """Minus the nats of a digit when they fall as a power of scale from chance on: no jump anywhere."""
    return np.asarray(-math.log(10) * (SIZES / SIZES[0]) ** -slope)


def answers(nats: Floats, seed: int, digits: int = 5, n: int = 200, seeds: int = 3) -> list[Output]:
    """What models would answer that get each digit right with p = exp(nats), digits independent.

    Seeds differ by 3 % of the nats.
    """
    random = np.random.default_rng(seed)
    made = []
    for size, level in zip(SIZES, nats, strict=True):
        for model in range(seeds):
            own = level * (1 + 0.03 * random.standard_normal())
            for item in range(n):
                right = random.random(digits) < math.exp(own)
                noise = own * np.exp(0.3 * random.standard_normal(digits))
                made.append(
                    Output(
                        model=f"{size:.0f}-{model}",
                        scale=float(size),
                        task="addition/5/tr",
                        id=str(item),
                        target=("1" * digits,),
                        prediction="".join("1" if each else "2" for each in right),
                        digit_nats=tuple(noise),
                        digit_right=tuple(map(bool, right)),
                        chance=10.0**-digits,
                    )
                )
    return made


def test_a_smooth_ability_with_a_sharp_metric_is_not_called_emergent() -> None:
    found = verdict.judge(answers(power_law(0.35), 0))[0]
    assert found.sharp == "exact_match"
    assert found.smooth == "nats_per_digit"
    assert found.sizes[0].sharp == 0.0
    assert found.sizes[-1].sharp > 0.2
    assert found.kind == "metric", found.why


def test_a_planted_jump_is_found_where_it_is() -> None:
    nats = power_law(0.1) + np.where(np.arange(8) > 3, 0.8, 0.0)
    found = verdict.judge(answers(nats, 0, digits=2))[0]
    assert found.kind == "emergent", found.why
    assert found.below == 3
    assert found.jump == pytest.approx(0.8, abs=0.2)


def test_a_jump_downwards_is_no_ability_that_emerges() -> None:
    nats = power_law(0.35) - np.where(np.arange(8) > 3, 0.5, 0.0)
    assert verdict.judge(answers(nats, 0, digits=2))[0].kind != "emergent"


def test_without_a_second_seed_noise_is_not_known_and_nothing_is_called_emergent() -> None:
    nats = power_law(0.1) + np.where(np.arange(8) > 3, 0.8, 0.0)
    found = verdict.judge(answers(nats, 0, digits=2, seeds=1))[0]
    assert found.kind == "unclear"
    assert "another seed" in found.why


def test_seeds_as_far_apart_as_sizes_leave_it_open() -> None:
    """As where each model either finds out how to add in time or does not, whatever its size."""
    low, high = np.full(8, -1.0), np.full(8, -0.1)
    rows = [row for row in answers(low, 0, digits=2) if row.model.endswith("-0")]
    rows += [row for row in answers(high, 1, digits=2) if row.model.endswith("-1")]
    found = verdict.judge(rows)[0]
    assert found.kind == "unclear"
    assert "seeds matter" in found.why


def test_five_sizes_cannot_tell() -> None:
    few = [row for row in answers(power_law(0.35), 0) if row.scale < SIZES[5] * 0.99]
    found = verdict.judge(few)[0]
    assert found.kind == "unclear"
    assert "from a curve takes 6" in found.why


def test_an_ability_that_no_model_has_is_said_to_be_absent() -> None:
    assert verdict.judge(answers(np.full(8, -math.log(10)), 0))[0].kind == "absent"


@pytest.mark.parametrize("slope", [0.1, 0.5])
def test_smooth_curves_are_called_broken_about_as_often_as_the_level_says(slope: float) -> None:
    random = np.random.default_rng(7)
    noise = np.full(8, 0.04)
    found = [
        breaks.find(X, power_law(slope) + noise * random.standard_normal(8), noise, seed, simulations=99)
        for seed in range(8)
    ]
    assert sum(each.p < 0.05 and each.gain > 0 for each in found) <= 2  # at 5 %, 0.4 of 8


def test_jumps_of_ten_times_the_noise_are_found() -> None:
    random = np.random.default_rng(8)
    noise = np.full(8, 0.05)
    found = []
    for seed in range(8):
        below = int(random.integers(1, 6))
        y = power_law(0.1) + np.where(np.arange(8) > below, 0.5, 0.0) + noise * random.standard_normal(8)
        each = breaks.find(X, y, noise, seed, simulations=99)
        found.append(each.p < 0.05 and each.gain > 0 and each.below == below)
    assert sum(found) >= 6


def test_breaks_need_sizes_noise_and_order() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        breaks.find(X[:5], X[:5], np.ones(5))
    with pytest.raises(ValueError, match="noise above 0"):
        breaks.find(X, X, np.zeros(8))


def test_several_p_values_are_corrected_by_holm() -> None:
    assert breaks.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert breaks.holm([]) == []


def test_the_page_holds_both_curves_and_escapes_names() -> None:
    shown = page(verdict.judge(answers(power_law(0.35), 0)), "parameters <N>", ["asked"])
    assert shown.count("<svg viewBox") == 2
    assert "&lt;N&gt;" in shown
    assert "<N>" not in shown


ROW: dict[str, Any] = {"model": "a", "scale": 10, "task": "t", "id": "1", "target": "007", "prediction": "07"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_table_of_any_program_is_read(tmp_path: Path) -> None:
    row = outputs.read(write(tmp_path / "t.jsonl", {**ROW, "options": ["x", "y"], "gold": 1, "more": 3}))[0]
    assert row.target == ("007",)
    assert row.options == ("x", "y")
    assert row.scale == 10.0


def test_csv_keeps_zeros_in_front_and_reads_lists_as_json(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('model,scale,task,id,target,prediction,digit_nats\na,10,t,1,007,,"[-1,-2,-3]"\n')
    row = outputs.read(path)[0]
    assert row.target == ("007",)
    assert row.prediction == ""  # a model that writes nothing has answered
    assert row.digit_nats == (-1.0, -2.0, -3.0)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = answers(power_law(0.3), 0, n=3)
    outputs.write(made, tmp_path / "t.jsonl")
    assert outputs.read(tmp_path / "t.jsonl") == made


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"model": "a", "task": "t", "id": "1"}], "no column scale"),
        ([ROW, ROW], "twice"),
        ([ROW, {**ROW, "id": "2", "scale": 11}], "scale 10 and scale 11"),
        ([{**ROW, "scale": "big"}], "row 1: scale = 'big'"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(OutputsError, match=message):
        outputs.read(write(tmp_path / "t.jsonl", *rows))
    assert issubclass(OutputsError, ConfigError)
