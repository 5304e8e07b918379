"""What is in a sentence of the main text comes out, whatever characters and inline elements it has."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.text.html import extract

PROSE = "Bu cümle, sayfanın asıl metnini anlatan uzunca bir paragrafın parçasıdır ve noktayla biter. " * 3
INLINE = [
    *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins"),
    *("kbd", "label", "mark", "meter", "nobr", "output", "q", "ruby", "s", "samp", "small", "span", "strike"),
    *("strong", "sub", "sup", "time", "u", "var", "button", "my-element"),
]
CLASSES = ["", "email", "jp", "share", "paid", "caption", "byline", "account", "tag-newsletter", "like"]


def page(paragraph: str, article: str = "") -> str:
    return (
        f"<html><body><main><article {article}><h1>Başlık burada</h1><p>{PROSE}</p><p>{paragraph}</p>"
        f"<p>{PROSE}</p></article></main></body></html>"
    )


def middle(paragraph: str) -> str:
    """Return what came out of a paragraph."""
    return extract(page(paragraph)).split("\n")[2]


@pytest.mark.parametrize(
    ("paragraph", "text"),
    [
        ("<b>Liman</b> <b>3</b> – <b>1</b> <b>Kale</b>", "Liman 3 – 1 Kale"),
        ("(<a href=/a>1914</a>–<a href=/b>1918</a>) yılları", "(1914–1918) yılları"),
        ("Türkiye<span>’</span>nin <span>₺</span>150", "Türkiye’nin ₺150"),
        ("150<!-- -->₺ <i>kaldı</i> &ndash; <i>bitti</i>&#8217;<i>y</i>", "150₺ kaldı – bitti’y"),
        ("x<b>≤</b>y, <b>中</b>, <i>ა</i> &nbsp;<i>ไ</i>", "x≤y, 中, ა ไ"),
        ("sonra <b>bitti</b>.\xa0", "sonra bitti."),
        ("sonra <b>bitti</b>.&nbsp;<i>Ve</i>&nbsp;:", "sonra bitti. Ve :"),
        ("bir <b>iş</b>, <i>iç</i> ve <i>e&#351;</i>", "bir iş, iç ve eş"),
        ("bent <b>¶</b> ve <b>•</b> imi", "bent ¶ ve • imi"),
        ("ünlem <span aria-hidden=true>—</span> konuldu", "ünlem — konuldu"),
        ("Cumhuriyet <time datetime=1923-10-29>29 Ekim 1923</time> günü", "Cumhuriyet 29 Ekim 1923 günü"),
        ("Sonra <button>Tamam</button> düğmesine basın", "Sonra Tamam düğmesine basın"),
    ],
)
def test_a_lone_character_and_an_element_of_a_sentence_stay_with_their_blanks(
    paragraph: str, text: str
) -> None:
    assert middle(paragraph).replace("\xa0", "") == text


VISIBLE = st.characters(exclude_categories=("Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"))
PIECES = st.lists(
    st.tuples(
        st.sampled_from(["", *INLINE]),
        st.sampled_from(CLASSES),
        st.text(VISIBLE, min_size=1, max_size=3),
        st.sampled_from(["", " ", "\n ", "\xa0"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(PIECES)
@example([("", "", "–", " "), ("span", "email", "中", ""), ("time", "", "a", ""), ("label", "", "₺", "")])
def test_every_visible_character_of_a_paragraph_comes_out(pieces: list[tuple[str, str, str, str]]) -> None:
    paragraph = "Önceki söz "
    for name, kind, text, blank in pieces:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        if name == "a" and text == "¶":
            name = "b"
        paragraph += f'{blank}<{name} class="{kind}">{escaped}</{name}>{blank}' if name else escaped + blank
    wanted = "Öncekisöz" + "".join(text for _, _, text, _ in pieces) + "sonrakisöz"
    assert "".join(middle(f"{paragraph} sonraki söz").split()) == wanted


def test_every_character_of_unicode_comes_out_alone_between_tags() -> None:
    chars = [chr(code) for code in (*range(0x21, 0xD800), *range(0xF900, 0x10000), *range(0x1F300, 0x1F700))]
    visible = [char for char in chars if unicodedata.category(char)[0] not in "CZ" and char not in "<&"]
    for start in range(0, len(visible), 1000):
        some = visible[start : start + 1000]
        text = middle("Söz " + "".join(f"<b>{char}</b>" for char in some) + " biter")
        assert text == f"Söz {''.join(some)} biter"


@pytest.mark.parametrize("block", ["li", "td", "dd", "blockquote", "h2"])
def test_sentences_stand_in_other_blocks_too(block: str) -> None:
    text = "Maç <time>salı</time> günü <a class=twitter>burada</a> oynanır"
    inner = f"<{block}>{text}</{block}>"
    more = "".join(f"<p>{n}. {PROSE}</p>" for n in range(3))
    wrapped = {"li": f"<ul>{inner}</ul>", "td": f"<table><tr>{inner}</tr></table>", "dd": f"<dl>{inner}</dl>"}
    out = extract(f"<main><article><h1>Maç günü</h1>{more}{wrapped.get(block, inner)}{more}</article></main>")
    assert "Maç salı günü burada oynanır" in out


def test_icons_links_to_headings_and_hidden_text_go() -> None:
    page = (
        f"<main><h1>Başlık<a href='#x'>¶</a></h1><p>{PROSE}<i>\ue000</i></p>"
        f"<p>Bunlar <i class=hidden>x</i> da vardır, yazının içinde dururlar.</p><p>{PROSE}</p>"
    )
    text = ["Başlık", PROSE.strip(), "Bunlar da vardır, yazının içinde dururlar.", PROSE.strip()]
    assert extract(page).split("\n") == text


def test_a_label_stays() -> None:
    question = "Balık ne zaman satılır?"
    assert question in extract(page(f"<label for=s1>{question}</label>"))


ASIDE = "".join(
    f"<p>Yan sütundaki {n}. tanıtım cümlesi, yazıyla ilgisiz ama uzuncadır.</p>" for n in range(4)
)


@pytest.mark.parametrize(
    "name",
    [
        *("tag-newsletter", "category-caption", "has-byline", "photo-caption", "tag-account", "tag-comments"),
        *("newsletter", "byline", "breadcrumb", "caption", "social", "paid", "jp", "login", "category-login"),
    ],
)
@pytest.mark.parametrize("element", ["body", "main", "article", "div"])
def test_a_class_never_costs_a_page_the_element_that_holds_most_of_its_text(element: str, name: str) -> None:
    inner = "".join(f"<p>{n}. {PROSE}</p>" for n in range(3))
    whole = f"<div id=page><{element} class='post {name}'>{inner}</{element}><div>{ASIDE}</div></div>"
    if element == "body":
        whole = f"<body class='post {name}'><article>{inner}</article><div>{ASIDE}</div></body>"
    assert extract(whole).count("asıl metnini") == 9


def test_a_gallery_keeps_its_captions() -> None:
    captions = "".join(f"<div class='photo-caption'><p>{n}. {PROSE}</p></div>" for n in range(5))
    assert extract(f"<article><h1>Galeri</h1>{captions}</article><div>{ASIDE}</div>").count("asıl") == 15


def test_of_an_article_that_stands_twice_one_is_taken() -> None:
    sentences = [f"{n}. cümle, yazının metnini anlatan uzunca bir paragraftır ve biter." for n in range(6)]
    article = "<h1>Başlık</h1>" + "".join(f"<p>{sentence}</p>" for sentence in sentences)
    wanted = ["Başlık", *sentences]
    twice = f"<div class=mobile>{article}</div><div class=desktop>{article}<p>Yalnız burada.</p></div>"
    assert extract(twice).split("\n") == [*wanted, "Yalnız burada."]
    mixed = "".join(f"<p class=m>{sentence}</p><p class=d>{sentence}</p>" for sentence in sentences)
    assert extract(mixed).split("\n") == sentences


def test_text_that_repeats_itself_more_often_stays_for_the_filters_to_see() -> None:
    line = "Aynı cümle, yazının metnini anlatan uzunca bir paragraftır ve biter."
    assert len(extract(f"<p>{line}</p>" * 8).split("\n")) == 8
    assert len(extract(f"<p>{line}</p><p>Öteki {line}</p>" * 5).split("\n")) == 10


@pytest.mark.parametrize("shell", ["<article>{}</article>", "{}"])
@pytest.mark.parametrize("words", ["", "uzun uzun, herkesin anlayacağı gibi "])
def test_a_list_of_sentences_with_links_is_no_menu(shell: str, words: str) -> None:
    items = [f"{n}. madde bir <a href=/{n}>bağlantı</a> ile {words}sürer." for n in ("Bir", "Son")]
    more = "".join(f"<p>{n}. {PROSE}</p>" for n in range(3))
    page = f"<h1>Başlık</h1>{more}<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>{more}"
    text = extract(f"<html><body>{shell.format(page)}</body></html>")
    for item in items:
        assert f"• {re.sub('<[^>]*>', '', item)}" in text


@pytest.mark.parametrize("heading", ["h2", "h3", "dt"])
def test_a_heading_that_unfolds_its_answer_stays(heading: str) -> None:
    question = f"<{heading}><button class=btn>Ne zaman gelir?</button></{heading}>"
    text = extract(f"<body><article><p>{PROSE}</p>{question}<div>{PROSE}</div></article></body>")
    assert "Ne zaman gelir?" in text


@pytest.mark.parametrize("name", ["twitter-tweet", "instagram-media", "share-quote", "social"])
def test_a_quote_stays_whatever_its_class(name: str) -> None:
    quote = f'<blockquote class="{name}"><p>Bugün hava çok kirli.</p>— Vali (@vali)</blockquote>'
    text = extract(f"<body><article><p>{PROSE}</p>{quote}<p>{PROSE}</p></article></body>")
    assert "Bugün hava çok kirli.\n— Vali (@vali)" in text
    assert "hava" not in extract(
        f"<body><article><p>{PROSE}</p>{quote.replace(name, 'hidden')}</article></body>"
    )
