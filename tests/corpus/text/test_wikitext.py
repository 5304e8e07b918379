"""Wikitext to text: what a reader of the page reads, a paragraph, item or row a line."""

from __future__ import annotations

import pytest

from corpus.text.wikitext import text


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("'''Çay''' ''sıcak'' [[içecek]]tir, [[Çin|Çin'den]] gelir.", "Çay sıcak içecektir, Çin'den gelir."),
        ("Su<ref>Kaynak</ref> akar<ref name=a />.<!-- not -->", "Su akar."),
        ("{{Bilgi kutusu\n|ad = Su [[x]]\n}}\nSu akar.", "Su akar."),
        ("Su ({{lang|la|aqua}}) akar.", "Su (aqua) akar."),
        ("Su ({{IPA|suː}}, ) akar.", "Su akar."),
        ("[[Dosya:a.jpg|thumb|Resim [[su]]]][[Kategori:Su]]\nSu akar. [[de:Wasser]]", "Su akar."),
        ("== Bir ==\nmetin\n== Boş ==\n=== Boş ===\n== Kaynakça ==\n<references/>", "Bir\nmetin"),
        ("== Bir ==\n=== İki ===\nmetin", "Bir\nİki\nmetin"),
        ("* bir\n** iki\n# üç\n: dört", "• bir\n• iki\n• üç\ndört"),
        ("{|\n|+ Ad\n! a !! b\n|-\n| 1 || [[iki|2]]\n|}", "Ad\na | b\n1 | 2"),
        ("{| class=infobox\n| a\n|}\nSu", "Su"),
        ("{|\n| a || b\nSonu yok", "a | b Sonu yok"),
        (
            "Alan <math>a^2</math> olur &mdash; [http://a.example bağ] [http://b.example]",
            "Alan \\(a^2\\) olur — bağ",
        ),
        ("bir<br>iki<gallery>\na.jpg|ad\n</gallery>", "bir\niki"),
        ("__İÇİNDEKİLERYOK__Su", "Su"),
        ("<nowiki>[[a]]</nowiki>", "[[a]]"),
    ],
)
def test_what_is_seen_is_kept(wikitext: str, expected: str) -> None:
    assert text(wikitext, {"file", "category", "dosya", "kategori"}) == expected


@pytest.mark.parametrize("part", ["{{", "[[", "{|\n|", "<div>", "'''", "== a\n", "{{{", "[http://a "])
def test_a_page_of_endless_openings_is_read(part: str) -> None:
    assert "son" in text(part * 300 + "\n\nson") + "son"
