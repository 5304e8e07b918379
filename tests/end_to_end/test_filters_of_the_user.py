"""Limits over a preset, a filter of the user's own, and what-if, which agrees with a new build."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import command, texts, write_input

from corpus.inspect.build import open_build
from corpus.quality.percentiles import percentiles
from corpus.whatif import what_if

PLUGIN = '''"""Filters of this test."""


def too_much_library(document):
    return document.text.casefold().count("kütüphane") / max(1, document.view.words)


def in_english(document):
    return "English is not wanted" if document.language == "eng_Latn" else None
'''
LIMITS = """
[filter]
plugins = ["my.py:too_much_library", "my.py:in_english"]
[filter.limits."*"]
"plugin.too_much_library" = { max = 0.01 }
"""


def with_plugins(folder: Path) -> Path:
    """Write the input, two filters and a configuration that names them."""
    path = write_input(folder)
    (folder / "my.py").write_text(PLUGIN, encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8") + LIMITS, encoding="utf-8")
    return path


def kept(corpus: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the documents and words that the filter stage kept, by source and language."""
    documents: Counter[tuple[str, str]] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    for row in open_build(str(corpus)).table("documents", ["source", "language", "words"]).to_pylist():
        documents[row["source"], row["language"]] += 1
        words[row["source"], row["language"]] += row["words"]
    return {key: (documents[key], words[key]) for key in documents}


def foretold(corpus: Path, *overrides: str) -> dict[tuple[str, str], tuple[int, int]]:
    found = what_if(str(corpus), overrides).changes
    return {
        key: (change.new_documents, change.new_words) for key, change in found.items() if change.new_documents
    }


def dropped(corpus: Path) -> Counter[str]:
    return Counter(row["rule"] for row in open_build(str(corpus)).table("dropped", ["rule"]).to_pylist())


@pytest.mark.parametrize(
    "override",
    [
        "filter.language.min_score=0.999",
        'filter.language.keep=["tur_Latn"]',
        "filter.limits.tur_Latn.gopher.min_words=400",
        'filter.limits."*"."gopher.min_words"=false',
        "filter.limits.eng_Latn.c4.min_words_per_line=8",
        "filter.limits.tur_Latn.gopher.min_stop_words=9",
        'filter.presets.tur_Latn="none"',
        'filter.blocked_url_words=["kopya"]',
        'filter.privacy.redact=["ip"]',
    ],
)
def test_what_if_tells_what_a_new_build_keeps(tmp_path: Path, override: str) -> None:
    path = write_input(tmp_path)
    corpus = tmp_path / "corpus"
    command("build", path, "--until", "filter")
    before = kept(corpus)
    assert foretold(corpus) == before
    told = foretold(corpus, override)
    command("build", path, "--until", "filter", "--set", override)
    assert told == kept(corpus)


def test_what_if_reads_a_changed_configuration_and_shows_documents(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    command("build", path, "--until", "filter")
    override = "filter.limits.tur_Latn.gopher.min_words=400"
    said = json.loads(command("what-if", path, "--set", override, "--random", "2", "--json").stdout)
    assert said == json.loads(
        command("what-if", tmp_path / "corpus", "--set", override, "--random", "2", "--json").stdout
    )
    assert said["judged_again"] == 0
    assert said["taken"]["gopher.min_words"] > 0
    assert [moved["new_rule"] for moved in said["examples"]] == ["gopher.min_words"] * 2
    text = command("what-if", tmp_path / "corpus", "--set", override, "--random", "1").stdout
    assert "taken: gopher.min_words" in text
    assert "taken by gopher.min_words" in text


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("dedupe.threshold=0.5", "expected a key of [filter]"),
        ("filter.limits.tur_Latn.gopher.min_wrds=3", "min_words"),
        ("filter.language.min_score=2", "less than or equal to 1"),
    ],
)
def test_what_if_refuses_what_is_no_filter(tmp_path: Path, override: str, says: str) -> None:
    path = write_input(tmp_path)
    command("build", path, "--until", "filter")
    answer = command("what-if", tmp_path / "corpus", "--set", override, check=False)
    assert answer.returncode == 2
    assert says in " ".join(answer.stderr.split())


