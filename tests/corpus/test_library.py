"""The library's functions give what the stages give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
from small_build import build

import corpus
from corpus.dataset import NotThereError

__all__ = ["build"]

PROSE = (
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı. "
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar."
)
PAGE = f"<html><body><nav><a href='/'>Ana sayfa</a></nav><article><p>{PROSE}</p></article></body></html>"


def test_a_page_becomes_its_text_whether_decoded_or_not() -> None:
    assert corpus.extract(PAGE) == PROSE
    assert corpus.extract(PAGE.encode("cp1254"), "windows-1254") == PROSE
    assert corpus.extract("<html></html>") == ""


def test_a_language_has_a_code_and_a_score() -> None:
    found = corpus.identify(PROSE)
    assert found.code == "tur_Latn"
    assert 0.7 < found.score <= 1.0


def test_personal_data_is_replaced_and_counted() -> None:
    redacted = corpus.redact("Sorular: bilgi@kitaplik.example")
    assert (redacted.text, redacted.counts) == ("Sorular: <|email|>", {"email": 1})
    assert corpus.redact("Sorular: bilgi@kitaplik.example", ("ip",)).counts == {}


def test_equal_values_of_signatures_are_the_similarity() -> None:
    one, same, other = (corpus.signature(text) for text in (PROSE, PROSE.upper(), PAGE))
    assert np.array_equal(one, same)
    assert np.mean(one == other) < 1


def test_a_build_is_opened_as_tables(build: object) -> None:
    opened = corpus.open_build(build())  # type: ignore[operator]
    shards = opened.table("shard", ["id", "copies"])
    assert shards.column_names == ["id", "copies"]
    assert shards.num_rows == 5
    assert polars.from_arrow(opened.table("documents")).shape[0] == 8
    assert sum(batch.num_rows for batch in opened.batches("dropped")) == 4
    with pytest.raises(NotThereError, match=r"no files of kind 'tokens16'; there are: extracted, "):
        opened.table("tokens16")


def test_the_import_alone_costs_nothing() -> None:
    code = "import corpus, sys; print(sorted({'numpy', 'pyarrow', 'pydantic', 'numba'} & set(sys.modules)))"
    root = Path(corpus.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        corpus.nothing  # noqa: B018
