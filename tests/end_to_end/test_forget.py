"""Pages are taken out of every product of a build, which is then that of a build that never saw them."""

from __future__ import annotations

import glob
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import command, final_files, texts

from corpus import forgotten
from corpus.inspect.build import open_build

HOST = "kapak.example"
REPEATED = "Haberin devamı için lütfen buraya tıklayınız"
ORIGINAL = f"https://{HOST}/0"
COPY = "https://kopya.example/0"


def pages() -> list[dict[str, str]]:
    """Return ten pages of a host with a line that just makes furniture, a copy of one, and five others.

    The copy is on another host, and shorter, so that the original stays.
    """
    found = [text for url, text in texts() if "/tr/" in url and "?" not in url and "yazdir" not in url]
    own = [{"url": f"https://{HOST}/{n}", "text": f"{found[n]}\n{REPEATED}"} for n in range(10)]
    copy = {"url": COPY, "text": found[0].rpartition("\n")[0]}
    others = [{"url": f"https://o{n}.example/", "text": found[n]} for n in range(10, 15)]
    return [*own, copy, *others]


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows to three inputs, each a source, and their configuration; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = ""
    for number in range(3):
        lines = [json.dumps(row) for row in rows[number::3]]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sources += f'[[source]]\nname = "s{number}"\nformat = "jsonl"\npaths = ["{number}.jsonl"]\n'
    path = folder / "corpus.toml"
    path.write_text(f'output = "corpus"\n{sources}[shard]\nvalidation = 0.1\n', encoding="utf-8")
    return path


def blank(rows: list[dict[str, str]], *urls: str) -> list[dict[str, str]]:
    """Return rows whose inputs never had some pages; each other row stays in its file and line."""
    return [row for row in rows if row["url"] not in urls]


def documents(corpus: Path, kind: str, columns: list[str]) -> list[tuple[Any, ...]]:
    rows = open_build(str(corpus)).table(kind, columns).to_pylist()
    return sorted(tuple(row[name] for name in columns) for row in rows)


