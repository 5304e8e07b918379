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
from corpus.errors import ConfigError, NotThereError
from corpus.filters import RULES
from corpus.library import RuleValue

__all__ = ["build"]

PROSE = (
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı. "
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar."
)
MORE = (
    "Ağacın yaşını kimse tam olarak bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor. "
    "Belediye onu iki yıl önce koruma altına aldı. Bu karar için bir dilekçe yazılmış, sonra meclis onu oy "
    "birliğiyle kabul etmişti."
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


def test_a_text_is_judged_by_every_rule_and_the_first_that_drops_it_is_the_reason() -> None:
    found = corpus.judge("Çocuklar ağacın gölgesinde kitap okuyor.", "tur_Latn")
    assert (found.kept, found.rule) == (False, "gopher.min_words")
    assert found.reason == "gopher.min_words: 5 is below the limit 8"
    rules = {each.rule: each for each in found.rules}
    assert list(rules) == [rule.name for rule in RULES]
    assert rules["gopher.min_words"] == RuleValue("gopher.min_words", 5.0, 8.0, None)
    assert rules["gopher.min_words"].drops
    assert (rules["gopher.hashes"].value, rules["gopher.hashes"].max) == (0.0, 0.1)
    assert (rules["fineweb.short_lines"].min, rules["fineweb.short_lines"].max) == (None, None)
    assert not rules["fineweb.short_lines"].drops, "a rule that is off drops nothing"


def test_a_text_that_is_kept_has_no_reason_and_loses_its_notices() -> None:
    prose = f"{PROSE}\nGörevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak. {MORE}"
    found = corpus.judge(f"{prose}\nGizlilik Politikası | Çerez Politikası")
    assert (found.kept, found.rule, found.reason) == (True, "", "")
    assert not any(each.drops for each in found.rules)
    assert (found.text, found.lines) == (prose, {"c4.policy_phrases": 1})


def test_the_language_chooses_the_preset() -> None:
    found = corpus.judge(PROSE, "eng_Latn")
    assert {each.rule: each.min for each in found.rules}["c4.min_sentences"] == 5


def test_a_text_is_judged_by_a_configuration_with_its_limits_and_plugins(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("def no_trees(d): return 'a tree' if 'ağacı' in d.text else None\n")
    path = tmp_path / "corpus.toml"
    path.write_text(
        '[[source]]\nname = "a"\nformat = "text"\npaths = ["a"]\n[filter]\nplugins = ["my.py:no_trees"]\n'
        '[filter.limits.tur_Latn]\n"gopher.min_words" = 20\n"gopher.top_4_gram_chars" = false\n',
        encoding="utf-8",
    )
    found = corpus.judge(PROSE, "tur_Latn", str(path))
    assert found.reason == "plugin.no_trees: a tree"
    assert found.rules[-1] == RuleValue("plugin.no_trees", 1.0, None, 0.0)
    with pytest.raises(ConfigError, match="no such file"):
        corpus.judge(PROSE, "tur_Latn", str(tmp_path / "absent.toml"))


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
