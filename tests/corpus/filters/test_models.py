"""Models of quality: their numbers are stored, and drop nothing without a limit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from fasttext_models import Recipe, write

from corpus.config import Config, Filter
from corpus.errors import ConfigError
from corpus.filters import Document, in_force, rule_names
from corpus.quality.model import dump, train
from corpus.settings import parse

GOOD = [f"{number}. gün: taş üstüne taş koyan ev yapar, {'bak ' * (number % 5)}." for number in range(200)]
BAD = [f"{number} x=y({number}); return null; {'z ' * (number % 5)}" for number in range(200)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "tr.lm").write_bytes(dump(train(GOOD, BAD, order=3)))
    (folder / "alone.lm").write_bytes(dump(train(GOOD, order=3)))
    rows = [{"url": "https://a.example/", "score": 0.25}, {"url": "https://b.example/", "score": None}]
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(folder / "some.bin", Recipe())
    return folder


def section(limits: dict[str, object] | None = None, **models: object) -> Filter:
    table = {"quality": models, "presets": {}, "default": "none", "limits": {"*": limits or {}}}
    return parse(
        Config, {"source": [{"name": "a", "format": "text", "paths": ["a"]}], "filter": table}, "x"
    ).filter


def test_a_number_is_stored_and_drops_only_by_a_limit(home: Path) -> None:
    models = {"prose": "tr.lm", "unusual": {"model": "tr.lm", "value": "perplexity"}, "alone": "alone.lm"}
    stored = pickle.loads(pickle.dumps(in_force(section(**models), home)))
    assert rule_names(stored.default)[-3:] == ("quality.prose", "quality.unusual", "quality.alone")
    good, bad = (stored.judge(Document(text)) for text in (GOOD[3], BAD[3]))
    assert (good.drop, bad.drop) == (None, None)
    assert good.values[-3] > 0 > bad.values[-3]
    assert bad.values[-2] > good.values[-2] > 1
    limited = in_force(section({"quality.prose": {"min": 0.0}}, **models), home)
    assert limited.judge(Document(GOOD[3])).drop is None
    assert limited.judge(Document(BAD[3])).drop.rule == "quality.prose"


def test_a_table_of_scores_joins_by_url(home: Path) -> None:
    found = in_force(section(hand={"scores": "scores.jsonl"}), home)
    values = [found.judge(Document("söz", url=f"https://{host}.example/")).values[-1] for host in "abc"]
    assert values[0] == 0.25
    assert [value != value for value in values[1:]] == [True, True]


def test_a_classifier_gives_the_probability_of_a_label(home: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"filter\.quality\.edu: value = 'x': expected a label of .*: (.*)"
    ) as told:
        in_force(section(edu={"model": "some.bin", "value": "x"}), home)
    labels = str(told.value).rsplit(": ", 1)[1].split(", ")
    text = "taş üstüne\ntaş"
    found = [in_force(section(edu={"model": "some.bin", "value": each}), home) for each in labels]
    assert sum(each.judge(Document(text)).values[-1] for each in found) == pytest.approx(1, abs=0.01)


def test_another_content_is_another_filter(home: Path, tmp_path: Path) -> None:
    (tmp_path / "tr.lm").write_bytes((home / "tr.lm").read_bytes())
    same = in_force(section(prose="tr.lm"), tmp_path).content()
    assert same == in_force(section(prose="tr.lm"), home).content()
    (tmp_path / "tr.lm").write_bytes((home / "alone.lm").read_bytes())
    assert same != in_force(section(prose="tr.lm"), tmp_path).content()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("absent.lm", "absent.lm cannot be read"),
        ("scores.jsonl", "no model of `derlem quality lm`"),
        ({"model": "tr.lm", "value": "hq"}, "expected 'perplexity'"),
        ({"scores": "scores.jsonl", "column": "grade"}, "no column 'grade'"),
        ({"model": "tr.lm", "scores": "scores.jsonl"}, "a model or scores"),
    ],
)
def test_what_cannot_be_used_is_named(home: Path, model: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        in_force(section(mine=model), home)
