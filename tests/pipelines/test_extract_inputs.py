"""What the extract stage makes of files that cannot be read: counted, named, and the end of a build."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import page
from support import final_files, texts

from corpus import dataset
from corpus.config import parse
from corpus.errors import StageError
from corpus.teller import SILENT, Silent
from pipelines import build
from pipelines.options import Runner

QUIET = SILENT


class Said(Silent):
    """A teller that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str, style: str = "") -> None:
        self.lines.append(text)


def run(folder: Path, *sources: dict[str, Any], **extract: Any) -> dataset.Manifest:
    data = {"output": "out", "source": list(sources), "extract": extract}
    build.run(parse(data, "test"), folder, Runner(), QUIET, "extract")
    return dataset.load(str(folder / "out" / "extract"))


def source(kind: str, *paths: str, **more: Any) -> dict[str, Any]:
    return {"name": kind, "format": kind, "paths": list(paths), **more}


def write_good(folder: Path) -> None:
    rows = [json.dumps({"url": url, "text": text}) for url, text in texts()[::8]]
    (folder / "good.jsonl").write_text("\n".join(rows), encoding="utf-8")


UNREADABLE = [
    ("warc", b"PK\x03\x04" + bytes(300), "not-warc"),
    ("warc", b"", "empty"),
    ("warc", gzip.compress(page(0))[:12], "truncated"),
    ("wet", b"%PDF-1.4 not text\n", "not-warc"),
    ("jsonl", b"PK\x03\x04" + bytes(300), "not-text"),
    ("jsonl", '{"text": "x"}'.encode("utf-16"), "utf-16"),
    ("jsonl", gzip.compress(b'{"text": "x"}\n' * 10)[:15], "truncated"),
    ("text", b"PK\x03\x04" + bytes(300), "not-text"),
    ("parquet", b"no table", "bad-parquet"),
    ("arrow", b"", "bad-arrow"),
]


@pytest.mark.parametrize(("kind", "data", "cause"), UNREADABLE)
def test_an_unreadable_file_is_named_and_stops_the_build(
    kind: str, data: bytes, cause: str, tmp_path: Path
) -> None:
    write_good(tmp_path)
    (tmp_path / "bad").write_bytes(data)
    good = source("jsonl", "good.jsonl")
    bad = {**source(kind, "bad"), "name": "b"}
    with pytest.raises(
        StageError, match=rf"1 of 2 input files could not be read: bad \({cause}: .*"
    ) as caught:
        run(tmp_path, good, bad)
    assert "extract.max_unreadable_files allows 0%" in str(caught.value)
    counts = run(tmp_path, good, bad, max_unreadable_files=0.5).counts()
    counts.check("here")
    assert counts.rejected == {}
    assert counts.seen == counts.kept + sum(counts.dropped.values()) > 0
    [name] = counts.noted["unreadable files"]
    assert name.startswith(f"bad ({cause}")


def test_raising_the_limit_does_no_finished_unit_again(tmp_path: Path) -> None:
    write_good(tmp_path)
    (tmp_path / "bad").write_bytes(b"no table")
    sources = source("jsonl", "good.jsonl"), source("parquet", "bad")
    with pytest.raises(StageError):
        run(tmp_path, *sources)
    parts = tmp_path / "out" / "extract" / "extracted"
    before = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    run(tmp_path, *sources, max_unreadable_files=1.0)
    assert {path.name: path.stat().st_mtime_ns for path in parts.iterdir()} == before


MIXED = """\
Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı.
Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar.
The lime tree in the garden of the library flowered at the end of June again this year, as always.
The children of the neighbourhood read their books in its shade while the old talk about the past.
The caretakers gathered the fallen flowers, from which they are going to make tea for the winter."""


