"""Parts of pages that no name tells of, and pages that are small."""

from __future__ import annotations

import pytest

from corpus.text.html import extract
from tests.corpus.text.maintext.test_names import MENU, SENTENCES, TEXT, page

LANGUAGES = " | ".join(f'<a href="{code}">&nbsp;{code}&nbsp;</a>' for code in ("de", "en", "es", "fr", "ja"))
BANNER = (
    "<p>Size daha iyi bir deneyim sunmak için çerezler kullanıyoruz. Ayrıntılar için politikamıza bakın.</p>"
)


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        (f'<div class="privacy-consent">{BANNER}<button>Kabul</button></div>', "deneyim"),
        (f'<div id="eupopup">{BANNER}<button>Kabul</button></div>', "deneyim"),
        (f'<div class="cerez-uyari">{BANNER}<button>Kabul</button></div>', "deneyim"),
        ("<div><div>Current Time 0:00</div><div>/</div><div>Duration 3:12</div></div>", "0:00"),
        ("<p>Filed under: <a href=a>News</a>, <a href=b>City</a></p>", "Filed"),
        ("<div><b>Published:</b> 12 May 2020</div>", "Published"),
        ("<div>Güncelleme Tarihi: <time>12.05.2020</time></div>", "Tarihi"),
    ],
)
@pytest.mark.parametrize("place", ["in", "after"])
def test_such_parts_go(part: str, gone: str, place: str) -> None:
    text = extract(page(inside=part) if place == "in" else page(after=part))
    assert gone not in text
    assert all(text.count(sentence) >= 2 for sentence in SENTENCES[1:])


def test_a_line_of_links_to_languages_goes() -> None:
    line = f"<p>Mevcut Diller: {LANGUAGES}</p>"
    assert "Mevcut" not in extract(page(after=line)) + extract(page().replace("<main>", f"{line}<main>"))


def test_a_page_that_is_a_list_of_links_keeps_them() -> None:
    items = "".join(f"<li><a href=/{n}>Göl {n}</a></li>" for n in range(60))
    main = f"<main><h1>Göller</h1><p>Türkiye'deki göller:</p><ul>{items}</ul></main>"
    text = extract(f"<body>{MENU}{main}<footer>2026</footer>")
    assert text.count("Göl ") == 60


@pytest.mark.parametrize("element", ["div", "section", "main", "article", "td"])
def test_of_any_element_that_holds_most_of_the_prose_nothing_is_lost(element: str) -> None:
    inner = f"<{element} class='ilgili-haberler newsletter'>{TEXT}</{element}>"
    if element == "td":
        inner = f"<table><tr>{inner}</tr></table>"
    text = extract(f"<body>{MENU}<h1>Ihlamur ağacı</h1>{inner}<footer>2026</footer></body>")
    assert all(sentence in text for sentence in SENTENCES)


SMALL = {
    "<p>Merhaba dünya.</p>": ["Merhaba dünya."],
    "Merhaba dünya, bu bir sayfadır.": ["Merhaba dünya, bu bir sayfadır."],
    f"{MENU}<h1>Tatil</h1><p>Okullar yarın tatil edildi.</p><footer>2026</footer>": [
        "Okullar yarın tatil edildi."
    ],
    f"{MENU}<h1>Şiir</h1><p>Gece indi<br>sular sustu<br>bir kuş uçtu</p>": [
        "Gece indi",
        "sular sustu",
        "bir kuş uçtu",
    ],
    "<ul><li>elma</li><li>armut</li></ul>": ["• elma", "• armut"],
    f"{MENU}<h1>kitap</h1><p><i>isim</i> Bir araya getirilmiş kâğıt yaprakların bütünü.</p>": [
        "isim Bir araya getirilmiş kâğıt yaprakların bütünü."
    ],
    "<table><tr><td>Ankara</td><td>5,8</td></tr><tr><td>Van</td><td>1,1</td></tr></table>": [
        "Ankara | 5,8",
        "Van | 1,1",
    ],
}


@pytest.mark.parametrize("html", SMALL)
def test_small_pages_keep_their_text(html: str) -> None:
    lines = extract(html).split("\n")
    assert [line for line in lines if line not in ("Tatil", "Şiir", "kitap")] == SMALL[html]
