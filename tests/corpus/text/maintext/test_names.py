"""Names of parts of pages cost those parts, in eight languages, and never the article that bears them."""

from __future__ import annotations

import pytest

from corpus.text.html import extract
from corpus.text.maintext.words import BY_LANGUAGE

SENTENCES = [
    "Kütüphanenin bahçesindeki ıhlamur ağacı bu yıl da haziran sonunda çiçek açtı ve kokusu sokağa yayıldı.",
    "Mahallenin çocukları ağacın gölgesinde kitap okuyor, yaşlılar bankta oturup eski günleri anlatıyorlar.",
    "Görevliler dökülen çiçekleri topladı; onlardan kış için çay yapılacak, herkese dağıtılacak.",
    "Ağacın yaşını kimse tam olarak bilmiyor ama gövdesini iki kişi ancak kucaklayabiliyor.",
    "Belediye onu iki yıl önce koruma altına aldı, bu karar için bir dilekçe yazılmıştı.",
]
TEXT = "".join(f"<p>{a} {b}</p>" for a in SENTENCES[:2] for b in SENTENCES)
PART = "<p>Okurumuz bu konuda şöyle yazdı, biz de aldık.</p><p>Haftanın haberleri burada, hemen bakın.</p>"
MENU = "<nav><a href=/>Ana sayfa</a> <a href=/a>Arşiv</a></nav>"


def page(inside: str = "", after: str = "", names: str = "") -> str:
    return (
        f"<html><head><title>Ihlamur</title></head><body>{MENU}<main><article {names}><h1>Ihlamur ağacı</h1>"
        f"{TEXT}{inside}{TEXT.replace('ağac', 'çınar')}</article>{after}</main>"
        "<footer>2026</footer></body></html>"
    )


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_parts_with_such_names_go_in_the_article_and_after_it(language: str) -> None:
    kept = {}
    for name in BY_LANGUAGE[language]["furniture"].split():
        part = f'<div class="{name}">{PART}</div>'
        kept[name] = extract(page(inside=part)) + extract(page(after=part))
    assert [name for name, text in kept.items() if "Okurumuz" in text or "Haftanın" in text] == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "url-breadcrumb",
            "has-newsletter",
            "is-caption-right",
            "byline-on",
            "live-match-comment",
            "social-policy",
        ),
        *(
            "related-to-law",
            "yorumlar",
            "reklam-alani",
            "kvkk",
            "newsletter",
            "breadcrumb",
            "caption",
            "sidebar",
        ),
    ],
)
@pytest.mark.parametrize("attribute", ["class", "id"])
def test_a_name_never_costs_the_article(name: str, attribute: str) -> None:
    text = extract(page(names=f'{attribute}="{name}"'))
    assert all(text.count(sentence) >= 2 for sentence in SENTENCES[1:])


def test_a_body_of_any_name_keeps_its_text() -> None:
    html = page().replace("<body>", '<body class="sidebar newsletter comments">')
    assert extract(html).count(SENTENCES[1]) >= 2
