"""The check of learning rates speaks of another rate only where that one is better beyond noise."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.scaling.git_commit import git_commit
from trainer.scaling.rates import cell, learning_rate_check, seed_noise


def row(loss: float, factor: float = 1.0, seed: int = 0, epochs: float = 1.0) -> dict[str, Any]:
    """A line of the table: the smallest size at one multiple."""
    cell = {"corpus": "web", "size": "d1w16", "multiple": 1.0, "tokens": 1000}
    return {
        **cell,
        "seed": seed,
        "loss": loss,
        "lr_factor": factor,
        "epochs": epochs,
        "unique_tokens": 1000 / epochs,
    }


@pytest.mark.parametrize(("other", "better"), [(4.0, False), (3.99, False), (3.9, False), (3.8, True)])
def test_a_rate_is_better_only_beyond_twice_the_noise_between_seeds(other: float, better: bool) -> None:
    found = learning_rate_check(
        [row(4.0), row(4.06, seed=1), row(3.94, seed=2)], [row(other, 2.0), row(4.4, 0.5)]
    )
    assert found is not None
    assert found.noise == pytest.approx(0.015, rel=0.01)
    assert found.better is better
    assert ("better beyond the noise" in str(found)) is better


def test_a_run_that_diverged_is_worse_than_all_others_and_no_noise() -> None:
    for diverged in (float("inf"), None):
        found = learning_rate_check(
            [row(4.0), row(4.06, seed=1)], [row(3.9, 0.5), row(0.0, 2.0) | {"loss": diverged}]
        )
        assert found is not None
        assert found.best == 0.5
        lost = [row(0.0) | {"loss": diverged}, row(4.0, seed=1), row(4.04, seed=2)]
        found = learning_rate_check(lost, [row(3.9, 0.5)])
        assert found is not None
        assert found.better
        assert found.noise == pytest.approx(np.log(4.04 / 4.0) / np.sqrt(2))
        found = learning_rate_check(lost, [row(0.0, 2.0) | {"loss": diverged}])
        assert found is not None
        assert not found.better


def test_without_noise_known_half_a_per_cent_is_no_gain() -> None:
    for other, better in ((3.985, False), (3.97, True)):
        found = learning_rate_check([row(4.0)], [row(other, 2.0)])
        assert found is not None
        assert found.better is better


def test_a_check_waits_for_the_cell_that_it_is_compared_with() -> None:
    assert learning_rate_check([row(4.0, seed=1), row(3.0, epochs=4.0)], [row(3.9, 2.0)]) is None
    assert learning_rate_check([row(4.0)], []) is None


def test_noise_counts_differences_within_a_cell_alone() -> None:
    assert seed_noise(map(cell, [row(4.0), row(5.0, epochs=4.0)])) == (0.0, 0)
    noise, runs = seed_noise(map(cell, [row(4.0), row(4.1, seed=1), row(5.0, epochs=4.0)]))
    assert runs == 2
    assert noise == pytest.approx(np.log(4.1 / 4.0) / np.sqrt(2))


def test_a_revision_is_the_commit_and_says_what_was_changed_since(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert git_commit(tmp_path) == commit.strip()
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == f"{commit.strip()}-dirty"
