"""Every command's help fills the lines of a narrow terminal, tells its defaults, and is in a panel."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from corpus.commoncrawl.config import CommonCrawl
from derlem import app

ROOT = typer.main.get_command(app)
PANELS = ["Corpus", "Look", "Crawl", "Train", "Worth"]


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())


def rendered(path: tuple[str, ...], width: int) -> list[str]:
    answer = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(width), "NO_COLOR": "1"})
    assert answer.exit_code == 0
    return [line.rstrip() for line in answer.stdout.splitlines()]


def is_shown(words: str, lines: list[str], width: int) -> bool:
    """Return whether `words` stand in consecutive lines, each as full as a column of some width allows."""
    for number, line in enumerate(lines):
        for at in [found.start() for found in re.finditer(re.escape(words.split()[0]), line)]:
            room = width - at - (2 if line.endswith("│") else 1)
            filled = textwrap.wrap(words, room, break_on_hyphens=False)
            column = [each[at:].removesuffix("│").strip() for each in lines[number : number + len(filled)]]
            column[-1] = re.sub(r"\s*\[(default: .*|required)\]$", "", column[-1])
            if column == filled:
                return True
    return False


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_paragraph_of_a_help_text_is_filled_to_the_width(path: tuple[str, ...], width: int) -> None:
    lines = rendered(path, width)
    assert max(map(len, lines)) <= width
    assert not re.search(r"\S…", "\n".join(lines)), "something is cut short"
    command = COMMANDS[path]
    texts = [paragraph.replace(r"\[", "[") for paragraph in command.help.split("\n\n")]
    texts += [param.help for param in command.params if getattr(param, "help", None)]
    for inner in getattr(command, "commands", {}).values():
        texts.append(inner.help.split("\n\n")[0].replace(r"\[", "["))
    for text in texts:
        assert "\n" not in text
        assert is_shown(text, lines, width), f"not filled: {text}"


def test_a_help_text_that_breaks_within_a_sentence_would_be_noticed() -> None:
    broken = [" It says who asks:", " without a contact it does not begin."]
    assert not is_shown("It says who asks: without a contact it does not begin.", broken, 60)


def test_the_commands_are_in_panels_in_the_order_of_use() -> None:
    lines = rendered((), 80)
    titles = [found[1] for line in lines if (found := re.match(r"╭─ (\w+) ─", line))]
    assert titles == ["Options", *PANELS]
    assert {command.rich_help_panel for command in ROOT.commands.values()} == set(PANELS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_metavar_has_brackets_of_its_own_and_every_default_is_told(path: tuple[str, ...]) -> None:
    text = "\n".join(rendered(path, 200))
    assert "[[" not in text
    assert "......" not in text
    assert "…..." not in text
    for param in COMMANDS[path].params:
        if param.default not in (None, "", False, [], ()) and not param.required:
            assert param.show_default, param.name
            names = "|".join(map(re.escape, param.opts))
            row = re.search(rf"({names}|{param.metavar}) .*\[default: ", text)
            assert row, f"{param.name}: no default is shown"


@pytest.mark.parametrize(
    ("command", "option", "shown", "default"),
    [
        ("commoncrawl", "language", "tur", CommonCrawl().selection.languages[0]),
        ("commoncrawl", "limit", "10,000", f"{CommonCrawl().selection.limit:,}"),
        ("commoncrawl", "status", "200", str(CommonCrawl().selection.statuses[0])),
        ("commoncrawl", "connections", "4", str(CommonCrawl().access.connections)),
    ],
)
def test_a_default_that_the_configuration_holds_is_the_one_told(
    command: str, option: str, shown: str, default: str
) -> None:
    param = next(param for param in COMMANDS[(command,)].params if param.name == option)
    assert (param.show_default, shown) == (default, default)


def test_the_version_is_the_package_s_and_asks_for_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, derlem\ntry: derlem.main()\nfinally: print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    version, modules = run.stdout.splitlines()
    assert version == f"derlem {importlib.metadata.version('derlem')}" == "derlem 0.1.0"
    assert not {"torch", "apache_beam", "pyarrow", "numpy", "pydantic"} & set(modules.split())