KINDS = {
    "extracted": ["url", "text", "language"],
    "documents": ["id", "url", "text", "words"],
    "signatures": ["id", "signature"],
    "dropped": ["id", "rule"],
    "removed": ["id", "survivor", "kind"],
    "shard": ["id", "text", "copies"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build that holds the pages."""
    folder = tmp_path_factory.mktemp("held")
    command("build", write(folder, pages()))
    return folder


@pytest.fixture
def held(built: Path, tmp_path: Path) -> Path:
    """A copy of the build, whose files have the same times."""
    shutil.copytree(built, tmp_path / "held", copy_function=shutil.copy2)
    return tmp_path / "held"


def forget(folder: Path, *words: str) -> str:
    return command("forget", folder / "corpus", "--config", folder / "corpus.toml", *words).stderr


def products(folder: Path) -> dict[str, bytes]:
    """Return the files of a build but for the proofs, and the list, which says when it was written."""
    found = final_files(folder / "corpus")
    return {name: data for name, data in found.items() if not name.startswith("forgotten")}


def test_the_bytes_are_those_of_a_build_with_the_list_from_the_start(held: Path, tmp_path: Path) -> None:
    forget(held, "--url", ORIGINAL)
    again = write(tmp_path / "again", pages())
    (again.parent / "corpus").mkdir()
    shutil.copy(held / "corpus" / "forgotten.json", again.parent / "corpus")
    command("build", again)
    assert products(held) == products(again.parent)


def test_a_build_moved_with_its_inputs_needs_no_configuration(held: Path, tmp_path: Path) -> None:
    expected = shutil.copytree(held, tmp_path / "expected", copy_function=shutil.copy2)
    forget(expected, "--url", ORIGINAL)
    moved = held.rename(tmp_path / "moved")
    command("forget", moved / "corpus", "--url", ORIGINAL)
    assert products(moved) == products(expected)
    command("build", moved / "corpus.toml")
    assert products(moved) == products(expected)


def test_the_rows_are_those_of_a_build_that_never_saw_the_page(held: Path, tmp_path: Path) -> None:
    """The copy comes back, and the line that ten pages had is none of nine."""
    before = documents(held / "corpus", "documents", ["url", "text"])
    assert not any(REPEATED in text for _, text in before)
    assert COPY not in {url for (url,) in documents(held / "corpus", "shard", ["url"])}
    said = forget(held, "--url", ORIGINAL)
    assert "1 of them are in the shards now" in said
    other = write(tmp_path / "other", blank(pages(), ORIGINAL))
    command("build", other)
    for kind, columns in KINDS.items():
        mine, theirs = (documents(each / "corpus", kind, columns) for each in (held, other.parent))
        assert mine == theirs, kind
    assert COPY in {url for (url,) in documents(held / "corpus", "shard", ["url"])}
    assert any(REPEATED in text for _, text in documents(held / "corpus", "documents", ["url", "text"]))


def test_only_what_held_the_page_or_depends_on_it_is_written_again(held: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in (held / "corpus").rglob("*.arrow")}
    forget(held, "--url", "https://o10.example/", "--reason", "asked by its owner")
    again = {path for path, time in times.items() if not path.exists() or path.stat().st_mtime_ns != time}
    assert [path.name[:9] for path in again if path.parent.name == "extracted"] == ["extracted"]  # of three
    assert len([path for path in again if path.parent.name == "documents"]) == 1
    proof = json.loads((held / "corpus" / "forgotten" / "0001.json").read_text())
    assert proof["found"] == {
        "extract extracted": 1, "filter documents": 1, "filter signatures": 1, "shard shard": 1,
    }  # fmt: skip
    changed = {stage["stage"]: stage for stage in proof["stages"]}
    assert changed["shard"]["documents_before"] - changed["shard"]["documents_after"] == 1
    assert set(changed["extract"]["before"]) == set(changed["extract"]["after"])
    assert "o10" not in json.dumps(proof)
    command("verify", held / "corpus")


def test_a_new_input_does_not_bring_the_page_back(held: Path) -> None:
    forget(held, "--host", HOST)
    with (held / "0.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"url": f"http://www.{HOST}/0#x", "text": pages()[0]["text"]}) + "\n")
    command("build", held / "corpus.toml")
    assert {url for (url,) in documents(held / "corpus", "extracted", ["url"]) if HOST in url} == set()
    counts = open_build(str(held / "corpus")).finished["extract"].manifest.counts()
    assert counts.skipped == {"forgotten": 11}


def test_a_build_takes_over_the_list_of_a_crawl_that_it_reads(tmp_path: Path) -> None:
    crawl, rows = tmp_path / "crawl [1]", pages()
    inside = crawl / "rounds" / "0001"
    inside.mkdir(parents=True)
    (crawl / "crawl.json").write_text("{}")
    (inside / "pages.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pattern = f"{glob.escape(str(crawl))}/rounds/*/pages.jsonl"
    config = tmp_path / "corpus.toml"
    config.write_text(f'output = "corpus"\n[[source]]\nname = "c"\nformat = "jsonl"\npaths = ["{pattern}"]\n')
    command("build", config)
    corpus = tmp_path / "corpus"
    assert (rows[-1]["url"],) in documents(corpus, "extracted", ["url"])
    request = forgotten.Request(date="2026-11-30", reason="", keys=(forgotten.of_url(rows[-1]["url"]),))
    forgotten.save(str(crawl), forgotten.Listed(requests=(request,)))
    assert "a crawl's list names pages" in " ".join(command("build", config).stderr.split())
    assert (rows[-1]["url"],) not in documents(corpus, "extracted", ["url"])
    assert len(documents(corpus, "extracted", ["url"])) == len(rows) - 1
    assert "a crawl's list" not in command("build", config).stderr
    command("forget", corpus)
    assert json.loads((corpus / "forgotten" / "0001.json").read_text())["ended"]


def test_a_document_is_forgotten_by_its_id_also_without_a_url(tmp_path: Path) -> None:
    rows = [{**row, "url": ""} for row in pages()[10:]]
    path = write(tmp_path, rows)
    command("build", path)
    id, text = documents(tmp_path / "corpus", "documents", ["id", "text"])[0]
    (tmp_path / "ids.txt").write_text(f"{id}\n")
    forget(tmp_path, "--list", str(tmp_path / "ids.txt"))
    assert text not in {text for (text,) in documents(tmp_path / "corpus", "extracted", ["text"])}
    assert "nothing to do" in forget(tmp_path)


class Killed(BaseException):
    """Ends a command as a kill does: nothing catches it."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list whose number says after how many files the next command is killed."""
    left = [-1]
    rename = os.replace

    def replace(source: object, target: object) -> None:
        rename(source, target)  # type: ignore[arg-type]
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(os, "replace", replace)
    return left


def test_killed_after_any_file_it_ends_alike(held: Path, tmp_path: Path, kill: list[int]) -> None:
    words = ("--url", ORIGINAL, "--url", "https://o10.example/")
    whole = tmp_path / "whole"
    shutil.copytree(held, whole, copy_function=shutil.copy2)
    kill[0] = 10_000
    forget(whole, *words)
    writes = 10_000 - kill[0]
    expected = products(whole)
    assert writes > 20
    for number in range(2, writes + 1, 1 if "DERLEM_EVERY_KILL" in os.environ else 19):
        folder = tmp_path / str(number)
        shutil.copytree(held, folder, copy_function=shutil.copy2)
        kill[0] = number
        with pytest.raises(Killed):
            forget(folder, *words)
        kill[0] = -1
        forget(folder, *words)
        assert products(folder) == expected, number
        listed = json.loads((folder / "corpus" / "forgotten.json").read_text())
        assert [request["is_done"] for request in listed["requests"]] == [True]
        proof = json.loads((folder / "corpus" / "forgotten" / "0001.json").read_text())
        assert proof["found"]["extract extracted"] == 2
        assert sum(len(change["after"]) for change in proof["stages"]) > 5
