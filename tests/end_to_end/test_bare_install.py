"""What a user types works where nothing but derlem's own requirements is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bare_install import brought, environment
from support import ROOT, write_input


@pytest.fixture(scope="module")
def bare() -> dict[str, str]:
    return environment("train")


# Commands in one process: what is imported late is still imported there, and each start takes seconds.
COMMANDS = """
import json, sys
from derlem import app
for words in json.loads(sys.argv[1]):
    try:
        app(words, prog_name="derlem")
    except SystemExit as end:
        if end.code:
            sys.exit(f"derlem {' '.join(words)}: status {end.code}")
"""


def run(bare: dict[str, str], commands: list[list[str | Path]]) -> None:
    given = json.dumps([list(map(str, words)) for words in commands])
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, given],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=bare,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


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
    corpus, model = tmp_path / "corpus", tmp_path / "run"
    small = ["--set", "data.tokens=4096", "--set", "data.length=64", "--set", "data.batch=8"]
    run(
        bare,
        [
            ["build", config, "--until", "tokenize"],
            ["verify", corpus],
            ["train", corpus, "--output", model, "--preset", "tiny", *small],
            ["evaluate", model, corpus],
            ["generate", model, "--prompt", "Kitap"],
            ["export", model, tmp_path / "export"],
        ],
    )
    assert (tmp_path / "export" / "config.json").is_file()


def test_a_command_that_fails_would_be_noticed(bare: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="status 2"):
        run(bare, [["presets"], ["build", "none.toml"]])
