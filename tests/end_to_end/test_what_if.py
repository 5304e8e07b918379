"""`what-if` predicts what a rebuild does to each document, on the demo's crawl and on Turkish text."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pack
import pytest
import zstandard
from support import ROOT, command, write_input

from corpus.inspect.build import open_build
from corpus.whatif import WhatIf, what_if

OVERRIDES = [
    "filter.limits.tur_Latn.gopher.alphabetic_words=0.9",
    'filter.limits."*"."gopher.min_words"=false',
    'filter.limits."*"."gopher.min_words"=200',
    'filter.limits.tur_Latn={"fineweb.sentence_lines"=0.6,"gopher.top_2_gram_chars"=0.05}',
    "filter.language.min_scores={tur_Latn=0.99}",
    'filter.language.keep=["eng_Latn"]',
    'filter.presets.tur_Latn="c4-tfds"',  # measures again: it removes other lines
    'filter.limits.tur_Latn={"fineweb.short_line_chars"=80,"fineweb.short_lines"=0.5}',
    'filter.blocked_url_words=["ekmek", "1"]',
]
PINNED = "\n[extract]\nlanguages = []\n"  # other kept languages extract nothing again
SLICE = ("mevzuat-dirty-sample", "libreoffice-help", "cpp-docs-mt")
DOCUMENTS = 60  # of each file of the slice

Fates = list[dict[str, Any]]


class Built(NamedTuple):
    """A build up to the filter stage: its configuration and what became of every text."""

    path: Path
    fates: Fates


def fates(corpus: Path) -> Fates:
    """Return source, language, words and rule of every text, in the order of the extracted files."""
    return list(
        open_build(str(corpus)).table("measured", ["source", "language", "words", "rule"]).to_pylist()
    )


def built(path: Path) -> Built:
    command("build", path, "--until", "filter", "--workers", "1")
    return Built(path, fates(path.parent / "corpus"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("demo")
    text = (ROOT / "examples" / "corpus.toml").read_text(encoding="utf-8")
    for there, here in (("../demo/crawl/rounds/*/warc/", ""), ("../demo/corpus", "corpus")):
        assert there in text
        text = text.replace(there, here)
    (folder / "corpus.toml").write_text(text + PINNED, encoding="utf-8")
    for name in ("quiz.jsonl", "insults.txt"):
        shutil.copy(ROOT / "examples" / name, folder)
    pack.write_warc(folder / "kitaplik.warc.gz")
    return built(folder / "corpus.toml")


def lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        yield from io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")


@pytest.fixture(scope="module")
def turkish(tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]) -> Built:
    data = shared_data("text-tr")
    folder = tmp_path_factory.mktemp("text-tr")
    sources = ""
    for name in SLICE:
        kept = islice(lines(data / f"{name}.jsonl.zst"), DOCUMENTS)
        (folder / f"{name}.jsonl").write_text("".join(kept), encoding="utf-8")
        sources += f'[[source]]\nname = "{name}"\nformat = "jsonl"\npaths = ["{name}.jsonl"]\n'
    path = folder / "corpus.toml"
    path.write_text(f'output = "corpus"\n{sources}{PINNED}', encoding="utf-8")
    return built(path)


def check(before: Built, override: str, folder: Path) -> WhatIf:
    """Compare what `what-if` tells with a rebuild in a copy; return the prediction."""
    shutil.copytree(before.path.parent, folder / "copy")
    corpus = folder / "copy" / "corpus"
    told = what_if(str(corpus), [override])
    command(
        "build", folder / "copy" / "corpus.toml", "--until", "filter", "--set", override, "--workers", "1"
    )
    after = fates(corpus)
    assert len(after) == len(before.fates)
    for (source, language), change in told.changes.items():
        for rows, documents, words in (
            (before.fates, change.documents, change.words),
            (after, change.new_documents, change.new_words),
        ):
            kept = [
                row["words"]
                for row in rows
                if not row["rule"] and (row["source"], row["language"]) == (source, language)
            ]
            assert (documents, words) == (len(kept), sum(kept)), (source, language)
    assert set(told.changes) == {(row["source"], row["language"]) for row in after}
    pairs = [(old["rule"], new["rule"]) for old, new in zip(before.fates, after, strict=True)]
    assert told.given_back == Counter(old for old, new in pairs if old and not new)
    assert told.still_dropped == Counter(f"{old} → {new}" for old, new in pairs if old and new and old != new)
    assert told.taken == Counter(new for old, new in pairs if new and not old)
    return told


@pytest.mark.parametrize("override", OVERRIDES)
def test_the_demo_is_rebuilt_as_predicted(demo: Built, override: str, tmp_path: Path) -> None:
    check(demo, override, tmp_path)


@pytest.mark.parametrize("override", OVERRIDES)
def test_turkish_text_is_rebuilt_as_predicted(turkish: Built, override: str, tmp_path: Path) -> None:
    check(turkish, override, tmp_path)


def test_the_overrides_change_the_fate_of_documents(demo: Built, turkish: Built) -> None:
    moved = Counter[str]()
    for build in (demo, turkish):
        for override in OVERRIDES:
            found = what_if(str(build.path.parent / "corpus"), [override])
            moved[override] += sum(found.given_back.values()) + sum(found.taken.values())
    still = [override for override in OVERRIDES if not moved[override]]
    assert still == [], "an override that moves no document tests nothing"


def test_texts_in_several_languages_that_would_be_cut_otherwise_are_told(tmp_path: Path) -> None:
    turkish = (
        "Kütüphanenin bahçesinde oturan kediler için her sabah su konur, öğleden sonra da süt verilir.\n"
    )
    english = "The cats that sit in the garden of the library are given water and a little milk every day.\n"
    texts = [turkish * 4 + english * 3, turkish * 7]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    config = tmp_path / "corpus.toml"
    source = '[[source]]\nname = "texts"\nformat = "jsonl"\npaths = ["texts.jsonl"]\n'
    config.write_text(f'output = "corpus"\n{source}[filter.presets]\ntur_Latn = "none"\n')
    command("build", config, "--until", "filter", "--workers", "1")
    corpus = str(tmp_path / "corpus")
    assert what_if(corpus, ['filter.language.keep=["eng_Latn"]']).extracted_again == 1
    assert what_if(corpus, ["filter.language.min_score=0.8"]).extracted_again == 0


def test_the_command_tells_what_the_function_tells(demo: Built) -> None:
    corpus = demo.path.parent / "corpus"
    said = json.loads(command("what-if", corpus, "--set", OVERRIDES[0], "--json").stdout)
    assert said == what_if(str(corpus), OVERRIDES[:1]).as_dict()


MEASURES_AGAIN = 'filter.privacy.redact=["ip"]'


def own_lists(folder: Path) -> Path:
    """Build a corpus whose filters read a list and a plugin beside the configuration; return its folder."""
    (folder / "project").mkdir()
    path = write_input(folder / "project")
    (path.parent / "words.txt").write_text("kütüphane\n", encoding="utf-8")
    (path.parent / "my.py").write_text("def short(document):\n    return len(document.text) < 40\n")
    with path.open("a", encoding="utf-8") as file:
        file.write('[filter]\nplugins = ["my.py:short"]\n[filter.harm]\nown = { words = "words.txt" }\n')
    command("build", path, "--until", "filter", "--workers", "1")
    return path.parent


def test_relative_lists_are_found_from_anywhere_and_after_a_move(tmp_path: Path) -> None:
    project = own_lists(tmp_path)
    told = what_if(str(project / "corpus"), [MEASURES_AGAIN])
    assert told.judged_again > 0
    said = json.loads(command("what-if", project / "corpus", "--set", MEASURES_AGAIN, "--json").stdout)
    assert said == told.as_dict()
    moved = project.rename(tmp_path / "moved")
    assert what_if(str(moved / "corpus"), [MEASURES_AGAIN]) == told
    alone = tmp_path / "far" / "corpus"
    shutil.copytree(moved / "corpus", alone)
    moved.rename(project)
    assert what_if(str(alone), [MEASURES_AGAIN]) == told


@pytest.mark.parametrize("name", ["words.txt", "my.py"])
def test_a_list_that_is_gone_or_changed_is_named(tmp_path: Path, name: str) -> None:
    project = own_lists(tmp_path)
    file = project / name
    with file.open("a", encoding="utf-8") as end:
        end.write("\n\n")
    answer = command("what-if", project / "corpus", "--set", MEASURES_AGAIN, check=False)
    said = " ".join(answer.stderr.split())
    assert answer.returncode == 2
    assert ("plugin.short" if name == "my.py" else "harm.own") in said
    assert "name the configuration instead: derlem what-if CONFIG.toml" in said
    command("what-if", project / "corpus.toml", "--set", MEASURES_AGAIN)
    file.unlink()
    answer = command("what-if", project / "corpus", "--set", MEASURES_AGAIN, check=False, columns=1000)
    assert answer.returncode == 2
    assert f"{file} cannot be read: No such file" in answer.stderr
    # Stored values need no list.
    command("what-if", project / "corpus", "--set", "filter.language.min_score=0.9")
