"""A configuration is right in every key or stops with a message that names the key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from corpus.config import Config, load, parse
from corpus.errors import ConfigError
from corpus.settings import Section
from corpus.template import template

MINIMAL = '[[source]]\nname = "a"\nformat = "warc"\npaths = ["a.warc.gz"]\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.toml"
    file.write_text(MINIMAL, encoding="utf-8")
    return file


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            found += sections(type(default))
    return found


def test_every_key_is_described_in_the_model() -> None:
    source = Config.model_fields["source"].annotation
    assert source is not None
    for section in [*sections(Config), source.__args__[0]]:
        for name, field in section.model_fields.items():
            default = field.get_default(call_default_factory=True, validated_data={})
            described = field.description or isinstance(default, Section)
            assert described, f"{section.__name__}.{name} has no description"


def test_a_minimal_file_is_enough(path: Path) -> None:
    config = load(path)
    assert config.source[0].name == "a"
    assert config.filter.language.keep == ("tur_Latn",)


def test_a_loaded_configuration_cannot_be_changed(path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(path).dedupe.threshold = 0.9  # type: ignore[misc]


def test_the_template_is_a_valid_configuration_with_the_defaults() -> None:
    written = parse(tomllib.loads(template()), "template")
    assert written.filter == parse(tomllib.loads(MINIMAL), "minimal").filter


def test_the_commented_keys_of_the_template_are_valid_too() -> None:
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line and line[2].islower() else line
        for line in template().splitlines()
    ]
    keys = [line for line in lines if not line.startswith("#")]
    assert parse(tomllib.loads("\n".join(keys)), "template") == parse(tomllib.loads(template()), "template")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dedupe.treshold=0.8", r"dedupe\.treshold: unknown key; did you mean 'threshold'\?"),
        ("dedupe.threshold=1.5", r"dedupe\.threshold = 1\.5: .*less than or equal to 1"),
        ("dedupe.threshold=high", r'dedupe\.threshold = "high": .*a number'),
        ("run.workers=true", r"run\.workers = true: .*a whole number"),
        ('extract.extractor="lynx"', r"extract\.extractor = \"lynx\": .*'derlem' or 'trafilatura'"),
        ("threshold", r"expected key=value"),
        ("output.name=1", r"unknown|a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_what_is_allowed(
    path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(path, [override])


def test_an_override_takes_a_bare_word_as_a_string(path: Path) -> None:
    assert load(path, ["output=elsewhere"]).output == "elsewhere"


def test_two_sources_of_one_name_are_refused(path: Path) -> None:
    path.write_text(MINIMAL * 2, encoding="utf-8")
    with pytest.raises(ConfigError, match="'a' is used twice"):
        load(path)


@pytest.mark.parametrize("text", ["[[source]\n", "a = \n", '"\xff'])
def test_a_file_that_is_no_toml_is_named(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"corpus\.toml: cannot be read as TOML"):
        load(path)


def test_an_absent_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="derlem init"):
        load(tmp_path / "none.toml")
