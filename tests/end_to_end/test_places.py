"""Paths of the command line: `file://` and `~` mean the same everywhere; URLs go where a URL may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

import derlem
from commands.terminal import local, place


def parameters(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Return the name of each command's function, and what typer knows of each parameter."""
    for command in app.registered_commands:
        assert command.callback is not None
        for hint in get_type_hints(command.callback, include_extras=True).values():
            yield from ((command.callback.__name__, known) for known in getattr(hint, "__metadata__", ()))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from parameters(group.typer_instance)


PATHS = {
    "CONFIG",
    "DIR",
    "FILE",
    "SEEDS",
    "EARLIER",
    "CORPUS",
    "RUN",
    "STUDY",
    "TABLE",
    "SOURCE",
    "RUNS",
    "PAGE",
}


def test_every_path_of_every_command_is_read_alike() -> None:
    found = [(name, known) for name, known in parameters(derlem.app) if known.metavar in PATHS]
    assert {known.metavar for _, known in found} == PATHS
    assert [(name, known.metavar) for name, known in found if known.parser not in (local, place)] == []


def test_urls_of_this_machine_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place(f"file://{tmp_path}/x/") == f"{tmp_path}/x"
    assert local("~/x") == tmp_path / "x"
    assert place("memory://bucket/x") == "memory://bucket/x"
    assert place("simplecache::memory://bucket/x") == "simplecache::memory://bucket/x"
    assert local("a::b") == Path("a::b")


@pytest.mark.parametrize(
    "words",
    [
        ["build", "gs://bucket/corpus.toml"],
        ["train", "corpus", "-o", "s3://bucket/run"],
        ["scale", "memory://study.toml"],
        ["report", "https://example.org/runs.csv"],
        ["init", "gs://bucket/corpus.toml"],
        ["export", "run", "gs://bucket/model"],
    ],
)
def test_a_url_where_a_path_must_be_is_refused(words: list[str]) -> None:
    answer = CliRunner().invoke(derlem.app, words)
    assert answer.exit_code == 2
    assert "expected a path on this machine, not a URL" in " ".join(answer.output.replace("│", " ").split())


def test_a_configuration_is_written_to_and_read_from_a_file_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(derlem.app, ["init", f"file://{tmp_path}/in/corpus.toml"]).exit_code == 0
    assert (tmp_path / "in" / "corpus.toml").is_file()
    answer = CliRunner().invoke(derlem.app, ["config", "file://in/corpus.toml"])
    assert answer.exit_code == 0, answer.output
    assert 'output = "corpus"' in answer.output
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
