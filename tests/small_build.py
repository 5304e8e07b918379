"""A small build made by hand: two parts, dropped and rejected records, clusters of each kind, shards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus import dataset, schema
from corpus.counts import Counts
from corpus.dataset import File, Manifest, Unit
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.train import fit

BATCH = 3  # rows of a record batch, so that files have several

Row = dict[str, Any]


def page(
    number: int, text: str, language: str = "tur_Latn", score: float = 0.9, url: str | None = None
) -> Row:
    return {
        "id": f"{number:032x}",
        "text": text,
        "url": f"https://site{number % 3}.example/sayfa/{number}" if url is None else url,
        "fetched": datetime(2024, 5, 1, tzinfo=UTC) if number % 2 else None,
        "source": "web" if number % 4 else "books",
        "file": "crawl.warc.gz",
        "offset": 1000 * number,
        "encoding": "utf-8",
        "language": language,
        "language_score": score,
        "bytes": len(text.encode()),
        "words": len(text.split()),
        "redactions": number % 2,
    }


def fingerprint(unit: int) -> str:
    return f"{unit:016x}"


def write(folder: Path, path: str, kind: schema.Kind, rows: list[Row], unit: int = 0, **more: str) -> File:
    stamp = fingerprint(unit)
    with dataset.create(str(folder), path, kind, stamp, **more) as slot:
        for start in range(0, len(rows), BATCH):
            slot.arrow.write(pa.RecordBatch.from_pylist(rows[start : start + BATCH], kind.schema(stamp)))
    assert slot.file is not None
    return slot.file


def save(folder: Path, stage: str, units: list[tuple[list[File], Counts]], **facts: object) -> None:
    made = tuple(
        Unit(name=f"unit {n}", fingerprint=fingerprint(n), inputs=(), files=tuple(files), counts=counts)
        for n, (files, counts) in enumerate(units)
    )
    dataset.save(str(folder), Manifest(stage=stage, version=1, settings={}, units=made, facts=facts))


def signature(row: Row) -> Row:
    shared = {name: row[name] for name in ("id", "bytes", "words", "fetched", "language")}
    return {**shared, "exact": b"\0" * 16, "url": 0, "signature": [0] * schema.PERMUTATIONS}


def removal(gone: tuple[int, int, Row], stays: tuple[int, int, Row], kind: str, jaccard: float) -> Row:
    return {
        "part": fingerprint(gone[0]),
        "row": gone[1],
        "id": gone[2]["id"],
        "kind": kind,
        "survivor": stays[2]["id"],
        "survivor_part": fingerprint(stays[0]),
        "survivor_row": stays[1],
        "jaccard": jaccard,
    }


LONG = "İstanbul Boğazı'nda ışıklar yandı; ılık bir akşamdı ve vapurlar iskeleye yanaşıyordu. " * 3

PARTS = [
    [
        page(1, LONG + "Martılar simit bekliyordu."),
        page(2, "Kısa bir sayfa."),
        page(3, LONG + "Martılar simit bekliyordu."),
        page(4, "Bakı şəhəri Xəzər dənizinin sahilində yerləşir.", "aze_Latn", 0.8),
        page(5, "Dağların ardından güneş doğdu."),
    ],
    [
        page(6, LONG + "Kediler balık bekliyordu.", url=""),
        page(7, "Yağmur yağınca toprak kokar.", url="https://SITE1.example/sayfa/7"),
        page(8, "Berlin ist eine Stadt.", "deu_Latn", 0.99),
    ],
]

DROPPED = [
    {"rule": "gopher.min_words", "value": 2.0, "limit": 50.0, **page(20, "Ana sayfa")},
    {
        "rule": "gopher.mean_word_length",
        "value": 12.5,
        "limit": 10.0,
        **page(21, "Çekoslovakyalılaştıramadık"),
    },
    {"rule": "language.score", "value": 0.4, "limit": 0.7, **page(22, "Ok ok ok", "aze_Latn", 0.4)},
    {"rule": "c4.no_sentence", "value": 0.0, "limit": 1.0, **page(23, "menü giriş çıkış")},
]

REJECTED = [
    {
        "cause": "truncated",
        "detail": "1,204 of 9,000 bytes \x1b[31mred",
        "url": "https://site.example/x",
        "fetched": None,
        "source": "web",
        "file": "crawl.warc.gz",
        "offset": 77,
    }
]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., str]:
    """Make a build with some stages, all up to shards unless told otherwise, and return its folder."""

    def make(*stages: str) -> str:
        stages = stages or ("extract", "filter", "dedupe", "shards")
        if "extract" in stages:
            _extract(tmp_path / "extract")
        if "filter" in stages:
            _filter(tmp_path / "filter")
        if "dedupe" in stages:
            _dedupe(tmp_path / "dedupe")
        if "shards" in stages:
            _shards(tmp_path / "shards")
        if "tokens" in stages:
            _tokens(tmp_path / "tokens", model())
        return str(tmp_path)

    return make


def _extract(folder: Path) -> None:
    units = []
    for number, rows in enumerate(PARTS):
        texts = [*rows, *(DROPPED if number == 0 else [])]
        files = [write(folder, f"extracted/{number}.arrow", schema.EXTRACTED, texts)]
        counts = Counts(seen=len(texts), kept=len(texts), skipped={"request": 2})
        if number == 0:
            files.append(write(folder, "rejected/0.arrow", schema.REJECTED, REJECTED))
            counts.reject("truncated")
            counts.seen += 1
        units.append((files, counts))
    save(folder, "extract", units)


def _filter(folder: Path) -> None:
    units = []
    for number, rows in enumerate(PARTS):
        files = [
            write(folder, f"documents/{number}.arrow", schema.DOCUMENTS, rows, number),
            write(
                folder,
                f"signatures/{number}.arrow",
                schema.SIGNATURES,
                [signature(row) for row in rows],
                number,
            ),
        ]
        counts = Counts(kept=len(rows))
        if number == 0:
            files.append(write(folder, "dropped/0.arrow", schema.DROPPED, DROPPED))
            for row in DROPPED:
                counts.drop(row["rule"])
        counts.seen = counts.kept + sum(counts.dropped.values())
        counts.note("redacted", "email", 4)
        units.append((files, counts))
    save(folder, "filter", units)


def _dedupe(folder: Path) -> None:
    (one, two, three, _, five), (six, _, _) = PARTS
    removed = [
        removal((0, 2, three), (0, 0, one), "exact", 1.0),
        removal((1, 0, six), (0, 0, one), "near", 0.81),
        removal((0, 1, two), (0, 4, five), "url", 0.1),
    ]
    survivors = [
        {"part": fingerprint(0), "row": 0, "id": one["id"], "copies": 3},
        {"part": fingerprint(0), "row": 4, "id": five["id"], "copies": 2},
    ]
    counts = Counts(seen=8, kept=5, dropped={"dedupe.exact": 1, "dedupe.near": 1, "dedupe.url": 1})
    written = [
        write(folder, "removed.arrow", schema.REMOVED, removed),
        write(folder, "survivors.arrow", schema.SURVIVORS, survivors),
    ]
    sizes = [{"from": 2, "to": 2, "clusters": 1}, {"from": 3, "to": 4, "clusters": 1}]
    along = [{"threshold": 0.7, "documents": 4}, {"threshold": 0.8, "documents": 3}]
    save(folder, "dedupe", [(written, counts)], clusters=2, cluster_sizes=sizes, largest_component=along)


def _layout() -> list[tuple[str, str, list[Row]]]:
    (one, _, _, four, five), (_, seven, eight) = PARTS
    return [
        ("tur_Latn", "train", [{**one, "copies": 3}, {**five, "copies": 2}]),
        ("tur_Latn", "validation", [{**seven, "copies": 1}]),
        ("aze_Latn", "train", [{**four, "copies": 1}]),
        ("deu_Latn", "train", [{**eight, "copies": 1}]),
    ]


def _shards(folder: Path) -> None:
    files = [
        write(folder, f"{language}/{split}-00000-0.arrow", schema.SHARD, rows, language=language, split=split)
        for language, split, rows in _layout()
    ]
    save(folder, "shard", [(files, Counts(seen=5, kept=5))])


@cache
def model() -> Tokenizer:
    """Return a tokenizer trained on the parts."""
    return Tokenizer(fit([row["text"] for part in PARTS for row in part] * 3, "unigram", 400))


def _tokens(folder: Path, pieces: Tokenizer) -> None:
    files = []
    for language, split, rows in _layout():
        for source in ("books", "web"):
            kept = [
                {**row, "tokens": [*pieces.encode(row["text"]), pieces.eos]}
                for row in rows
                if row["source"] == source
            ]
            if kept:
                path = f"{language}/{split}-{source}-0.arrow"
                more = {"language": language, "split": split, "source": source}
                with dataset.create(str(folder), path, schema.TOKENS16, "0" * 16, None, **more) as slot:
                    slot.arrow.write_tokens(
                        pa.RecordBatch.from_pylist(kept, schema.TOKENS16.schema("0" * 16))
                    )
                assert slot.file is not None
                files.append(slot.file)
    save(folder, "tokenize", [(files, Counts(seen=5, kept=5))], tokenizer=pieces.sha256)
    (folder / MODEL).write_bytes(pieces.model)
