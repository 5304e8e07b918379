"""A sitemap gives the pages of its own site, whatever it is packed in and whoever wrote it."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl.urls import sitemap
from corpus.crawl.urls.sitemap import URLS, Entry, parse

SITE = "https://www.kitaplik.com.tr"
NAMES = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'


def urls(body: str | bytes, url: str = f"{SITE}/sitemap.xml", host: str = "") -> list[str]:
    data = body.encode() if isinstance(body, str) else body
    return [entry.url.removeprefix(SITE) for entry in parse(data, url, host).urls]


def urlset(*locations: str) -> str:
    entries = "".join(f"<url><loc>{location}</loc></url>" for location in locations)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {NAMES}>{entries}</urlset>'


def test_pages_come_with_their_dates() -> None:
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
    <!-- made by hand -->
    <urlset {NAMES} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
      <url><loc> {SITE}/a?b=1&amp;c=2 </loc><lastmod>2024-05-01</lastmod><priority>0.8</priority></url>
      <url><loc><![CDATA[{SITE}/şehir]]></loc>
        <image:image><image:loc>{SITE}/a.jpg</image:loc></image:image></url>
      <url><lastmod>2024-05-02</lastmod></url>
      <url><loc>{SITE}/a?b=1&amp;c=2</loc></url>
    </urlset>"""
    assert parse(body.encode(), f"{SITE}/sitemap.xml") == sitemap.Sitemap(
        [Entry(f"{SITE}/a?b=1&c=2", "2024-05-01", ""), Entry(f"{SITE}/%C5%9Fehir", "", "")], []
    )


def test_an_index_names_further_sitemaps() -> None:
    body = f"""<sitemapindex {NAMES}><sitemap><loc>{SITE}/1.xml.gz</loc><lastmod>2024</lastmod></sitemap>
    <sitemap><loc>https://sitemaps.kitaplik.com.tr/2.xml</loc></sitemap>
    <sitemap><loc>https://kotu.example/3.xml</loc></sitemap></sitemapindex>"""
    assert parse(body.encode(), f"{SITE}/sitemap.xml") == sitemap.Sitemap(
        [], [f"{SITE}/1.xml.gz", "https://sitemaps.kitaplik.com.tr/2.xml"]
    )


def test_other_languages_of_a_page_are_pages_with_a_hint() -> None:
    body = f"""<urlset {NAMES}><url><loc>{SITE}/tr/</loc>
    <xhtml:link rel="alternate" hreflang="tr" href="{SITE}/tr/"/>
    <xhtml:link rel="alternate" hreflang="de" href="{SITE}/de/"/></url>
    <url><loc>{SITE}/de/</loc></url></urlset>"""
    assert parse(body.encode(), SITE).urls == [
        Entry(f"{SITE}/tr/", "", "tr"),
        Entry(f"{SITE}/de/", "", "de"),
    ]


def test_feeds_are_sitemaps_too() -> None:
    rss = f"""<rss version="2.0"><channel><link>{SITE}/</link><item><title>&nbsp;A</title>
    <link>{SITE}/a</link><pubDate>Wed, 01 May 2024 10:00:00 GMT</pubDate><guid>{SITE}/?p=1</guid></item>
    </channel></rss>"""
    assert parse(rss.encode(), SITE).urls == [Entry(f"{SITE}/a", "Wed, 01 May 2024 10:00:00 GMT", "")]
    atom = f"""<feed xmlns="http://www.w3.org/2005/Atom"><link href="{SITE}/feed" rel="self"/><entry>
    <link href="{SITE}/a"/><link rel="edit" href="{SITE}/edit"/><updated>2024-05-01T10:00:00Z</updated>
    </entry></feed>"""
    assert parse(atom.encode(), SITE).urls == [Entry(f"{SITE}/a", "2024-05-01T10:00:00Z", "")]


def test_a_text_file_is_one_address_a_line() -> None:
    body = f"\ufeff{SITE}/a\r\n  {SITE}/şehir  \n# not this\n/nor/this\n{SITE}/b".encode()
    assert urls(body, f"{SITE}/sitemap.txt") == ["/a", "/%C5%9Fehir", "/b"]


@pytest.mark.parametrize("name", ["sitemap.xml.gz", "sitemap.xml", "sitemap.php?id=1"])
def test_gzip_is_unpacked_by_its_bytes_and_not_by_its_name(name: str) -> None:
    assert urls(gzip.compress(urlset(f"{SITE}/a").encode()), f"{SITE}/{name}") == ["/a"]
    assert urls(urlset(f"{SITE}/a"), f"{SITE}/{name}") == ["/a"]


