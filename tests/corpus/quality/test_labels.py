"""Classifiers from labels: judged by texts that they did not see, and read by our own predictor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import command

from corpus import classifier
from corpus.errors import ConfigError
from corpus.quality.labels import read

pytest.importorskip("fasttext_new", reason="fasttext-new is a development dependency")

GOOD = ["ev", "kapı", "yol", "taş", "su", "ekmek", "ağaç", "dağ", "deniz", "gün"]
BAD = ["null", "return", "void", "int", "class", "static"]


def write(path: Path) -> Path:
    """Write sixty texts of two labels, each of words of its own and of words that both have."""
    rows = []
    for n in range(30):
        shared = f"ve bir {n} ile"
        rows.append({"text": f"{GOOD[n % 10]} {GOOD[n % 7]}\n{shared} {GOOD[n % 3]}", "label": "keep"})
        rows.append({"text": f"{BAD[n % 6]} {shared} {BAD[n % 5]} {BAD[n % 3]}", "label": "drop"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_trained_classifier_is_cross_validated_and_read_by_our_predictor(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.jsonl")
    told = json.loads(command("quality", "train", labels, "-o", tmp_path / "a.bin", "--json").stdout)
    assert told["texts"] == 60
    assert [(each["label"], each["texts"]) for each in told["labels"]] == [("drop", 30), ("keep", 30)]
    assert min(each[key] for each in told["labels"] for key in ("precision", "recall")) > 0.9
    assert set(told["labels"][0]["words"]) & set(BAD)
    assert sum(one["texts"] for one in told["calibration"]) == 60
    found = classifier.load(str(tmp_path / "a.bin"))
    assert found.predict("void static null", 1)[0][0] == "drop"
    assert found.predict("deniz su ekmek", 1)[0][0] == "keep"
    shown = command("quality", "train", labels, "-o", tmp_path / "b.bin")
    assert "keep" in shown.stdout
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"text": "a", "label": "x"}] * 20, "labels: x 20; expected two or more"),
        ([{"text": "a", "verdict": "x"}], "no column 'label'; its columns: text, verdict"),
    ],
)
def test_labels_that_cannot_be_used_are_told(tmp_path: Path, rows: list[dict[str, str]], says: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read(str(path))
