"""A text in several languages is cut to its main one, unless the other is a quote, a name or code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import parts

TURKISH = [
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı.",
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar.",
    "Görevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak ve komşulara dağıtılacakmış.",
    "Ağacın yaşını kimse tam olarak bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor, öyle kalın.",
    "Belediye onu iki yıl önce koruma altına aldı. Bu karar için bir dilekçe yazılmış ve kabul edilmişti.",
]
ENGLISH = [
    "The lime tree in the garden of the library flowered at the end of June again this year, as always.",
    "The children of the neighbourhood read their books in its shade while the old talk about the past.",
    "The caretakers gathered the fallen flowers, from which they are going to make tea for the winter.",
]


@pytest.mark.parametrize(
    "lines",
    [TURKISH + ENGLISH, ENGLISH + TURKISH, [TURKISH[0], *ENGLISH, *TURKISH[1:]]],
    ids=["after", "before", "in between"],
)
def test_the_paragraphs_in_the_main_language_are_kept_and_the_shares_stored(lines: list[str]) -> None:
    found = parts.separate("\n".join(lines))
    assert found.text == "\n".join(line for line in lines if line in TURKISH)
    assert [code for code, _ in found.shares] == ["tur_Latn", "eng_Latn"]
    assert sum(share for _, share in found.shares) == pytest.approx(1)
    assert found.separable


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (["eng_Latn"], ENGLISH),
        (["deu_Latn", "eng_Latn"], ENGLISH),
        (["eng_Latn", "tur_Latn"], TURKISH),
        (["deu_Latn"], TURKISH),
    ],
    ids=["wanted", "the one that is there", "the larger one", "the main one"],
)
def test_the_largest_part_in_a_wanted_language_is_kept(wanted: list[str], kept: list[str]) -> None:
    found = parts.separate("\n".join(TURKISH + ENGLISH), wanted=wanted)
    assert found.text == "\n".join(kept)
    assert [code for code, _ in found.shares] == ["tur_Latn", "eng_Latn"]
    assert found.large == ("tur_Latn", "eng_Latn")


@pytest.mark.parametrize("wanted", [["tur_Latn"], ["eng_Latn"], ["deu_Latn"], [], ["eng_Latn", "tur_Latn"]])
@pytest.mark.parametrize("other", [["tur_Latn"], ["eng_Latn"], ["azj_Latn", "eng_Latn"], []])
def test_a_note_tells_whether_other_languages_cut_the_text_otherwise(
    wanted: list[str], other: list[str]
) -> None:
    text = "\n".join(TURKISH + ENGLISH)
    found = parts.separate(text, wanted=wanted)
    note = parts.noted(found.large, wanted)
    assert parts.is_same(note, other) == (parts.separate(text, wanted=other) == found)


def test_less_than_a_tenth_of_a_text_is_no_part_though_it_is_wanted() -> None:
    text = "\n".join([*TURKISH, *TURKISH, *TURKISH, ENGLISH[0]])
    assert parts.separate(text, wanted=["eng_Latn"]) == parts.Parts(text)


def test_a_single_line_in_two_languages_is_cut_between_sentences() -> None:
    found = parts.separate(" ".join(TURKISH + ENGLISH))
    assert found.text == " ".join(TURKISH)


@pytest.mark.parametrize(
    "foreign",
    [
        "To be, or not to be, that is the question.",
        "Bill & Melinda Gates Foundation, New York Times, The Guardian",
        'def read_the_file(name): return open(name).read().split("\\n")[0:10]  # and the first lines of it',
    ],
    ids=["quote", "names", "code"],
)
def test_quotes_names_and_code_do_not_count(foreign: str) -> None:
    text = "\n".join([*TURKISH[:3], foreign, *TURKISH[3:]])
    assert parts.separate(text) == parts.Parts(text)


def test_what_cannot_be_told_apart_stays_whole_and_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SURE", 1.01)
    text = "\n".join(TURKISH + ENGLISH)
    found = parts.separate(text)
    assert (found.text, found.separable, len(found.shares)) == (text, False, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*TURKISH, *ENGLISH, "", "17", "Yes", "x = 1"]), max_size=12))
def test_what_is_left_are_lines_of_the_text_in_their_order(lines: list[str]) -> None:
    left = iter(lines)
    for line in parts.separate("\n".join(lines)).text.split("\n"):
        assert line == "" or line in left
