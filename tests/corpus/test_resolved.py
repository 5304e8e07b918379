"""The printed configuration names the origin of every value, and builds what its source builds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from corpus import filters, settings
from corpus.config import load, parse
from corpus.errors import ConfigError
from corpus.filters import FAMILIES
from corpus.resolved import resolved

FILE = """
[[source]]
name = "a"
format = "warc"
paths = ["a.warc.gz"]
[[source]]
name = "b"
format = "text"
paths = ["b.txt"]
text_unit = "line"
[dedupe]
threshold = 0.8
[filter]
plugins = ["my.py:number", "my.py:verdict"]
[filter.presets]
tur_Latn = "fineweb2-tur"
azj_Latn = "mine.toml"
[filter.limits."*"]
"gopher.min_words" = 30
"plugin.number" = { max = 0.2 }
[filter.limits.tur_Latn.gopher]
hashes = 0.2
duplicate_lines = false
"""
PLUGINS = "def number(document): return 0.1\ndef verdict(document): return None\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(PLUGINS, encoding="utf-8")
    (tmp_path / "mine.toml").write_text('summary = "mine"\n[c4]\njavascript = true\n', encoding="utf-8")
    file = tmp_path / "corpus.toml"
    file.write_text(FILE, encoding="utf-8")
    return file


def origins(text: str) -> dict[str, tuple[str, str]]:
    """Return value and origin of each key of a printed configuration, by table and key."""
    found: dict[str, tuple[str, str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("["):
            number = sum(key.startswith("[[source]].name") for key in found)
            table = f"{line}{number if line == '[[source]]' and number else ''}."
        elif match := re.fullmatch(r'"?([\w.]+)"? = (.*?) +# (.*)', line):
            found[table + match[1]] = match[2], match[3]
    return found


def test_every_value_names_its_origin(path: Path) -> None:
    overrides = (
        "shard.seed=7",
        "filter.limits.tur_Latn.gopher.min_words=20",
        'filter.limits."*"."c4.min_lines"=2',
    )
    found = origins(resolved(path, overrides).replace(str(path), "corpus.toml"))
    everywhere = 'corpus.toml, [filter.limits."*"]'
    turkish = '[filter.limits."tur_Latn"].'
    expected = {
        "[shard].seed": ("7", "--set"),
        "[shard].target_mb": ("256.0", "default"),
        "[dedupe].threshold": ("0.8", "corpus.toml"),
        "[dedupe].urls": ("true", "default"),
        "[[source]].text_unit": ('"file"', "default"),
        "[[source]]1.text_unit": ('"line"', "corpus.toml"),
        "[filter].plugins": ('["my.py:number", "my.py:verdict"]', "corpus.toml"),
        f"{turkish}gopher.min_words": ("20", '--set, [filter.limits."tur_Latn"]'),
        f"{turkish}gopher.hashes": ("0.2", 'corpus.toml, [filter.limits."tur_Latn"]'),
        f"{turkish}gopher.duplicate_lines": ("false", 'corpus.toml, [filter.limits."tur_Latn"]'),
        f"{turkish}gopher.alphabetic_words": ("0.773", "preset fineweb2-tur"),
        f"{turkish}fineweb.short_lines": ("false", "default: off"),
        f"{turkish}c4.min_lines": ("2", '--set, [filter.limits."*"]'),
        f"{turkish}plugin.number": ("{ max = 0.2 }", everywhere),
        f"{turkish}plugin.verdict": ("true", "default"),
        '[filter.limits."azj_Latn"].c4.javascript': ("true", "preset mine.toml"),
        '[filter.limits."azj_Latn"].gopher.min_words': ("30", everywhere),
        '[filter.limits."*"].gopher.min_words': ("30", everywhere),
        '[filter.limits."*"].gopher.hashes': ("0.1", "preset fineweb-any"),
    }
    assert {key: found[key] for key in expected} == expected


def test_every_rule_of_every_language_is_printed(path: Path) -> None:
    found = origins(resolved(path))
    for code in ("tur_Latn", "azj_Latn", "*"):
        keys = {key.partition('"].')[2] for key in found if key.startswith(f'[filter.limits."{code}"]')}
        wanted = {f"{family.name}.{key}" for family in FAMILIES for key in family.limits.model_fields}
        assert keys == wanted | {"plugin.number", "plugin.verdict"}


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("dedupe.threshold=0.7", 'filter.language.keep=["*"]'),
        ("filter.presets.eng_Latn=fineweb", "filter.default=none"),
        ('filter.limits.tur_Latn."plugin.verdict"=false', "filter.limits.deu_Latn.gopher.min_words=3"),
    ],
)
def test_the_printed_configuration_means_the_same(path: Path, overrides: tuple[str, ...]) -> None:
    given = load(path, overrides)
    printed = parse(tomllib.loads(resolved(path, overrides)), "printed")
    without = {"filter": {"limits"}}
    assert printed.model_dump(exclude=without) == given.model_dump(exclude=without)
    one, other = (filters.in_force(config.filter, path.parent) for config in (given, printed))
    assert one.content() == other.content()


def test_a_value_from_two_origins_names_both(path: Path) -> None:
    found = origins(resolved(path, ("filter.presets.eng_Latn=none",)))
    assert found["[filter].presets"][1] == f"{path}, --set"


def test_a_preset_that_is_absent_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="'fineweb3': unknown"):
        resolved(path, ("filter.default=fineweb3",))


def test_an_override_of_a_table_takes_the_place_of_all_that_is_in_it() -> None:
    data = {"filter": {"limits": {"tur_Latn": {"gopher.hashes": 0.2}}, "default": "none"}}
    found = settings.origins(data, "a.toml", ("filter.limits={}", 'filter.presets={ "x_Y" = "none" }'))
    assert found == {
        ("filter", "default"): "a.toml",
        ("filter", "limits"): "--set",
        ("filter", "presets", "x_Y"): "--set",
    }
