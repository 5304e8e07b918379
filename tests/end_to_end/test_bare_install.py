"""What a user types works where nothing but derlem's own requirements is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bare_install import brought, environment
from support import DERLEM, ROOT, write_input


@pytest.fixture(scope="module")
def bare() -> dict[str, str]:
    return environment("train")


def run(bare: dict[str, str], *arguments: str | Path) -> str:
    ended = subprocess.run(
        [*DERLEM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, env=bare, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_development_packages_are_hidden_and_run_dependencies_are_not(bare: dict[str, str]) -> None:
    hidden = set(bare["HIDDEN_MODULES"].split())
    assert {"pandas", "transformers", "datasets", "polars", "pytest"} <= hidden
    assert not hidden & {"numpy", "pyarrow", "apache_beam", "typer", "torch", "safetensors", "derlem"}
    assert "torch" not in brought()
    script = "import numpy, pyarrow\nimport pandas"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=bare, check=False
    )
    assert ended.stderr.endswith("ModuleNotFoundError: No module named 'pandas'\n")


def test_a_corpus_is_built_tokenized_trained_on_and_exported_without_development_packages(
    bare: dict[str, str], tmp_path: Path
) -> None:
    config = write_input(tmp_path)
    config.write_text(config.read_text() + "[tokenizer]\nvocabulary = 700\n")
    run(bare, "build", config, "--until", "tokenize")
    corpus, model = tmp_path / "corpus", tmp_path / "run"
    run(bare, "verify", corpus)
    small = ["--set", "data.tokens=4096", "--set", "data.length=64", "--set", "data.batch=8"]
    run(bare, "train", corpus, "--output", model, "--preset", "tiny", *small)
    run(bare, "evaluate", model, corpus)
    run(bare, "generate", model, "--prompt", "Kitap")
    run(bare, "export", model, tmp_path / "export")