def test_a_filter_of_the_users_own_is_counted_stored_and_shown(tmp_path: Path) -> None:
    path = with_plugins(tmp_path)
    corpus = tmp_path / "corpus"
    rows = [json.dumps({"url": url, "score": len(url)}) for url, _ in texts()]
    (tmp_path / "scores.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write('[filter.quality]\nhand = { scores = "scores.jsonl" }\n')
    command("build", path, "--until", "shard")
    rules = dropped(corpus)
    assert rules["plugin.too_much_library"] > 0
    assert rules["plugin.in_english"] > 0
    shown = command("show", corpus, "--dropped", "plugin.in_english", "--limit", "1", "--json").stdout
    assert json.loads(shown)["reason"] == "English is not wanted"
    values = open_build(str(corpus)).table("measured", ["plugin.too_much_library"])[0].to_pylist()
    assert len(values) == sum(rules.values()) + len(open_build(str(corpus)).table("documents"))
    assert max(value for value in values if value is not None) > 0.01
    shards = open_build(str(corpus)).table("shard", ["url", "quality.hand"]).to_pylist()
    assert shards
    assert all(row["quality.hand"] == len(row["url"]) for row in shards)
    (share,) = [
        one for one in percentiles(str(corpus), 0.5) if (one.language, one.source) == ("tur_Latn", "")
    ]
    told = foretold(corpus, f"filter.limits.tur_Latn.quality.hand={{min={share.limit}}}")
    kept_then = sum(documents for (_, language), (documents, _) in told.items() if language == "tur_Latn")
    assert share.documents / 2 <= kept_then < share.documents

    override = 'filter.limits."*"."plugin.too_much_library"={max=0.5}'
    told = foretold(corpus, override)
    command("build", path, "--until", "filter", "--set", override)
    assert told == kept(corpus)
    assert dropped(corpus)["plugin.too_much_library"] == 0


def test_a_changed_filter_filters_again_and_extracts_nothing(tmp_path: Path) -> None:
    path = with_plugins(tmp_path)
    corpus = tmp_path / "corpus"
    command("build", path, "--until", "filter")
    extracted = {file: file.stat().st_mtime_ns for file in (corpus / "extract").rglob("*.arrow")}
    (tmp_path / "my.py").write_text(PLUGIN.replace("eng_Latn", "azj_Latn"), encoding="utf-8")
    command("build", path, "--until", "filter")
    assert {file: file.stat().st_mtime_ns for file in (corpus / "extract").rglob("*.arrow")} == extracted
    languages = {row["language"] for row in open_build(str(corpus)).table("documents").to_pylist()}
    assert "eng_Latn" in languages
    assert "azj_Latn" not in languages


@pytest.mark.parametrize(
    ("code", "plugins", "says"),
    [
        ("", '["absent.py:f"]', "absent.py cannot be read"),
        ("def g(d): pass", '["my.py:f"]', "f"),
        ("f = 3", '["my.py:f"]', "expected a function"),
        ("def f(d):\n    return 1 / 0", '["my.py:f"]', "line 2"),
        ("def f(d): return 0.5", '["my.py:f"]', "a number needs a limit"),
        ("def f(d): return []", '["my.py:f"]', "expected a number, or True, False, None"),
        ("def f(d): pass", '["my.py:f", "my.py:f"]', "one name"),
        ("def f(d) return", '["my.py:f"]', "my.py"),
    ],
)
def test_a_filter_that_cannot_be_used_is_one_message(
    tmp_path: Path, code: str, plugins: Any, says: str
) -> None:
    path = write_input(tmp_path)
    (tmp_path / "my.py").write_text(code, encoding="utf-8")
    answer = command("build", path, "--until", "filter", "--set", f"filter.plugins={plugins}", check=False)
    assert answer.returncode in (1, 2)
    assert says in " ".join(answer.stderr.split())


def test_a_preset_of_the_users_own_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    corpus = tmp_path / "corpus"
    (tmp_path / "mine.toml").write_text('summary = "mine"\n[gopher]\nmin_words = 60\n', encoding="utf-8")
    chosen = 'filter.presets.tur_Latn="mine.toml"'
    command("build", path, "--until", "filter", "--set", chosen)
    first = kept(corpus)
    (tmp_path / "mine.toml").rename(tmp_path / "other.toml")
    said = command("build", path, "--until", "filter", "--set", chosen.replace("mine", "other")).stderr
    assert "6 done before" in said.split("filter")[-1]
    assert kept(corpus) == first


def test_documents_that_hold_an_evaluation_text_are_removed_with_its_row(tmp_path: Path) -> None:
    path = write_input(tmp_path)
    text = next(text for url, text in texts() if "/tr/" in url)
    line = max(text.splitlines(), key=len)
    rows = [{"question": "Dokuz kuğu göle indi, hepsi de bembeyazdı."}, {"question": line.upper()}]
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write('[filter.contamination]\nquiz = { paths = ["quiz.jsonl"] }\n')
    corpus = tmp_path / "corpus"
    command("build", path, "--until", "shard")
    answer = json.loads(command("decontaminate", corpus, quiz, "--json").stdout)
    assert [(held["row"], held["score"]) for held in answer["held"]] == [(1, 1.0)]
    assert answer["contaminated"] >= 1
    override = 'filter.limits."*"."contamination.quiz"={max=0.8}'
    told = foretold(corpus, override)
    command("build", path, "--until", "shard", "--set", override)
    assert told == kept(corpus)
    shown = command("show", corpus, "--dropped", "contamination", "--json").stdout
    reasons = {json.loads(row)["reason"] for row in shown.splitlines()}
    assert reasons == {f"quiz.jsonl row 1: {line.upper()[:60]}…"}
    assert json.loads(command("decontaminate", corpus, quiz, "--json").stdout)["held"] == []
