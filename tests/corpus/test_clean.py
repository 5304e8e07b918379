"""A raw document goes through the steps in their order and stops at the first that drops it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import dataset
from corpus.clean import Cleaner, Document, Overtime
from corpus.config import Clean, Source
from corpus.dedup.signature import signature
from corpus.filters import Drop
from corpus.part import PartWriter
from corpus.sources import RawDocument, jsonl
from corpus.text import html, repair
from corpus.text.view import view

PROSE = (
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı. "
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar. "
    "Görevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak. Ağacın yaşını kimse tam olarak "
    "bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor. Belediye onu iki yıl önce koruma altına aldı. "
    "Bu karar için bir dilekçe yazılmış, sonra meclis onu oy birliğiyle kabul etmişti."
)


def cleaner(**settings: Any) -> Cleaner:
    return Cleaner(Clean.model_validate(settings))


def clean(content: bytes | str, options: Clean | None = None, **raw: Any) -> Document:
    fields = {"media": "text", "url": "https://kitaplik.example/ihlamur", "offset": 0, **raw}
    (document,) = Cleaner(options or Clean()).clean([RawDocument(content, **fields)])
    return document


def page(body: str) -> str:
    return f"<html><head><title>x</title></head><body><article><p>{body}</p></article></body></html>"


def test_prose_stays_as_it_is() -> None:
    document = clean(PROSE)
    assert document.drop is None
    assert document.text == PROSE
    assert document.language == "tur_Latn"
    assert document.words == view(PROSE).words


def test_the_signature_is_that_of_the_final_text() -> None:
    document = clean(PROSE + " Sorular: bilgi@kitaplik.example adresine yazılabilir.")
    seen = view(document.text)
    assert "<|email|>" in document.text
    assert document.redacted == {"email": 1}
    assert document.signature is not None
    assert np.array_equal(document.signature, signature(seen.folded, seen.word_starts, seen.word_ends))


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_a_turkish_page_under_a_western_label_comes_out_right(extractor: str) -> None:
    options = Clean.model_validate({"extractor": extractor})
    document = clean(page(PROSE).encode("cp1254"), options, media="html", charset="iso-8859-1")
    assert document.text == PROSE
    assert document.encoding == "windows-1254"


def test_a_meta_tag_in_plain_text_declares_nothing() -> None:
    content = f'<meta charset="koi8-r"> {PROSE}'.encode("cp1254")
    assert clean(content).encoding == "windows-1254"


def test_misread_text_is_mended_before_the_language_is_asked() -> None:
    document = clean(PROSE.encode("cp1254").decode("cp1252"))
    assert document.text == PROSE
    assert document.repaired
    assert document.language == "tur_Latn"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "text.empty"),
        (" \n\u200b ", "text.empty"),
        ("Ağaç çiçek açtı.", "gopher.min_words"),
        ("Bugün hava çok güzel. " * 60, "gopher."),
        ("The library is open every day except on public holidays. " * 9, "language.not_kept"),
    ],
)
def test_what_is_dropped_names_its_rule(content: str, rule: str) -> None:
    document = clean(content)
    assert document.drop is not None
    assert document.drop.rule.startswith(rule)
    assert document.signature is None


def test_a_score_below_the_limit_drops_with_score_and_limit() -> None:
    options = Clean.model_validate({"language": {"keep": ("tur_Latn",), "min_scores": {"tur_Latn": 1.0}}})
    drop = clean(PROSE, options).drop
    assert drop is not None
    assert (drop.rule, drop.limit) == ("language.score", 1.0)
    assert 0.9 < drop.value < 1.0


def test_a_language_that_is_not_kept_drops_without_a_number_for_none_decided() -> None:
    document = clean("The library is open every day except on public holidays. " * 9)
    assert document.drop == Drop("language.not_kept")
    assert document.language == "eng_Latn"


def test_a_blocked_host_drops_with_all_its_subdomains() -> None:
    options = Clean.model_validate({"filters": {"blocked_hosts": ("kitaplik.example",)}})
    drop = clean(PROSE, options, url="https://tr.kitaplik.example/a").drop
    assert drop is not None
    assert drop.rule == "url.blocked_host"


def test_a_failing_extractor_is_a_cause_and_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise html.ExtractionError("timeout", "5 s")

    monkeypatch.setattr(html, "extract", fail)
    document = clean(page(PROSE), media="html")
    assert document.failure is not None
    assert document.failure.cause == "timeout"
    assert document.drop is None


def test_a_record_beyond_its_processor_time_is_given_up_and_the_next_is_cleaned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(text: str) -> repair.Repaired:
        until = time.thread_time() + (0.3 if text == "yavaş" else 0.0)
        while time.thread_time() < until:
            pass
        return whole(text)

    whole = repair.repair
    monkeypatch.setattr(repair, "repair", slow)
    raws = [RawDocument(text, "text", "https://kitaplik.example/", 0) for text in ("yavaş", PROSE)]
    given_up, kept = cleaner(record_timeout_s=0.25).clean(raws)
    assert isinstance(given_up.failure, Overtime)
    assert (given_up.failure.step, given_up.failure.limit) == ("repair", 0.25)
    assert "clean.record_timeout_s allows 0.25" in str(given_up.failure)
    assert given_up.signature is None
    assert kept.failure is None
    assert kept.signature is not None


def test_a_batch_gives_the_same_as_its_documents_alone() -> None:
    contents = [PROSE, "", PROSE.upper(), "Kısa.", PROSE.replace("ı", "i")]
    raws = [RawDocument(text, "text", f"https://kitaplik.example/{n}", n) for n, text in enumerate(contents)]
    together = cleaner().clean(raws)
    alone = [document for raw in raws for document in cleaner().clean([raw])]
    facts = [(d.text, d.language, d.language_score, d.drop, d.id, d.exact) for d in together]
    assert facts == [(d.text, d.language, d.language_score, d.drop, d.id, d.exact) for d in alone]
    assert [d.raw.offset for d in together] == list(range(5))


def test_the_id_names_address_and_text_and_the_exact_hash_the_text_alone() -> None:
    one, other = clean(PROSE), clean(PROSE, url="https://kitaplik.example/kopya")
    assert one.id != other.id
    assert one.exact == other.exact
    assert len(one.id) == 32


def test_every_step_is_timed() -> None:
    used = cleaner()
    used.clean([RawDocument(PROSE, "text", "", 0)])
    assert list(used.seconds) == ["charset", "html", "repair", "language", "filters", "privacy", "signature"]
    assert used.seconds["language"] > 0


def test_each_language_has_its_preset() -> None:
    bracket = PROSE + " Bir {süslü ayraç} bu metinde de var."
    assert clean(bracket).drop is None
    english = Clean.model_validate({"filters": {"presets": {"tur_Latn": "fineweb"}}})
    drop = clean(bracket, english).drop
    assert drop is not None
    assert drop.rule == "gopher.stop_words"
    nothing = Clean.model_validate({"filters": {"presets": {}, "default": "none"}})
    assert clean("Ağaç bahçede çiçek açtı.", nothing).drop is None


def test_what_was_done_to_a_text_is_counted_by_rule() -> None:
    text = f"{PROSE}\nGizlilik Politikası | Çerez Politikası\nBu i\u0307yi bir satır."
    document = clean(text)
    assert document.text == f"{PROSE}\nBu iyi bir satır."
    assert (document.repaired, document.lines) == ({"dotted-i": 1}, {"c4.policy_line": 1})


def test_half_a_surrogate_pair_reaches_no_file(tmp_path: Path) -> None:
    line = json.dumps({"text": PROSE.replace("ıhlamur", "ıhla\ud800mur"), "url": "http://a.example/\udfff"})
    [item] = jsonl.parse(line.encode(), 0, Source(name="t", format="jsonl", paths=("x",)))
    assert isinstance(item, RawDocument)
    raws = [item, RawDocument(page(PROSE.replace("ıhlamur", "&#xD800;")), "html", "", 1)]
    with PartWriter(str(tmp_path), "f") as part:
        for document in cleaner().clean(raws):
            assert document.drop is None
            part.keep(document, "t", 0, "x")
    assert dataset.table(str(tmp_path), part.files[0].path)["text"].to_pylist() == [
        PROSE.replace("ıhlamur", "ıhla\ufffdmur"),
        PROSE.replace("ıhlamur", "\ufffd"),
    ]


EVERYTHING = {"language": {"keep": ("*",), "min_score": 0.0}, "filters": {"default": "none", "presets": {}}}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=300) | st.binary(max_size=300), st.sampled_from(["html", "text"]))
def test_nothing_makes_cleaning_raise_and_what_comes_out_can_be_written(
    content: str | bytes, media: str
) -> None:
    document = clean(content, Clean.model_validate(EVERYTHING), media=media)
    document.text.encode()
    assert len(document.id) == 32
