"""The examples of docs/library.md give the output that the page shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from support import ROOT

import corpus

PAGE = ROOT / "docs" / "library.md"


def examples() -> doctest.DocTest:
    """Return the page's examples in order, as one session; fences of code blocks are no output."""
    text = PAGE.read_text(encoding="utf-8").replace("```\n", "\n")
    return doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)


def test_every_function_has_an_example() -> None:
    source = "".join(example.source for example in examples().examples)
    assert [name for name in corpus.__all__ if f"corpus.{name}(" not in source] == []


def test_the_examples_give_what_the_page_shows(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "corpus").symlink_to(built)
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    result = runner.run(examples(), out=said.append)
    assert result.attempted > 12
    assert result.failed == 0, "".join(said)
