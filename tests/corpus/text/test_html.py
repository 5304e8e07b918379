"""Pages become their main text, and a page that cannot be read harms no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpus.text import html as module
from corpus.text.html import ExtractionError, Extractor, extract

PROSE = "Bu cümle, sayfanın asıl metnini anlatan uzunca bir paragrafın parçasıdır ve noktayla biter. "
PARAGRAPHS = "".join(f"<p>{n}. {PROSE}{PROSE}</p>" for n in range(3))
ITEM = "madde, burada anlatılan işin bir adımını açıklar ve sonrakine götürür."
PAGE = f"""<!DOCTYPE html><html><head><title>Başlık</title><style>p {{color: red}}</style></head><body>
<nav><ul><li><a href="/">Ana sayfa</a></li><li><a href="/iletisim">İletişim</a></li></ul></nav>
<div id="cookie-banner">Bu site çerez kullanır. <button>Kabul et</button></div>
<main><article><h1>Asıl   başlık</h1>
<p>{PROSE * 3}</p><p>İkinci <a href="http://example.com/x">bağlantılı</a> paragraf.
<img alt="resim adı" src="x"></p>
<ul><li>Birinci {ITEM}</li><li></li><li>İkinci {ITEM}</li></ul></article>
<div id="comments" class="comments"><p>Yorum: çok güzel olmuş, elinize sağlık arkadaşlar.</p></div></main>
<footer>Tüm hakları saklıdır.</footer><script>var gizli = 1;</script></body></html>"""
BOTH: tuple[Extractor, Extractor] = ("derlem", "trafilatura")


@pytest.mark.parametrize("extractor", BOTH)
def test_the_article_stays_and_the_furniture_goes(extractor: Extractor) -> None:
    text = extract(PAGE, extractor, 30)
    assert PROSE.strip() in text
    assert "İkinci bağlantılı paragraf." in text
    assert f"Birinci {ITEM}" in text
    for gone in (
        "Ana sayfa",
        "çerez",
        "Yorum",
        "hakları saklı",
        "gizli",
        "example.com",
        "resim adı",
        "color",
    ):
        assert gone not in text


def test_one_block_is_one_line_without_debris() -> None:
    assert extract(PAGE).split("\n") == [
        "Asıl başlık",
        (PROSE * 3).strip(),
        "İkinci bağlantılı paragraf.",
        f"• Birinci {ITEM}",
        f"• İkinci {ITEM}",
    ]


def plain(inner: str) -> str:
    """Return a page of a few paragraphs with something between them."""
    return (
        "<body><ul><li><a href='/'>Ana sayfa</a></li><li><a href='/a'>Arşiv</a></li></ul><nav>Gezinti</nav>"
        f"<h1>Asıl başlık</h1>{PARAGRAPHS}{inner}{PARAGRAPHS.replace('metnini', 'yazısını')}"
        "<footer>Tüm hakları saklıdır.</footer>"
    )


def between(inner: str) -> list[str]:
    """Return what came out between the paragraphs."""
    lines = extract(plain(inner)).split("\n")
    assert lines[:4] == ["Asıl başlık", *[(f"{n}. {PROSE}{PROSE}").strip() for n in range(3)]]
    assert len(lines) >= 7
    return lines[4:-3]


def test_lists_of_plain_pages_stay_and_menus_beside_them_go() -> None:
    items = "<ul><li>Birinci madde buradadır</li><li>İkinci madde buradadır</li></ul>"
    assert between(items) == ["• Birinci madde buradadır", "• İkinci madde buradadır"]


def test_table_cells_are_set_apart() -> None:
    cells = (("Ankara", "5.803.482"), ("Van", "1.127.612"))
    rows = "".join(f"<tr><td>{a}</td><td>{b}</td></tr>" for a, b in cells)
    assert between(f"<table>{rows}</table>") == ["Ankara | 5.803.482", "Van | 1.127.612"]


@pytest.mark.parametrize("name", ["figure-caption", "byline author"])
def test_captions_and_bylines_go(name: str) -> None:
    assert between(f'<div class="{name}">Foto: Ali Veli</div>') == []


def test_items_and_separators_without_text_go() -> None:
    assert between("<p>|</p><p>4.</p>") == []


def test_spaces_are_one_where_no_code_is() -> None:
    assert extract("<p>bir\u2003\u2003iki</p>") == "bir iki"


def test_code_keeps_its_indentation() -> None:
    code = "def f(x):\n    if x:\n        return 1"
    assert between(f"<pre>{code}</pre>") == code.split("\n")


def test_a_page_of_one_box_has_its_text() -> None:
    page = (
        f'<body><div class="sidebar comments">{f"<p>{PROSE}</p>" * 8}<a href="/">Ana sayfa</a></div></body>'
    )
    assert extract(page).split("\n") == [PROSE.strip()] * 8


def test_a_page_of_headings_alone_has_no_text() -> None:
    assert (
        extract("<body><nav><a href='/'>Ana sayfa</a></nav><article><h1>Bilgi sayfaları</h1></article>") == ""
    )


def test_a_consent_banner_is_not_the_text_of_a_page_that_has_none() -> None:
    banner = "Size daha iyi hizmet verebilmek için çerezler kullanılır, ayrıntılar politikamızdadır. " * 4
    bar = f'<div id="Cookie-Bar"><p>{banner}</p></div>'
    assert extract(f'<body class="cookies-on">{bar}<main></main><nav>Ana sayfa</nav></body>') == ""


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>1</script>", "\0", "<p>\ud800", "<" * 50])
@pytest.mark.parametrize("extractor", BOTH)
def test_pages_without_text_raise_nothing(page: str, extractor: Extractor) -> None:
    assert len(extract(page, extractor, 30)) <= len(page)


def test_a_body_tag_without_end_is_not_looked_for_again_and_again() -> None:
    assert extract("<body " * 9_000 + " " * 3_000_000) == ""


def test_trafilatura_stops_at_the_time_limit_and_the_next_page_is_read() -> None:
    extract("<p>warm", "trafilatura", 30)
    with pytest.raises(ExtractionError) as caught:
        extract(f"<article>{f'<p>{PROSE}</p>' * 20_000}</article>", "trafilatura", 0.05)
    assert caught.value.cause == "timeout"
    assert PROSE.strip() in extract(PAGE, "trafilatura", 30)


@pytest.mark.parametrize("nested", ["<div>", '<div class="caption">', "<section><br></x>", "<a><b><i><u>"])
def test_a_page_of_endless_nesting_is_read(nested: str) -> None:
    assert extract(f"<main><p>{PROSE * 3}</p></main>{nested * 60_000}").startswith(PROSE)


def test_a_folder_named_corpus_where_the_user_stands_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    module._child.stop()
    assert PROSE.strip() in extract(PAGE, "trafilatura", 30)


def test_trafilatura_forgets_earlier_pages() -> None:
    assert extract(PAGE, "trafilatura", 30) == extract(PAGE, "trafilatura", 30) != ""
