"""Every number of every configuration is finite and bounded; a fault is told once, by its key."""

from __future__ import annotations

import itertools
import json
import math
import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from corpus import settings
from corpus.commoncrawl.config import CommonCrawl
from corpus.config import Config, load
from corpus.crawl.config import Crawl
from corpus.errors import ConfigError
from corpus.settings import Section
from trainer import config as training
from trainer.compare.config import Comparison
from trainer.mix.config import Mix
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
    "compare": (Comparison, {}),
    "mix": (Mix, {"output": "o", "corpus": "c", "tokens": 1}),
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


def tables(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path of every table, one of each list and one by a name, with its model."""
    yield path, section
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if typing.get_origin(annotation) is tuple:
            inner, below = typing.get_args(annotation)[0], (name, "0")
        elif typing.get_origin(annotation) is dict:
            inner, below = typing.get_args(annotation)[1], (name, "model")
        else:
            inner, below = annotation, (name,)
        for kind in kinds(inner):
            if issubclass(kind, BaseModel):
                yield from tables(kind, (*path, *below))


TABLES = [(name, path, table) for name, (model, _) in MODELS.items() for path, table in tables(model)]


def refused(name: str, path: tuple[str, ...], value: object) -> str:
    """Return the message about one key with this value."""
    model, least = MODELS[name]
    data: dict[str, Any] = json.loads(json.dumps(least))
    place: Any = data
    for part, after in itertools.pairwise(path):
        if part.isdigit():
            place.extend([{}] if not place else [])
            place = place[int(part)]
        else:
            place = place.setdefault(part, [] if after.isdigit() else {})
    place[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        settings.parse(model, data, "file.toml")
    return str(caught.value)


def shown(path: tuple[str, ...]) -> str:
    """Return a place as a message shows it: a table of a list by its name, or counted from 1."""
    return ".".join(path).replace("source.0.", 'source "a", ').replace(".0.", ", table 1, ")


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
    key = shown(path)
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


def test_the_tables_of_all_configurations_are_found() -> None:
    found = {(name, ".".join(path)) for name, path, _ in TABLES}
    assert {
        ("corpus", "source.0"),
        ("corpus", "filter.quality.model"),
        ("mix", "train.model.experts"),
    } <= found
    assert {("train", "data.phases.0"), ("study", "reference"), ("compare", "tokens")} <= found


@pytest.mark.parametrize(
    ("name", "path", "table"), TABLES, ids=lambda part: ".".join(part) if isinstance(part, tuple) else None
)
def test_an_unknown_key_is_told_with_the_keys_of_its_own_table(
    name: str, path: tuple[str, ...], table: type[BaseModel]
) -> None:
    known = list(table.model_fields)
    for wrong, hint in (
        (f"{known[-1]}x", f"unknown key; did you mean {known[-1]!r}?"),
        ("x" * 9, f"unknown key; known here: {', '.join(known)}"),
    ):
        message = refused(name, (*path, wrong), {"large": ["a value that nobody wants to read"] * 9})
        key = shown((*path, wrong))
        assert f"  {key}: {hint}" in message.splitlines()
        assert "nobody wants" not in message


@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        ("corpus", "keep", "filter.language.keep"),
        ("train", "lr", "optimizer.lr"),
        ("study", "multiples", "tokens.multiples"),
        ("commoncrawl", "crawl", "selection.crawl"),
    ],
)
def test_a_key_of_another_table_is_told_with_its_place(name: str, key: str, path: str) -> None:
    assert f"{key}: unknown key; did you mean {path!r}" in refused(name, (key,), 1)


MASKED = {"model": {"kind": "decoder"}, "objective": {"name": "masked"}}
EXCLUDED: list[tuple[str, dict[str, Any], str]] = [
    ("train", {"optimizer": {"name": "adamw", "cautious": True}}, "optimizer.cautious = true: only for name"),
    (
        "train",
        {"model": {"experts": {"active": 4}}},
        "model.experts.count = 0: other keys of experts need it",
    ),
    ("train", {"model": {"experts": {"count": 2}}}, "model.experts.active = 2: expected less than "),
    ("train", {"data": {"tokens": 9, "phases": [{"tokens": 30}]}}, "data.phases = [{…}]: they use 30 tokens"),
    ("train", {"data": {"weights": {"a": 1}, "epochs": 3}}, "data.epochs = 3.0: only for runs that read"),
    ("train", {"optimizer": {"betas": [0.9]}}, "optimizer.betas = [0.9]: expected 2 or more values"),
    ("train", MASKED, 'model.kind = "decoder": expected "encoder"'),
    ("corpus", {"tokenizer": {"by_score": "quality.x"}}, 'tokenizer.by_score = "quality.x": it needs '),
    ("corpus", {"filter": {"quality": {"a": {}}}}, "filter.quality.a: expected a model or scores, and not "),
    (
        "corpus",
        {"filter": {"quality": {"A": "a.bin"}}},
        'filter.quality: the name "A": expected a text of the',
    ),
    ("corpus", {"filter": {"language": 3}}, "filter.language = 3: expected a table of keys"),
    ("corpus", {"source": SOURCE}, "source = {…}: a table; expected a list of them: write [[source]]"),
    ("commoncrawl", {"selection": {"via": "cdx"}}, 'selection.via = "cdx": it needs a place'),
    ("study", {"train": {"optimizer": {"name": "lion"}}}, 'train.optimizer.name = "lion": rules for other'),
    ("study", {"train": {"data": {"unique": 3}}}, "train.data.unique = 3: expected none"),
    ("study", {"train": {"evaluate": {"documents": 0}}}, "train.evaluate.documents = 0: expected 1 or more"),
    ("study", {"train": {"schedule": {"decay": 0.0}}}, "train.schedule.decay = 0.0: expected 0.01 to"),
    ("study", {"sizes": {"largest": 10_000_000}}, "sizes.count = 4: with smallest = 10,000,000 and largest"),
    ("study", {"corpora": {"a b": "c"}}, "corpora: the name 'a b': expected only letters"),
    ("study", {"repetition": {"sizes": 9}}, "repetition.sizes = 9: expected at most sizes.count"),
    ("study", {"tokens": {"multiples": [0.0001]}}, "tokens.multiples, value 1 = 0.0001: expected greater"),
    (
        "compare",
        {"train": {"evaluate": {"documents": 0}}},
        "train.evaluate.documents = 0: expected 1 or more",
    ),
    ("compare", {"first": 9}, "first = 9: expected at most `most`, 8"),
    ("mix", {"train": {"data": {"phases": [{"tokens": 1}]}}}, "train.data.phases = [{…}]: expected none"),
]


@pytest.mark.parametrize(("name", "given", "message"), EXCLUDED)
def test_a_value_that_others_exclude_is_told_by_its_key_alone(
    name: str, given: dict[str, Any], message: str
) -> None:
    model, least = MODELS[name]
    with pytest.raises(ConfigError) as caught:
        settings.parse(model, least | given, "file.toml")
    first, *lines = str(caught.value).splitlines()
    assert first == "file.toml: the configuration cannot be used:"
    assert len(lines) == 1
    assert lines[0].startswith(f"  {message}")


def test_a_fault_in_a_source_is_the_only_one_told() -> None:
    data = {"source": [{**SOURCE, "format": "wrac"}]}
    with pytest.raises(ConfigError) as caught:
        settings.parse(Config, data, "corpus.toml")
    assert str(caught.value).splitlines() == [
        "corpus.toml: the configuration cannot be used:",
        "  source \"a\", format = \"wrac\": expected 'warc', 'wet', 'jsonl', 'parquet', 'arrow', 'text', "
        "'pdf', 'epub' or 'wikipedia', or a function of your own as 'my_reader.py:read'",
    ]


def test_faults_of_two_sources_are_both_told() -> None:
    data = {"source": [{**SOURCE, "format": "x"}, {**SOURCE, "name": "b", "paths": []}]}
    with pytest.raises(ConfigError) as caught:
        settings.parse(Config, data, "corpus.toml")
    assert [line.split(" = ")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        'source "a", format',
        'source "b", paths',
    ]


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (Config, {"source": [SOURCE, {"paths": ["a"]}]}, "source, table 2, name: missing"),
        (Config, {"source": [{**SOURCE, "paths": ["a", 3]}]}, 'source "a", paths, value 2 = 3: expected'),
        (Config, {"source": [{**SOURCE, "paths": ["\udcff"]}]}, 'source "a", paths, value 1 = '),
        (Config, {"source": [{**SOURCE, "name": "a b"}]}, 'source "a b", name = "a b": '),
        (training.Config, {"data": {"phases": [{"tokens": 2**60}]}}, "data.phases, table 1, tokens = "),
    ],
)
def test_a_value_in_a_list_is_told_by_the_name_of_its_table_or_counted_from_one(
    model: type[Section], data: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.parse(model, data, "file.toml")
    assert message in str(caught.value)


def test_the_keys_that_overrides_set_are_told_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[[source]]\nname = 'a'\nformat = 'warc'\npaths = ['a']\n")
    with pytest.raises(ConfigError) as caught:
        load(path, ["shard.seed=-1", "dedupe.threshold=0.5"])
    first, fault = str(caught.value).splitlines()
    assert first == f"{path} with --set shard.seed, dedupe.threshold: the configuration cannot be used:"
    assert fault == "  shard.seed = -1: expected greater than or equal to 0"


@pytest.mark.parametrize("key", ["", " ", ".a", "a.", "a..b", '""'])
def test_an_override_of_a_key_without_a_name_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        settings.overlay({}, [f"{key}=1"])


@given(st.text(max_size=40))
def test_no_text_of_an_override_does_more_than_to_be_refused(text: str) -> None:
    for override in (text, f"dedupe.threshold={text}", f"{text}=1", f"filter.{text}={text}"):
        with suppress(ConfigError):
            settings.parse(Config, settings.overlay({"source": [SOURCE]}, [override]), "corpus.toml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dedupe.threshold=0.8\nshard.seed=2", "expected a number"),
        ("shard.seed=" + "9" * 5000, r"--set 'shard\.seed=9{100}.*…': Exceeds the limit"),
        ("source=" + "[" * 5000, "nested too deeply|list"),
        ("output=a\udcff", r"output = 'a\\udcff': expected UTF-8 text"),
        ('output="a\\u0000b"', "without NUL"),
        ("a\udcff=1", r"'a\\udcff': expected UTF-8 text"),
    ],
)
def test_an_override_that_is_no_value_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.parse(Config, settings.overlay({"source": [SOURCE]}, [override]), "corpus.toml")
