"""docs/architecture.md names files that exist, and the chain of stages as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpus import chain

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")


def paths(text: str) -> list[str]:
    """Return what stands in backticks and is a path: it has a slash, or the ending of a file."""
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text))
    return [name for name in quoted if re.fullmatch(r"[\w./-]+", name) and _is_path(name)]


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".py", ".md", ".toml"))


def links(text: str) -> list[str]:
    """Return the files that links lead to, without addresses on the web."""
    return [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]


def pictures(text: str) -> list[str]:
    return re.findall(r"(?ms)^```\n(.*?)^```$", text)


def test_paths_are_told_from_other_words() -> None:
    text = "`a/b.py`, `c/`, `derlem.py`, `read(source, path)`, `what-if`, `torch.optim.X`\n```\n`d/e`\n```\n"
    assert paths(text) == ["a/b.py", "c/", "derlem.py"]


@pytest.mark.parametrize("path", sorted(set(paths(TEXT))))
def test_a_path_on_the_page_exists(path: str) -> None:
    found = ROOT / path
    assert found.is_dir() if path.endswith("/") else found.is_file()


def test_the_page_has_paths_and_its_links_lead_to_files() -> None:
    assert len(set(paths(TEXT))) > 30
    assert links(TEXT)
    assert [link for link in links(TEXT) if not (PAGE.parent / link).is_file()] == []


def test_the_table_and_the_picture_have_the_stages_in_order() -> None:
    rows = re.findall(r"(?m)^\| (\w+) \| `(\w+)` \| `pipelines/(\w+)\.py` \|", TEXT)
    wanted = [(row.name, row.folder, row.plan) for row in chain.STAGES]
    assert [(name, folder, f"pipelines.{module}:plan") for name, folder, module in rows] == wanted
    drawn = re.findall(r"(?m)^(\w+) +-> (\w+)/", pictures(TEXT)[0])
    assert drawn == [(row.name, row.folder) for row in chain.STAGES]


def test_the_rooms_of_the_picture_exist() -> None:
    rooms = re.findall(r"\b(\w+/|derlem\.py)(?= )", pictures(TEXT)[1])
    assert set(rooms) == {"derlem.py", "commands/", "pipelines/", "trainer/", "corpus/"}
    assert all((ROOT / room).exists() for room in rooms)
