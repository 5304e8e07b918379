"""Evaluation sets: what a document holds of them is stored, and drops it only by a limit, with its reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from corpus.config import Config, Filter
from corpus.errors import ConfigError
from corpus.filters import Document, in_force
from corpus.settings import parse

QUESTION = "Bir üçgenin iç açılarının toplamı kaç derecedir ve neden böyledir?"


def section(limits: dict[str, object], **sets: object) -> Filter:
    table = {"contamination": sets, "presets": {}, "default": "none", "limits": {"*": limits}}
    return parse(
        Config, {"source": [{"name": "a", "format": "text", "paths": ["a"]}], "filter": table}, "x"
    ).filter


def test_documents_are_marked_or_dropped_by_choice(tmp_path: Path) -> None:
    (tmp_path / "quiz.jsonl").write_text(json.dumps({"question": QUESTION}) + "\n")
    sets = {"quiz": {"paths": ["quiz.jsonl"]}}
    marked = pickle.loads(pickle.dumps(in_force(section({}, **sets), tmp_path)))
    held, clean = Document(f"Ders notu. {QUESTION.upper()} Cevap."), Document("Başka bir metin.")
    assert [marked.judge(each).values[-1] for each in (held, clean)] == [1.0, 0.0]
    assert marked.judge(held).drop is None
    dropping = in_force(section({"contamination.quiz": {"max": 0.8}}, **sets), tmp_path)
    drop = dropping.judge(held).drop
    assert drop is not None
    assert (drop.rule, drop.value, drop.limit) == ("contamination.quiz", 1.0, 0.8)
    assert drop.reason == f"quiz.jsonl row 0: {QUESTION[:60]}…"
    assert dropping.judge(clean).drop is None


def test_a_set_that_cannot_be_used_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"filter.contamination.quiz: .*quiz.jsonl cannot be read"):
        in_force(section({}, quiz={"paths": ["quiz.jsonl"]}), tmp_path)
    (tmp_path / "quiz.jsonl").write_text(json.dumps({"soru": QUESTION}) + "\n")
    with pytest.raises(ConfigError, match=r"filter.contamination.quiz: .* no column 'question'"):
        in_force(section({}, quiz={"paths": ["quiz.jsonl"]}), tmp_path)
