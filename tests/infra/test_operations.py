"""docs/operations.md and infra/README.md: their options are accepted, their links lead to files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from corpus.config import Run
from pipelines import options

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
README = ROOT / "infra" / "README.md"
BEAM = re.findall(r"-- (--runner=\S+(?: --[^`]+)?)", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", BEAM, ids=lambda line: line.split()[0])
def test_the_options_of_an_engine_are_options(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "." in line.split()[0]:
        pytest.importorskip("distributed", reason="tests/anywhere/test_engines.py runs a build on Dask")
    monkeypatch.setattr(options, "_has_dataflow", lambda: True)
    flags = tuple(shlex.split(line.replace('{"command":"/path"}', '\'{"command":"/path"}\'')))
    assert len(flags) >= 2
    chosen = options.choose(Run(), None, flags)
    assert chosen.name == flags[0].removeprefix("--runner=")


def test_every_engine_that_derlem_names_has_its_options() -> None:
    named = {line.split()[0].removeprefix("--runner=") for line in BEAM}
    assert {name for name in named if "." not in name} == set(options.REMOTE)


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = [
        link for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")) if "://" not in link
    ]
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_names_every_file_of_infra() -> None:
    text = README.read_text(encoding="utf-8")
    files = [path for path in (ROOT / "infra").rglob("*") if path.is_file() and path != README]
    missing = [path.name for path in files if path.name not in text and path.suffix != ".tf"]
    assert missing == []


def test_commands_of_the_readme_use_scripts_and_folders_that_exist() -> None:
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", README.read_text(encoding="utf-8"))
    named = {name for block in blocks for name in re.findall(r"\binfra/[\w./-]+", block)}
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists() and not name.endswith(".tfvars")] == []