def test_what_came_before_the_damage_counts() -> None:
    body = urlset(*(f"{SITE}/{i}-{i * i * 7919 % 10007}" for i in range(5000))).encode()
    packed = gzip.compress(body)
    assert 100 < len(urls(packed[: len(packed) // 2])) < 5000
    assert 100 < len(urls(body[: len(body) // 2])) < 5000


@pytest.mark.parametrize(
    ("encoding", "declared"), [("utf-8", "UTF-8"), ("cp1254", "windows-1254"), ("utf-16", "UTF-16")]
)
def test_xml_says_its_charset(encoding: str, declared: str) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>'
    body = f"{head}<urlset><url><loc>{SITE}/ışık?a&amp;b</loc></url></urlset>"
    assert urls(body.encode(encoding)) == ["/%C4%B1%C5%9F%C4%B1k?a&b"]


def test_slips_are_borne() -> None:
    assert urls(f"<urlset><url><loc>{SITE}/a?b=1&c=2&copy=3</loc></url></urlset>") == ["/a?b=1&c=2&copy=3"]
    assert urls("\n <urlset><url><loc>/a</loc></url>") == ["/a"]
    assert urls(f"<urlset><url><loc>{SITE}/a</url><url><loc>{SITE}/b</loc></url></urlset>")[:1] == ["/a"]


# ------------------------------------------------------------------------------------------------ whose pages


def test_only_the_own_domain_is_named() -> None:
    body = urlset("https://kotu.example/a", "https://alt.kitaplik.com.tr/b", f"{SITE}/c", "javascript:1")
    assert urls(body) == ["https://alt.kitaplik.com.tr/b", "/c"]


def test_a_sitemap_elsewhere_names_the_site_whose_robots_txt_named_it() -> None:
    body = urlset(f"{SITE}/a", "https://cdn.example/b", "https://kotu.example/c")
    assert urls(body, "https://cdn.example/s.xml") == ["https://cdn.example/b"]
    assert urls(body, "https://cdn.example/s.xml", SITE) == ["/a", "https://cdn.example/b"]


# ------------------------------------------------------------------------------------------------ hostile


def test_so_many_addresses_count_and_no_more() -> None:
    assert len(urls(urlset(*(f"/{i}" for i in range(URLS + 10))))) == URLS
    text = "\n".join(f"{SITE}/{i}" for i in range(URLS + 10))
    assert len(urls(text)) == URLS


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "BYTES", 1 << 20)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as sink:
        sink.write(f"<urlset><url><loc>{SITE}/a</loc></url>".encode())
        for _ in range(1 << 10):
            sink.write(b"<x/>" + b" " * (1 << 15))
        sink.write(f"<url><loc>{SITE}/b</loc></url>".encode())
    assert urls(packed.getvalue()) == ["/a"]


def test_entities_neither_open_files_nor_multiply(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("/secret")
    body = f"""<!DOCTYPE urlset [<!ENTITY file SYSTEM "file://{secret}">]>
    <urlset><url><loc>{SITE}/a&file;</loc></url><url><loc>{SITE}/b</loc></url></urlset>"""
    assert [url for url in urls(body) if "secret" in url] == []
    steps = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    laughs = (
        f'<!DOCTYPE urlset [<!ENTITY e0 "lol">{steps}]><urlset><url><loc>{SITE}/&e11;</loc></url></urlset>'
    )
    assert all(len(url) < 10_000 for url in urls(laughs))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body><a href='/a'>Not found</a></body></html>",
        b"\x1f\x8b\x08garbage",
        b"<" * 100_000,
        b"<a>" * 100_000,
        b"<url><loc>" * 50_000,
        b"<urlset " + b" ".join(b'a%d="1"' % i for i in range(10_000)) + b"/>",
        b"&" * 1_000_000,
        b"http://a" * 1_000_000,
        b"\0" * 100_000,
    ],
)
def test_what_is_no_sitemap_names_nothing(body: bytes) -> None:
    assert parse(body, f"{SITE}/sitemap.xml") == sitemap.Sitemap([], [])


@given(st.binary(max_size=200))
def test_any_bytes_are_read(body: bytes) -> None:
    for whole in (body, b"<urlset><url><loc>" + body, gzip.compress(body), SITE.encode() + body):
        parse(whole, f"{SITE}/sitemap.xml")


MARKUP = ("<url>", "</url>", "<loc>", "</loc>", "<urlset>", "<link href='/a'/>", "/x", "</a>", "<!--", "]]>")


@given(st.lists(st.sampled_from(MARKUP)))
def test_any_markup_is_read(parts: list[str]) -> None:
    urls("".join(["<urlset>", *parts]))
