"""Every number of every configuration is finite and bounded; a fault is told once, by its key."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from corpus import settings
from corpus.commoncrawl.config import CommonCrawl
from corpus.config import Config
from corpus.crawl.config import Crawl
from corpus.errors import ConfigError
from corpus.settings import Section
from trainer import config as training
from trainer.scaling.config import Study

SOURCE = {"name": "a", "format": "warc", "paths": ["a.warc.gz"]}
MODELS: dict[str, tuple[type[Section], dict[str, Any]]] = {
    "corpus": (Config, {"source": [SOURCE]}),
    "crawl": (Crawl, {}),
    "commoncrawl": (CommonCrawl, {}),
    "train": (training.Config, {}),
    "study": (
        Study,
        {
            "output": "o",
            "corpora": {"a": "c"},
            "reference": {"parameters": 1, "width": 1, "tokens": 1},
        },
    ),
}


def kinds(annotation: Any) -> set[type]:
    """Return the plain types of an annotation: {float, NoneType} of `float | None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return kinds(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return set().union(*(kinds(part) for part in typing.get_args(annotation)))
    return {annotation} if isinstance(annotation, type) else set()


def numbers(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type]]:
    for name, field in section.model_fields.items():
        found = kinds(field.annotation)
        for kind in found:
            if issubclass(kind, BaseModel):
                yield from numbers(kind, (*path, name))
        if float in found:
            yield (*path, name), float
        elif int in found:
            yield (*path, name), int


NUMBERS = [(name, path, kind) for name, (model, _) in MODELS.items() for path, kind in numbers(model)] + [
    ("corpus", ("source", "0", name), float) for name in ("max_record_mb",)
]


def refused(name: str, path: tuple[str, ...], value: object) -> str:
    """Return the message about one key with this value."""
    model, least = MODELS[name]
    data: dict[str, Any] = json.loads(json.dumps(least))
    place: Any = data
    for part in path[:-1]:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    place[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        settings.parse(model, data, "file.toml")
    return str(caught.value)


def test_the_numbers_of_all_configurations_are_found() -> None:
    assert len(NUMBERS) > 90
    assert ("corpus", ("shard", "target_mb"), float) in NUMBERS
    assert ("train", ("optimizer", "lr"), float) in NUMBERS


@pytest.mark.parametrize(
    ("name", "path", "kind"), NUMBERS, ids=lambda part: ".".join(part) if isinstance(part, tuple) else None
)
def test_no_number_is_infinite_absurd_or_of_another_type(
    name: str, path: tuple[str, ...], kind: type
) -> None:
    key = ".".join(path)
    for value in (math.inf, -math.inf, math.nan, 1e300, -1e300, 10**30, "1", [1], True):
        message = refused(name, path, value)
        assert "file.toml" in message
        assert key in message
        assert "expected" in message or "greater" in message
        assert len(message.splitlines()) <= 2, "one fault is told in one line"


@pytest.mark.parametrize(
    "path", [path for name, path, _ in NUMBERS if path[-1].endswith(("_mb", "_gb", "_kb"))]
)
def test_a_size_in_bytes_is_a_number_that_arrow_can_hold(path: tuple[str, ...]) -> None:
    name = next(name for name, each, _ in NUMBERS if each == path)
    if path[-1] != "cache_gb":  # only ever compared
        refused(name, path, 2.0**43)


def test_a_fault_in_a_source_is_the_only_one_told() -> None:
    data = {"source": [{**SOURCE, "format": "wrac"}]}
    with pytest.raises(ConfigError) as caught:
        settings.parse(Config, data, "corpus.toml")
    assert str(caught.value).splitlines() == [
        "corpus.toml: the configuration cannot be used:",
        "  source.0.format = \"wrac\": expected 'warc', 'wet', 'jsonl', 'parquet', 'arrow', 'text', "
        "'pdf', 'epub' or 'wikipedia', or a function of your own as 'my_reader.py:read'",
    ]


def test_faults_of_two_sources_are_both_told() -> None:
    data = {"source": [{**SOURCE, "format": "x"}, {**SOURCE, "name": "b", "paths": []}]}
    with pytest.raises(ConfigError) as caught:
        settings.parse(Config, data, "corpus.toml")
    assert [line.split(" = ")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "source.0.format",
        "source.1.paths",
    ]


@given(st.text(max_size=40))
def test_no_text_of_an_override_does_more_than_to_be_refused(text: str) -> None:
    for override in (text, f"dedupe.threshold={text}", f"{text}=1", f"filter.{text}={text}"):
        with suppress(ConfigError):
            settings.parse(Config, settings.overlay({"source": [SOURCE]}, [override]), "corpus.toml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dedupe.threshold=0.8\nshard.seed=2", "valid number"),
        ("shard.seed=" + "9" * 5000, r"--set 'shard\.seed=9{100}.*…': Exceeds the limit"),
        ("source=" + "[" * 5000, "nested too deeply|valid array|list"),
        ("output=a\udcff", r"output = 'a\\udcff': expected UTF-8 text"),
        ('output="a\\u0000b"', "without NUL"),
        ("a\udcff=1", r"'a\\udcff': expected UTF-8 text"),
    ],
)
def test_an_override_that_is_no_value_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.parse(Config, settings.overlay({"source": [SOURCE]}, [override]), "corpus.toml")
