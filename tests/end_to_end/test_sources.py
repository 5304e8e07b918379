"""Sources from the command line: a reader of the user's own, and large files that are cut into units."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from archives import record, response
from support import Command, texts

from corpus import dataset

READER = """
from dataclasses import dataclass

@dataclass
class Row:
    url: str
    text: str

def read(path, source):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = Row(*line.rstrip("\\n").split("\\t"))
            if row.text == "none":
                yield {"url": row.url}
                continue
            text = row.text.replace("|", "\\n")
            body = "".join(f"<p>{part}</p>" for part in text.split("\\n"))
            html = f"<html><body><article>{body}</article></body></html>"
            yield {"url": row.url, "html": html.encode()} if number == 1 else {"url": row.url, "text": text}
"""


def write_own(folder: Path, reader: str = READER) -> Path:
    """Write files of a format that only the reader knows, one with a row that is no document."""
    (folder / "my_reader.py").write_text(reader, encoding="utf-8")
    rows = [f"{url}\t{text}".replace("\n", "|") for url, text in texts() if "\t" not in text]
    for number in range(3):
        lines = [*rows[number::3], *(["http://bad.example/\tnone"] if number == 2 else [])]
        (folder / f"{number}.own").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "corpus.toml"
    # A source a file, so that there are units enough for workers.
    path.write_text(
        "".join(
            f'[[source]]\nname = "own-{n}"\nformat = "my_reader.py:read"\npaths = ["{n}.own"]\n'
            for n in range(3)
        )
    )
    return path


def rows_of(folder: Path) -> list[tuple[str, str]]:
    """Return (URL, text) of all documents in shards."""
    shards = folder / "corpus" / "shards"
    found: list[tuple[str, str]] = []
    for file in dataset.load(str(shards)).files("shard"):
        table = dataset.table(str(shards), file.path, ["url", "text"])
        found += zip(table["url"].to_pylist(), table["text"].to_pylist(), strict=True)
    return sorted(found)


@pytest.mark.usefixtures("eager_workers")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_of_the_user_s_own_makes_a_corpus(tmp_path: Path, derlem: Command, workers: str) -> None:
    path = write_own(tmp_path)
    derlem("build", path, "--workers", workers)
    found = rows_of(tmp_path)
    kept = dict(found)
    given = {url: text for url, text in texts() if "\t" not in text}
    assert len(found) > 20
    assert set(kept) <= set(given)
    assert sum(kept[url] == given[url] for url in kept) > len(kept) / 2
    rejected = derlem("show", tmp_path / "corpus", "--rejected").stdout
    assert "http://bad.example/" in rejected
    assert "missing-text" in rejected


def test_a_changed_reader_does_its_units_again_and_no_other(tmp_path: Path, derlem: Command) -> None:
    path = write_own(tmp_path)
    (tmp_path / "other.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for _, text in texts()))
    with path.open("a") as file:
        file.write('[[source]]\nname = "other"\nformat = "jsonl"\npaths = ["other.jsonl"]\n')
    derlem("build", path)
    assert "4 units, 4 done before" in derlem("build", path).stderr
    (tmp_path / "my_reader.py").write_text(READER + "# changed\n")
    assert "4 units, 1 done before" in derlem("build", path).stderr


@pytest.mark.usefixtures("eager_workers")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_that_fails_names_file_and_line(tmp_path: Path, derlem: Command, workers: str) -> None:
    broken = READER.replace('if row.text == "none":', 'if row.text == "none":\n                row.nothing()')
    done = derlem("build", write_own(tmp_path, broken), "--workers", workers, check=False)
    assert done.returncode == 1
    said = done.stderr.replace("\n", "")
    line = broken[: broken.index("row.nothing()")].count("\n") + 1
    assert f"my_reader.py, line {line}: AttributeError: 'Row' object has no attribute 'nothing'" in said
    assert f"on {tmp_path / '2.own'}" in said
    assert "Traceback" not in said


def test_a_reader_that_yields_no_text_at_all_is_one_message(tmp_path: Path, derlem: Command) -> None:
    other = "def read(path, source):\n    for line in open(path):\n        yield {'body': line}\n"
    done = derlem("build", write_own(tmp_path, other), check=False)
    assert done.returncode == 1
    assert "rows of my_reader.py:read has a 'text' or 'html'" in " ".join(done.stderr.split())


def write_large(folder: Path, unit_mb: float) -> Path:
    """Write a file of lines with a bad one in its middle, and the configuration that cuts it."""
    folder.mkdir()
    rows = [
        json.dumps({"url": f"{url}?{n}", "text": f"{n} {text}"}) for n in range(8) for url, text in texts()
    ]
    rows.insert(len(rows) // 2, "{broken")
    (folder / "large.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "corpus.toml").write_text(
        f'[[source]]\nname = "s"\nformat = "jsonl"\npaths = ["large.jsonl"]\n[extract]\nunit_mb = {unit_mb}\n'
    )
    return folder / "corpus.toml"


def offsets(folder: Path) -> list[tuple[int, str]]:
    """Return (row, URL) of every record that extraction wrote down, kept or not."""
    home = folder / "corpus" / "extract"
    manifest = dataset.load(str(home))
    found: list[tuple[int, str]] = []
    for kind in {file.kind for unit in manifest.units for file in unit.files}:
        for file in manifest.files(kind):
            table = dataset.table(str(home), file.path)
            if {"offset", "url"} <= set(table.column_names):
                found += zip(table["offset"].to_pylist(), table["url"].to_pylist(), strict=True)
    return sorted(found)


@pytest.mark.usefixtures("eager_workers")
def test_a_large_file_is_cut_into_units_that_give_the_same_documents(tmp_path: Path, derlem: Command) -> None:
    derlem("build", write_large(tmp_path / "whole", 64))
    derlem("build", write_large(tmp_path / "cut", 0.1), "--workers", "2")
    manifests: list[Any] = [
        dataset.load(str(tmp_path / name / "corpus" / "extract")) for name in ("whole", "cut")
    ]
    assert len(manifests[0].units) == 1
    assert len(manifests[1].units) > 4
    assert manifests[0].counts() == manifests[1].counts()
    assert offsets(tmp_path / "cut") == offsets(tmp_path / "whole")
    assert len(offsets(tmp_path / "cut")) == 8 * len(texts()) + 1
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")


def stored(data: bytes) -> bytes:
    """Return a gzip member that holds its content as it is."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def write_archive(folder: Path, unit_mb: float, forged: bool) -> Path:
    """Write an archive of pages; in one of them lies another archive, which a cut takes for records."""
    folder.mkdir()
    made = []
    for url, text in texts():
        body = f"<html><p>{text}</p>".replace("\n", "</p><p>").encode()
        made.append(record(response(body, mime="text/html; charset=utf-8"), WARC_Target_URI=url))
    members = list(map(gzip.compress, made))
    if forged:
        inner = record(response(b"<html><p>forged</p>"), WARC_Target_URI="http://bank.example/")
        members.insert(len(members) // 2, stored(record(response(gzip.compress(inner) * 500))))
    (folder / "x.warc.gz").write_bytes(b"".join(members))
    (folder / "corpus.toml").write_text(
        f'[[source]]\nname = "s"\nformat = "warc"\npaths = ["x.warc.gz"]\n[extract]\nunit_mb = {unit_mb}\n'
    )
    return folder / "corpus.toml"


@pytest.mark.usefixtures("eager_workers")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("forged", [False, True])
def test_an_archive_is_cut_at_members_or_read_whole_where_a_cut_was_wrong(
    tmp_path: Path, derlem: Command, forged: bool, workers: str
) -> None:
    derlem("build", write_archive(tmp_path / "whole", 64, forged), "--until", "extract")
    path = write_archive(tmp_path / "cut", 0.01, forged)
    done = derlem("build", path, "--until", "extract", "--workers", workers)
    whole, cut = (dataset.load(str(tmp_path / name / "corpus" / "extract")) for name in ("whole", "cut"))
    assert len(whole.units) == 1
    assert (len(cut.units) == 1) == forged
    assert cut.counts() == whole.counts()
    assert offsets(tmp_path / "cut") == offsets(tmp_path / "whole")
    assert "stopped" not in done.stderr
    assert not list((tmp_path / "cut").rglob("*.error"))
    assert f", {len(cut.units)} done before" in derlem("build", path, "--until", "extract").stderr
