"""Lines at their places become paragraphs in reading order, without what stands on every page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text.pages import Line, Page, text, without_furniture

PROSE = "Bahçede ekilen domatesler bu yıl erken olgunlaştı ve komşular sepetlerini doldurup"


def line(words: str, left: float, base: float, right: float = 500, size: float = 12) -> Line:
    return Line(words, left, right, base, size)


def page(*lines: str, head: str = "", foot: str = "", **places: float) -> Page:
    """Return a page of full lines from the top, with a head and a foot in its margins."""
    body = [line(words, 60, 700 - 14 * n, **places) for n, words in enumerate(lines)]
    ends = [line(words, 60, base) for words, base in ((head, 800), (foot, 30)) if words]
    return Page((*ends, *body), 842)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("evlerin bah-", "çesi geniş", "evlerin bahçesi geniş"),
        ("evlerin bah\ufffe", "çesi geniş", "evlerin bahçesi geniş"),
        ("evlerin bah\u00ad", "çesi geniş", "evlerin bahçesi geniş"),
        ("kısa bir e-", "posta geldi", "kısa bir e-posta geldi"),
        ("eski AB-", "Türkiye sözü", "eski AB-Türkiye sözü"),
        ("yeni TBMM-", "nin sözü", "yeni TBMM-nin sözü"),
        ("salgın COVID-", "19 yılı", "salgın COVID-19 yılı"),
        ("eylem kökü gel-", "mek eki ve gel-mek", "eylem kökü gel-mek eki ve gel-mek"),
        ("çoğul eki -", "lar ile", "çoğul eki - lar ile"),
    ],
)
def test_a_hyphen_at_a_line_end_goes_where_it_divides_a_word(first: str, second: str, joined: str) -> None:
    assert text([page(first, second)]) == joined


def test_lines_of_a_paragraph_are_joined_and_others_are_not() -> None:
    lines = (
        line("Başlık", 60, 720, right=120, size=16),
        line(f"{PROSE} eve", 60, 690),
        line("götürdü.", 60, 676, right=110),
        line(f"{PROSE} pazara", 60, 662),
        line("• Bir madde", 60, 648),
        line("• İkinci madde", 60, 634),
        line(f"{PROSE} uzun", 60, 606),
    )
    assert text([Page(lines, 842)]).split("\n") == [
        "Başlık",
        f"{PROSE} eve götürdü.",
        f"{PROSE} pazara",
        "• Bir madde",
        "• İkinci madde",
        f"{PROSE} uzun",
    ]


def test_a_paragraph_goes_on_over_the_end_of_a_page() -> None:
    assert (
        text([page("Su testisi su", foot="1"), page("yolunda kırılır.", foot="2")])
        == "Su testisi su yolunda kırılır."
    )
    assert text([page("Su testisi kırılır."), page("Yol uzundur.")]).count("\n") == 1


def test_heads_feet_and_page_numbers_go_by_their_places() -> None:
    """Heads of left and right pages differ, numbers count up; the same words elsewhere on a page stay."""
    pages = [
        page(f"{n}. sayfanın metni", "Köy İşleri", head=("Köy İşleri", "Bölüm 1")[n % 2], foot=f"- {n} -")
        for n in range(1, 6)
    ]
    found = without_furniture(pages)
    assert [[each.text for each in lines] for lines in found] == [
        [f"{n}. sayfanın metni", "Köy İşleri"] for n in range(1, 6)
    ]


def test_a_single_page_keeps_what_may_be_its_title() -> None:
    assert text([page("Metin burada.", head="Köy İşleri", foot="7")]) == "Köy İşleri\nMetin burada."


def columns(wide: bool) -> Page:
    """Return a page in two columns below a title, as the file has them: across, or one after the other."""
    rows = []
    for n in range(8):
        left, right = (
            line(f"sol {n} {PROSE[:40]}", 60, 600 - 14 * n, 280),
            line(f"sağ {n} {PROSE[:40]}", 310, 600 - 14 * n, 530),
        )
        whole = f"{left.text} {right.text}"
        rows += [Line(whole, 60, 530, left.base, 12, (len(left.text), 280, 310))] if wide else [left, right]
    ordered = rows if wide else sorted(rows, key=lambda each: each.left)
    return Page((line("İki sütun üstünde duran uzun başlık", 60, 640, 530), *ordered), 842)


@pytest.mark.parametrize("wide", [False, True])
def test_of_two_columns_the_left_one_comes_first(wide: bool) -> None:
    words = text([columns(wide)])
    assert [words.index(f"{side} {n}") for side in ("sol", "sağ") for n in range(8)] == sorted(
        words.index(f"{side} {n}") for side in ("sol", "sağ") for n in range(8)
    )
    assert words.startswith("İki sütun")


def test_a_table_is_not_taken_for_columns() -> None:
    rows = [
        Line(f"{n}. kalem {n * 10}", 60, 400, 600 - 14 * n, 12, (len(f"{n}. kalem"), 110, 390))
        for n in range(9)
    ]
    assert text([Page(tuple(rows), 842)]).split("\n") == [f"{n}. kalem {n * 10}" for n in range(9)]


@given(st.lists(st.lists(st.text("abcğı -•.1\ufffe", max_size=12), max_size=6), max_size=4))
def test_no_letter_of_the_body_is_lost(pages: list[list[str]]) -> None:
    """What is printed once, away from the margins, stays, letter by letter."""
    placed = [
        Page(tuple(line(words, 60, 600 - 14 * n) for n, words in enumerate(each)), 842) for each in pages
    ]
    written = "".join(words for each in pages for words in each)
    assert [c for c in text(placed) if c.isalpha()] == [c for c in written if c.isalpha()]
