"""Every link of a page is found once, with what the page says of it; no page can do harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl import links
from corpus.crawl.links import ELEMENTS, LINKS, Link, Page, query_codec, read

URL = "https://kitaplik.example/bolum/sayfa.html"


def page(html: str | bytes, **headers: str) -> Page:
    body = html if isinstance(html, bytes) else html.encode()
    return read(body, URL, {name.replace("_", "-"): value for name, value in headers.items()}, "derlem")


def urls(html: str | bytes, **headers: str) -> list[str]:
    return [link.url.removeprefix("https://kitaplik.example") for link in page(html, **headers).links]


def link(html: str, **headers: str) -> Link:
    (only,) = page(html, **headers).links
    return only


def test_links_come_in_the_order_of_the_page_and_once() -> None:
    html = '<a href="b">B</a> <a href="/a">A</a> <map><area href="../c"></map> <A HREF=/a#x>A</A>'
    assert urls(html) == ["/bolum/b", "/a", "/c"]


def test_a_link_to_the_page_itself_is_none() -> None:
    assert urls('<a href="#top">up</a><a href="">here</a><a href="sayfa.html?utm_source=x">so</a>') == []


@pytest.mark.parametrize("href", ["javascript:void(0)", "mailto:a@b.example", "http://a b/", "\ud800"])
def test_what_is_no_address_is_no_link(href: str) -> None:
    assert page(f'<a href="{href}">x</a>'.encode("utf-8", "replace")).links == []


def test_the_first_base_holds_for_all_links_before_and_after() -> None:
    html = '<a href="a">A</a><base target=_top><base href="/kok/"><base href="/other/"><a href="b">B</a>'
    found = page(html)
    assert [one.url for one in found.links] == [
        "https://kitaplik.example/kok/a",
        "https://kitaplik.example/kok/b",
    ]
    assert found.base == "https://kitaplik.example/kok/"


def test_a_base_that_is_no_address_is_none() -> None:
    assert page('<base href="javascript:1"><a href="a">A</a>').base == URL


@pytest.mark.parametrize(
    ("rel", "nofollow"),
    [
        ("nofollow", True),
        ("NoFollow noopener", True),
        ("ugc nofollow", True),
        ("ugc", False),
        ("sponsored", False),
        ("nofollowing", False),
        ("", False),
    ],
)
def test_only_nofollow_keeps_from_following(rel: str, nofollow: bool) -> None:
    assert link(f'<a href="/a" rel="{rel}">A</a>') == Link("https://kitaplik.example/a", "link", nofollow, "")


@pytest.mark.parametrize("order", [1, -1])
def test_a_link_may_be_followed_if_one_of_its_kind_may(order: int) -> None:
    html = "".join(['<a href="/a" rel=nofollow>A</a>', '<a href="/a">A</a>'][::order])
    assert not link(html).nofollow
    assert link('<a href="/a" rel=nofollow>A</a>' * 2).nofollow


def test_a_page_names_its_canonical_address_and_its_other_languages() -> None:
    html = """<link rel="canonical" href="/asil"><link rel=alternate hreflang="en-GB" href="/en/">
    <link rel="alternate" type="application/rss+xml" href="/feed"><link rel=stylesheet href="/x.css">
    <link rel="next" href="?sayfa=2">"""
    assert [(one.url[24:], one.via, one.hint) for one in page(html).links] == [
        ("/asil", "canonical", ""),
        ("/en/", "hreflang", "en-GB"),
        ("/bolum/sayfa.html?sayfa=2", "link", ""),
    ]


def test_a_link_may_say_in_which_language_its_target_is() -> None:
    assert link('<a href="/a" hreflang="tr">A</a>').hint == "tr"
    assert link('<a href="/a" lang="de">A</a>').hint == "de"


@pytest.mark.parametrize(
    "content",
    ["0; url=/a", "5;URL='/a'", '0;url="/a"', "0, /a", "0; /a", " 3.5 ; url = /a", "0;url=/a"],
)
def test_a_refresh_is_a_redirect(content: str) -> None:
    html = (
        f"<meta http-equiv=Refresh content='{content}'>"
        if "'" not in content
        else (f'<meta http-equiv=Refresh content="{content}">')
    )
    assert link(html) == Link("https://kitaplik.example/a", "redirect", False, "")


@pytest.mark.parametrize("content", ["5", "", "5;", "soon", "0; url="])
def test_a_refresh_of_the_same_page_is_no_link(content: str) -> None:
    assert urls(f'<meta http-equiv="refresh" content="{content}">') == []


def test_header_fields_name_links_too() -> None:
    field = (
        '</asil>; rel="canonical", <https://a.example/de>; rel=alternate; hreflang="de", </x>; rel=preload'
    )
    assert [(one.url, one.via, one.hint) for one in page("", link=field).links] == [
        ("https://kitaplik.example/asil", "canonical", ""),
        ("https://a.example/de", "hreflang", "de"),
    ]


def test_frames_and_what_is_for_browsers_without_scripts_count() -> None:
    html = "<frameset><frame src=/sol><frame src=/sag></frameset><noscript><a href=/n>N</a></noscript>"
    assert urls(html) == ["/sol", "/sag", "/n"]


def test_what_only_looks_like_a_link_is_none() -> None:
    html = """<!-- <a href=/1> --><script>"<a href=/2>"</script><style><a href=/3></style>
    <textarea><a href=/4></textarea><title><a href=/5></title><p title="<a href=/6>">&lt;a href=/7></p>
    <a name=x>8</a><xmp><a href=/9></xmp>"""
    assert urls(html) == []


def test_attributes_are_read_as_browsers_do() -> None:
    assert urls('<a href="/a?b=1&amp;c=2">x') == ["/a?b=1&c=2"]
    assert urls('<a href="/a?b=1&copy=2&lang=tr">x') == ["/a?b=1&copy=2&lang=tr"]
    assert urls("<a class='x'/href='\n/a\t'rel=y>x") == ["/a"]
    assert urls("<a href=/a href=/b>x") == ["/a"]
    assert urls("<a href=&#x2F;a>x") == ["/a"]


def test_the_charset_of_the_page_is_that_of_its_letters() -> None:
    html = '<meta charset="iso-8859-9"><p>Şişli\'deki dağ yolu ışıl ışıl</p><a href="/şişli?q=ağaç">Şişli</a>'
    encoded = ["/%C5%9Fi%C5%9Fli?q=a%F0a%E7"]
    assert urls(html.encode("cp1254")) == encoded
    assert urls(html.encode("cp1254"), content_type="text/html; charset=windows-1254") == encoded
    assert urls(html.replace("iso-8859-9", "utf-8")) == ["/%C5%9Fi%C5%9Fli?q=a%C4%9Fa%C3%A7"]
    assert urls('<a href="/ş?q=ş">'.encode("utf-16")) == ["/%C5%9F?q=%C5%9F"]


@pytest.mark.parametrize(
    ("label", "letter", "sent"),
    [
        *(("windows-874", "ก", "%A1"), ("tis-620", "ก", "%A1"), ("x-mac-cyrillic", "ж", "%E6")),
        *(("iso-8859-8-i", "א", "%E0"), ("koi8-u", "ж", "%D6"), ("ibm866", "ж", "%A6")),
        *(("gb2312", "中", "%D6%D0"), ("gbk", "中", "%D6%D0"), ("gb18030", "中", "%D6%D0")),
        *(("macintosh", "é", "%8E"), ("big5", "中", "%A4%A4")),
        *(("shift_jis", "中", "%92%86"), ("euc-jp", "中", "%C3%E6"), ("euc-kr", "中", "%F1%E9")),
        *(("windows-1254", "ş", "%FE"), ("iso-8859-9", "ş", "%FE"), ("latin1", "é", "%E9")),
        *(("windows-1254", "中", "%26%2320013%3B"), ("gbk", "ț", "%26%23539%3B")),
        *(("utf-8", "ж", "%D0%B6"), ("utf-16", "ж", "%D0%B6"), ("none-such", "ж", "%D0%B6")),
    ],
)
def test_a_query_is_sent_in_the_encoding_of_its_page(label: str, letter: str, sent: str) -> None:
    html = f'<meta charset="{label}"><a href="/?q=&#{ord(letter)};">x</a>'
    assert urls(html.encode(), content_type="text/html") == [f"/?q={sent}"]


def test_every_encoding_of_the_web_has_a_codec_for_queries() -> None:
    names = """ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8
        iso-8859-8-i iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh
        windows-874 windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 windows-1255 windows-1256
        windows-1257 windows-1258 x-mac-cyrillic gbk gb18030 big5 euc-jp iso-2022-jp shift_jis euc-kr"""
    assert [name for name in names.split() if query_codec(name) == "utf-8"] == []
    # of which browsers, too, send queries in UTF-8 (or cannot)
    wide = ("utf-8", "utf-16le", "utf-16be", "utf-32-le", "replacement")
    assert {query_codec(name) for name in wide} == {"utf-8"}


# ------------------------------------------------------------------------------------------------ opt-outs


@pytest.mark.parametrize(
    ("html", "meant"),
    [
        ('<meta name="robots" content="noindex, noai">', {"noindex", "noai"}),
        ("<META NAME=ROBOTS CONTENT=NONE>", {"noindex", "nofollow"}),
        ('<meta name="derlem" content="noai">', {"noai"}),
        ('<meta name="Derlem" content="noai"><meta name=robots content=nofollow>', {"noai", "nofollow"}),
        ('<meta name="googlebot" content="noindex">', set()),
        ('<body><meta name="robots" content="noai">', {"noai"}),
        ('<!-- <meta name="robots" content="noai"> -->', set()),
        ('<meta name="description" content="noai">', set()),
    ],
)
def test_a_page_says_what_it_does_not_want(html: str, meant: set[str]) -> None:
    assert page(html).directives == meant


def test_case_does_not_count_in_our_name_either() -> None:
    assert read(b"<meta name=derlem content=noai>", URL, {}, "Derlem").directives == {"noai"}


@pytest.mark.parametrize(
    ("html", "reserved"),
    [
        ('<meta name="tdm-reservation" content="1">', True),
        ('<meta name="tdm-reservation" content="0">', False),
        ('<meta name="tdm-reservation" content="x">', None),
        ('<meta name="tdm-reservation" content="1"><meta name="tdm-reservation" content="0">', True),
        ('<meta name="tdm-policy" content="/p.json">', None),
    ],
)
def test_a_page_reserves_mining(html: str, reserved: bool | None) -> None:
    assert page(html).tdm is reserved


# ------------------------------------------------------------------------------------------------ hostile


def test_so_many_links_are_taken_and_no_more() -> None:
    assert len(page("".join(f"<a href=/{i}>" for i in range(LINKS + 1))).links) == LINKS


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 300_000 + "<a href=/late>",
        "<select>" + "<option>" * 200_000,
        "<a href=/a>" * 300_000,
        "<a " + " ".join(f"a{i}=1" for i in range(50_000)) + " href=/a>",
        "<table><tr><td>" * 50_000,
        "<b><p>" * 30_000 + "</b></p>" * 30_000,
        "<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '&a;&a;&a;'>]><a href='&c;'>",
        "<" * 500_000,
        "<!--" * 100_000,
        "&" * 500_000,
        "\0" * 10_000,
        "<meta http-equiv=refresh content='" + " " * 1_000_000 + "'>",
        "<meta http-equiv=refresh content='" + "0;url=" * 200_000 + "'>",
    ],
)
def test_a_hostile_page_ends_soon(html: str) -> None:
    assert len(page(html).links) <= 1


@pytest.mark.parametrize(
    "field", ["<" * 60_000, "<>;rel=" * 9_000, "<a>" + " rel" * 15_000, '<a>;rel="' * 7_000]
)
def test_a_hostile_field_ends_soon(field: str) -> None:
    assert page("", link=field).links == []


def test_a_link_behind_ten_megabytes_of_text_counts() -> None:
    assert urls("x" * 11_000_000 + "<a href=/late>") == ["/late"]


def test_the_links_before_the_limit_of_elements_count() -> None:
    assert urls("<a href=/early>" + "<i>" * (2 * ELEMENTS) + "<a href=/late>") == ["/early"]


@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    for wrapped in (body, b"<a href='" + body, b"<meta http-equiv=refresh content='0;" + body + b"'>"):
        for one in page(wrapped, link=body.decode("latin-1")).links:
            assert one.url.startswith("http")


@given(st.lists(st.text("<>/='\" abhref!-&;#x\0\n", max_size=12), max_size=12))
def test_any_markup_is_read(parts: list[str]) -> None:
    page("".join(parts))


def test_a_page_in_pieces_reads_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    html = '<p>ışık</p><a href="/ş?b=1&amp;c">A</a><!-- x --><a href="/b">B</a>'
    whole = page(html)
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(links, "_PIECE", size)
        assert page(html) == whole
