"""A record goes through the steps of extraction in their order and stops at the first that ends it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.config import Extract
from corpus.extraction import Extracted, Extractor, Overtime
from corpus.items import RawDocument
from corpus.text import html, repair
from corpus.text.maintext.kinds import UNKNOWN

PROSE = (
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı. "
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar. "
    "Görevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak. Ağacın yaşını kimse tam olarak "
    "bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor. Belediye onu iki yıl önce koruma altına aldı. "
    "Bu karar için bir dilekçe yazılmış, sonra meclis onu oy birliğiyle kabul etmişti."
)


def extractor(**settings: Any) -> Extractor:
    return Extractor(Extract.model_validate(settings))


def extract(content: bytes | str, options: Extract | None = None, **raw: Any) -> Extracted:
    fields = {"media": "text", "url": "https://kitaplik.example/ihlamur", "offset": 0, **raw}
    (record,) = Extractor(options or Extract()).extract([RawDocument(content, **fields)])
    return record


def page(body: str) -> str:
    return f"<html><head><title>x</title></head><body><article><p>{body}</p></article></body></html>"


def test_prose_stays_as_it_is() -> None:
    record = extract(PROSE)
    assert (record.drop, record.failure) == (None, None)
    assert record.text == PROSE
    assert record.language == "tur_Latn"


@pytest.mark.parametrize("name", ["derlem", "trafilatura"])
def test_a_turkish_page_under_a_western_label_comes_out_right(name: str) -> None:
    options = Extract.model_validate({"extractor": name})
    record = extract(page(PROSE).encode("cp1254"), options, media="html", charset="iso-8859-1")
    assert record.text == PROSE
    assert record.encoding == "windows-1254"


def test_a_meta_tag_in_plain_text_declares_nothing() -> None:
    content = f'<meta charset="koi8-r"> {PROSE}'.encode("cp1254")
    assert extract(content).encoding == "windows-1254"


def test_misread_text_is_repaired_before_the_language_is_identified() -> None:
    record = extract(PROSE.encode("cp1254").decode("cp1252"))
    assert record.text == PROSE
    assert record.repaired
    assert record.language == "tur_Latn"


@pytest.mark.parametrize("content", ["", " \n\u200b "])
def test_a_record_without_text_is_dropped(content: str) -> None:
    drop = extract(content).drop
    assert drop is not None
    assert drop.rule == "text.empty"


def test_a_page_of_a_blocked_host_costs_nothing_but_the_look_at_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> str:
        raise AssertionError("the page was extracted")

    monkeypatch.setattr(html, "read", never)
    options = Extract.model_validate({"blocked_hosts": ("kitaplik.example",)})
    record = extract(page(PROSE), options, media="html", url="https://tr.kitaplik.example/a")
    assert record.drop is not None
    assert record.drop.rule == "url.blocked_host"
    assert record.text == ""


def test_a_failing_extractor_is_a_cause_and_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise html.ExtractionError("timeout", "5 s")

    monkeypatch.setattr(html, "read", fail)
    record = extract(page(PROSE), media="html")
    assert isinstance(record.failure, html.ExtractionError)
    assert record.failure.cause == "timeout"
    assert record.drop is None


def test_a_record_beyond_its_processor_time_is_given_up_and_the_next_is_extracted(
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
    given_up, kept = extractor(record_timeout_s=0.25).extract(raws)
    assert isinstance(given_up.failure, Overtime)
    assert (given_up.failure.step, given_up.failure.limit) == ("repair", 0.25)
    assert "extract.record_timeout_s allows 0.25" in str(given_up.failure)
    assert given_up.language == ""
    assert kept.failure is None
    assert kept.language == "tur_Latn"


def test_a_batch_gives_the_same_as_its_records_alone() -> None:
    contents = [PROSE, "", PROSE.upper(), "Kısa.", PROSE.replace("ı", "i")]
    raws = [RawDocument(text, "text", f"https://kitaplik.example/{n}", n) for n, text in enumerate(contents)]
    together = extractor().extract(raws)
    alone = [record for raw in raws for record in extractor().extract([raw])]
    facts = [(d.text, d.language, d.language_score, d.drop) for d in together]
    assert facts == [(d.text, d.language, d.language_score, d.drop) for d in alone]
    assert [d.raw.offset for d in together] == list(range(5))


def test_every_step_is_timed() -> None:
    used = extractor()
    used.extract([RawDocument(PROSE, "text", "", 0)])
    assert list(used.seconds) == ["url", "charset", "html", "repair", "language"]
    assert used.seconds["language"] > 0


def test_a_page_in_two_languages_is_cut_to_its_main_one_unless_it_is_to_stay_whole() -> None:
    english = (
        "The lime tree in the garden of the library flowered at the end of June again this year. Its scent "
        "fills the street, and the children of the neighbourhood read their books in its shade."
    )
    text = f"{PROSE}\n{english}"
    cut = extract(text)
    assert (cut.text, cut.language) == (PROSE, "tur_Latn")
    assert cut.languages.startswith("tur_Latn 0.7")
    assert extract(text, Extract(separate_languages=False)).text == text


def test_a_web_page_has_its_kind_and_a_text_has_none() -> None:
    page = extract(f"<body><article><h1>Ağaç</h1><p>{PROSE}</p><p>{PROSE}</p></article></body>", media="html")
    assert page.kind.name == "article"
    assert 0 < page.kind.score <= 1
    assert extract(PROSE).kind == UNKNOWN


def test_what_was_repaired_is_counted_by_rule() -> None:
    record = extract(f"{PROSE}\nBu i\u0307yi bir satır.")
    assert record.text == f"{PROSE}\nBu iyi bir satır."
    assert record.repaired == {"dotted-i": 1}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=300) | st.binary(max_size=300), st.sampled_from(["html", "text"]))
def test_nothing_makes_extraction_raise_and_what_comes_out_can_be_written(
    content: str | bytes, media: str
) -> None:
    extract(content, media=media).text.encode()