@pytest.mark.parametrize(
    ("keep", "lines"), [(["tur_Latn"], 2), (["eng_Latn", "tur_Latn"], 3), (["*"], 3)], ids=str
)
def test_of_a_text_in_two_languages_the_part_that_the_filter_keeps_is_extracted(
    keep: list[str], lines: int, tmp_path: Path
) -> None:
    (tmp_path / "good.jsonl").write_text(json.dumps({"text": MIXED}), encoding="utf-8")
    data = {"output": "out", "source": [source("jsonl", "good.jsonl")]}
    config = parse({**data, "filter": {"language": {"keep": keep}}}, "test")
    build.run(config, tmp_path, Runner(), QUIET, "extract")
    home = str(tmp_path / "out" / "extract")
    (file,) = dataset.load(home).files("extracted")
    (row,) = dataset.table(home, file.path).to_pylist()
    assert row["text"].split("\n") == (MIXED.split("\n")[:2] if lines == 2 else MIXED.split("\n")[2:])


@pytest.mark.parametrize(
    "settings", [{}, {"separate_languages": False}, {"languages": ["eng_Latn"]}], ids=["", "whole", "named"]
)
def test_other_kept_languages_extract_what_they_cut_otherwise_and_the_bytes_are_those_of_a_new_build(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """Of two units one has a text in two languages; keep changes step by step, there and back."""
    pure = MIXED.rpartition("The lime")[0] * 2
    lines = {"mixed": [MIXED, pure], "pure": [pure]}
    for name, held in lines.items():
        written = "".join(json.dumps({"text": text}) + "\n" for text in held)
        (tmp_path / f"{name}.jsonl").write_text(written, encoding="utf-8")
    sources = [{**source("jsonl", f"{name}.jsonl"), "name": name} for name in lines]

    def built(output: str, keep: list[str]) -> dict[str, tuple[int, str]]:
        """Return the file of each unit: when it was written, and its checksum."""
        kept = {"language": {"keep": keep}, "presets": {}, "default": "none"}
        config = parse({"output": output, "source": sources, "extract": settings, "filter": kept}, "test")
        said = Said()
        build.run(config, tmp_path, Runner(), said, "shard")
        told.append([line for line in said.lines if "made again" in line])
        home = tmp_path / output / "extract"
        return {
            unit.inputs[0].name: ((home / file.path).stat().st_mtime_ns, file.sha256)
            for unit in dataset.load(str(home)).units
            for file in unit.files
            if file.kind == "extracted"
        }

    before: dict[str, tuple[int, str]] = {}
    told: list[list[str]] = []
    again = []
    for number, keep in enumerate((["tur_Latn"], ["eng_Latn", "tur_Latn"], ["*"], ["tur_Latn"])):
        found = built("out", keep)
        built(f"new{number}", keep)
        assert final_files(tmp_path / "out") == final_files(tmp_path / f"new{number}")
        again.append({name for name in found if found[name] != before.get(name)})
        before = found
    cut = {"mixed.jsonl"} if not settings else set()
    assert again == [{"mixed.jsonl", "pure.jsonl"}, cut, set(), cut]
    now = "texts in several languages now keep their part in"
    rest = "or else the largest (extract.languages, filter.language.keep): 1 of 2 units of extract made again"
    lines = [[], [f"{now} eng_Latn, tur_Latn {rest}"], [], [f"{now} tur_Latn {rest}"]]
    assert told[::2] == ([[]] * 4 if settings else lines)
    assert told[1::2] == [[]] * 4  # new builds


def test_a_text_column_of_no_line_is_one_clear_message(tmp_path: Path) -> None:
    write_good(tmp_path)
    with pytest.raises(
        StageError, match=r"source 'jsonl': text_column 'govde' is a key of none of its \d+ lines"
    ):
        run(tmp_path, source("jsonl", "good.jsonl", text_column="govde"))
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(StageError, match=r"text_column 'text' is not in .*t.parquet; its columns are 'body'"):
        run(tmp_path, source("parquet", "t.parquet"))


def test_a_build_that_keeps_nothing_names_what_took_all(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": " "}\n{broken\n{"text": "\\n"}\n')
    with pytest.raises(
        StageError,
        match=r"nothing was kept: of 3 documents, 2 dropped by text\.empty, 1 rejected as bad-json; "
        r"`derlem show .* --rejected` lists the rejected",
    ):
        run(tmp_path, source("jsonl", "a.jsonl"))
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(StageError, match="nothing was kept: the inputs have no records"):
        run(tmp_path, source("jsonl", "a.jsonl"))
