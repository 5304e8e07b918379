"""A text goes through the filters in their order; the first that drops it is its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.config import Filter
from corpus.dedup.signature import signature
from corpus.filtering import Document, Filtering, document_id, exact_hash
from corpus.filters import Drop, in_force
from corpus.text.view import view

PROSE = (
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı. "
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar. "
    "Görevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak. Ağacın yaşını kimse tam olarak "
    "bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor. Belediye onu iki yıl önce koruma altına aldı. "
    "Bu karar için bir dilekçe yazılmış, sonra meclis onu oy birliğiyle kabul etmişti."
)


ENGLISH = "The library is open every day except on public holidays. " * 9


def row(text: str, **changes: Any) -> dict[str, Any]:
    found = {"text": text, "url": "https://kitaplik.example/ihlamur", "language": "tur_Latn"}
    return {**found, "source": "web", "fetched": None, "language_score": 0.99, **changes}


def filtering(options: dict[str, Any] | None = None) -> Filtering:
    settings = Filter.model_validate(options or {})
    return Filtering(settings, in_force(settings, Path()))


def filtered(text: str, options: dict[str, Any] | None = None, **changes: Any) -> Document:
    (document,) = filtering(options).filter([row(text, **changes)])
    return document


def test_prose_stays_as_it_is() -> None:
    document = filtered(PROSE)
    assert document.drop is None
    assert document.text == PROSE
    assert document.words == view(PROSE).words


def test_the_signature_is_that_of_the_final_text() -> None:
    document = filtered(PROSE + " Sorular: bilgi@kitaplik.example adresine yazılabilir.")
    seen = view(document.text)
    assert "<|email|>" in document.text
    assert document.redacted == {"email": 1}
    assert document.signature is not None
    assert np.array_equal(document.signature, signature(seen.folded, seen.word_starts, seen.word_ends))


@pytest.mark.parametrize(
    ("text", "language", "rule"),
    [
        ("Ağaç çiçek açtı.", "tur_Latn", "gopher.min_words"),
        ("Bugün hava çok güzel. " * 60, "tur_Latn", "gopher."),
        (ENGLISH, "eng_Latn", "language.not_kept"),
    ],
)
def test_what_is_dropped_names_its_rule(text: str, language: str, rule: str) -> None:
    document = filtered(text, language=language)
    assert document.drop is not None
    assert document.drop.rule.startswith(rule)
    assert document.signature is None


def test_a_score_below_the_limit_drops_with_score_and_limit() -> None:
    options = {"language": {"keep": ("tur_Latn",), "min_scores": {"tur_Latn": 1.0}}}
    assert filtered(PROSE, options).drop == Drop("language.score", 0.99, 1.0)
    assert filtered(PROSE, options, language_score=1.0).drop is None


def test_a_language_that_is_not_kept_drops_without_a_number_for_none_decided() -> None:
    assert filtered(ENGLISH, language="eng_Latn").drop == Drop("language.not_kept")


def test_a_blocked_host_drops_with_all_its_subdomains_before_the_language_is_looked_at() -> None:
    options = {"blocked_hosts": ("kitaplik.example",)}
    drop = filtered(ENGLISH, options, url="https://tr.kitaplik.example/a", language="eng_Latn").drop
    assert drop is not None
    assert drop.rule == "url.blocked_host"


def test_a_batch_gives_the_same_as_its_documents_alone() -> None:
    rows = [row(text) for text in (PROSE, "", PROSE.upper(), "Kısa.", PROSE.replace("ı", "i"))]
    together = filtering().filter(rows)
    alone = [document for each in rows for document in filtering().filter([each])]
    facts = [(d.text, d.drop, d.values.tolist()) for d in together if d.values is not None]
    assert repr(facts) == repr([(d.text, d.drop, d.values.tolist()) for d in alone if d.values is not None])
    assert len(facts) == len(rows)


def test_the_id_names_address_and_text_and_the_exact_hash_the_text_alone() -> None:
    assert document_id("https://a.example/", PROSE) != document_id("https://b.example/", PROSE)
    assert len(document_id("", PROSE)) == 32
    assert exact_hash(PROSE) != exact_hash(PROSE + " ")


def test_a_text_that_is_dropped_is_measured_by_every_rule_all_the_same() -> None:
    dropped, kept = filtered(ENGLISH, language="eng_Latn"), filtered(PROSE)
    assert dropped.drop == Drop("language.not_kept")
    assert dropped.values is not None
    assert kept.values is not None
    assert dropped.values.size == kept.values.size > 20


def test_every_step_is_timed() -> None:
    used = filtering()
    used.filter([row(PROSE)])
    assert list(used.seconds) == ["url", "language", "filters", "privacy", "register", "signature"]
    assert used.seconds["filters"] > 0


def test_each_language_has_its_preset() -> None:
    bracket = PROSE + " Bir {süslü ayraç} bu metinde de var."
    assert filtered(bracket).drop is None
    drop = filtered(bracket, {"presets": {"tur_Latn": "fineweb"}}).drop
    assert drop is not None
    assert "stop_words" in drop.rule
    assert filtered("Ağaç bahçede çiçek açtı.", {"presets": {}, "default": "none"}).drop is None


def test_what_was_done_to_a_text_is_counted_by_rule() -> None:
    document = filtered(f"{PROSE}\nGizlilik Politikası | Çerez Politikası\nBu iyi bir satır.")
    assert document.text == f"{PROSE}\nBu iyi bir satır."
    assert list(document.lines.values()) == [1]


EVERYTHING = {"language": {"keep": ("*",), "min_score": 0.0}, "default": "none", "presets": {}}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_nothing_makes_filtering_raise_and_what_comes_out_can_be_written(text: str) -> None:
    document = filtered(text, EVERYTHING)
    document.text.encode()
