"""What a build was made from is found again: from anywhere, and where it was moved."""

from __future__ import annotations

import json
import shutil
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from corpus import files, made
from corpus.config import Config, parse
from corpus.places import usable, usable_or_none

TABLES: dict[str, Any] = {
    "output": "corpus",
    "source": [{"name": "s", "format": "reader.py:read", "paths": ["in/*.jsonl"]}],
    "extract": {"language_model": "lid.ftz"},
    "filter": {
        "presets": {"tur_Latn": "mine.toml", "eng_Latn": "fineweb"},
        "default": "rest.toml",
        "plugins": ["mine.py:f", "entry"],
        "quality": {"a": {"model": "a.lm"}, "b": {"scores": "b.jsonl"}},
        "contamination": {"quiz": {"paths": ["quiz.jsonl"]}},
        "harm": {"w": {"words": "words.txt", "weak": "weak.txt"}, "h": {"hosts": "hosts.txt"}},
    },
    "dedupe": {"against": ["older"]},
    "tokenizer": {"model": "t.model"},
}
PLACES = {
    "reader.py", "in/*.jsonl", "lid.ftz", "mine.toml", "rest.toml", "mine.py", "a.lm", "b.jsonl",
    "quiz.jsonl", "words.txt", "weak.txt", "hosts.txt", "older", "t.model",
}  # fmt: skip


def place_fields(model: type[BaseModel], path: str = "") -> set[str]:
    """Return the dotted names of the settings that take paths, in a model and in those inside it."""
    found = set()
    for name, field in model.model_fields.items():
        kinds = [*field.metadata, field.annotation]
        while kinds:
            kind = kinds.pop()
            kinds += [*typing.get_args(kind), *getattr(kind, "__metadata__", ())]
            if getattr(kind, "func", None) in (usable, usable_or_none):
                found.add(f"{path}{name}")
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= place_fields(kind, f"{path}{name}.")
    return found


def test_all_paths_that_a_configuration_can_name_are_its_places() -> None:
    assert set(parse(TABLES, "test").places()) == PLACES
    assert place_fields(Config) == {
        "output", "source.paths", "extract.language_model", "tokenizer.model", "dedupe.against",
        "filter.quality.model", "filter.quality.scores", "filter.contamination.paths", "filter.harm.words",
        "filter.harm.hosts", "filter.harm.weak",
    }, "a new path: add it to `places` and to TABLES here"  # fmt: skip


def test_a_configuration_without_own_paths_names_its_sources_alone() -> None:
    assert list(parse({"source": [{"name": "s", "format": "text", "paths": ["a"]}]}, "test").places()) == [
        "a"
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a configuration's list and what a build of it remembers."""
    folder = tmp_path / "project"
    (folder / "corpus").mkdir(parents=True)
    (folder / "list.txt").touch()
    source = {"name": "s", "format": "text", "paths": ["*.txt"]}
    made.write(parse({"output": "corpus", "source": [source]}, "test"), folder)
    return folder


def base(corpus: Path, *places: str) -> Path:
    found = made.read(str(corpus))
    assert found is not None
    assert found.config.output == str(corpus)
    return found.base(places)


def test_paths_start_where_the_configuration_was(project: Path) -> None:
    assert base(project / "corpus", "list.txt") == project
    assert base(project / "corpus", "absent.txt") == project


def test_of_a_build_moved_with_its_configuration_the_new_folder_counts(project: Path) -> None:
    moved = project.rename(project.parent / "elsewhere")
    assert base(moved / "corpus", "*.txt", "https://example.org/list") == moved
    copy = shutil.copytree(moved, project.parent / "copy")
    assert base(copy / "corpus", "list.txt") == copy


def test_of_a_build_moved_alone_the_old_folder_counts(project: Path) -> None:
    moved = project.parent / "far" / "away"
    moved.mkdir(parents=True)
    shutil.move(project / "corpus", moved / "corpus")
    assert base(moved / "corpus", "list.txt") == project


def test_a_record_of_an_earlier_version_has_the_old_folder_alone(project: Path) -> None:
    held = files.read_json(str(project / "corpus"), made.RECORD)
    del held["beside"]
    files.write_json(str(project / "corpus"), made.RECORD, held)
    moved = project.rename(project.parent / "elsewhere")
    assert base(moved / "corpus", "list.txt") == project


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": "{}", "base": "/"}', '{"base": 3}'])
def test_a_damaged_record_says_nothing(project: Path, content: str) -> None:
    (project / "corpus" / made.RECORD).write_text(content)
    assert made.read(str(project / "corpus")) is None


def test_what_is_stored_is_what_was_given(project: Path) -> None:
    """Not the paths from where it was built: they would lead back there after a move."""
    held = files.read_json(str(project / "corpus"), made.RECORD)
    assert json.loads(held["config"])["output"] == "corpus"
    assert held["beside"] == ".."
