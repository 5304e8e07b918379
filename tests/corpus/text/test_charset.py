"""Bytes become the right text, whatever they are labelled."""

from __future__ import annotations

import csv
import gzip
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from corpus.text.charset import codec_of, declared, decode

SharedData = Callable[[str], Path]

TURKISH = "İstanbul'da yaşayan çocuklar ışığı gördü. Değişik ağaçların gölgesinde şarkı söylediler. "
ICELANDIC = "Það er gott að búa hér. Þórður sagði að ýmsir menn hefðu farið út á haf og aldrei komið aftur. "
FRENCH = "L'été dernier, où étiez-vous ? Nous avons mangé à l'hôtel, près du château, c'était très bon. "
GERMAN = "Die Mädchen hörten süße Lieder über große Bäume. Schöne Grüße aus München! "
WRONG_LABELS = [None, "iso-8859-1", "windows-1252", "us-ascii", "utf-8", "no-such-charset"]


@pytest.mark.parametrize("label", WRONG_LABELS)
@pytest.mark.parametrize("codec", ["cp1254", "iso8859-9"])
def test_turkish_comes_out_right_under_any_western_label(label: str | None, codec: str) -> None:
    decoded = decode((TURKISH * 3).encode(codec), label)
    assert decoded.text == TURKISH * 3
    assert (decoded.encoding, decoded.how) == ("windows-1254", "turkish")


@pytest.mark.parametrize("label", ["iso-8859-9", "latin5", "windows-1254", " ISO-8859-9 ", '"latin5"'])
def test_turkish_labels_mean_windows_1254(label: str) -> None:
    decoded = decode((TURKISH + "€").encode("cp1254"), label)
    assert decoded == type(decoded)(TURKISH + "€", "windows-1254", "http")


@pytest.mark.parametrize("text", [ICELANDIC, FRENCH, GERMAN])
@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1252", None])
def test_other_western_languages_keep_their_letters(text: str, label: str | None) -> None:
    decoded = decode((text * 3).encode("cp1252"), label)
    assert decoded.text == text * 3
    assert decoded.encoding == "windows-1252"


def test_turkish_of_dos_is_recognised() -> None:
    assert decode((TURKISH * 3).encode("cp857")).text == TURKISH * 3


@pytest.mark.parametrize("label", ["iso-8859-9", "windows-1254", "iso-8859-1", "shift_jis", None])
def test_valid_utf8_wins_over_a_wrong_label(label: str | None) -> None:
    decoded = decode(TURKISH.encode(), label)
    assert decoded == type(decoded)(TURKISH, "utf-8", "utf-8")


def test_utf8_that_was_cut_in_a_letter_stays_utf8() -> None:
    decoded = decode((TURKISH + "ş").encode()[:-1], "iso-8859-1")
    assert decoded.encoding == "utf-8"
    assert decoded.text == TURKISH + "\ufffd"


def test_a_broken_letter_leaves_utf8_what_it_is_and_a_stray_one_a_labelled_page_too() -> None:
    mixed = "café été ".encode("cp1252") + "ü ö ç ş ı ğ ü ö ç ".encode()
    assert decode(mixed, html=False).encoding == "utf-8"
    assert decode(mixed, "iso-8859-1", html=False).text.startswith("café été ")


@pytest.mark.parametrize("label", [None, "utf-8", "iso-8859-9", "windows-1252"])
def test_stretches_of_a_page_that_are_not_utf8_are_read_in_its_other_encoding(label: str | None) -> None:
    paragraph = f"<p>{TURKISH}</p>"
    for first, second in ((6, 2), (20, 20), (3, 12)):
        payload = (paragraph * first).encode() + (paragraph * second).encode("cp1254")
        decoded = decode(payload, label)
        assert decoded.text == paragraph * (first + second), (first, second)
        assert decoded.encoding == "utf-8"


def test_single_bytes_of_another_encoding_are_read_within_a_line_and_a_cut_letter_is_not() -> None:
    line = "Değişik ağaçların gölgesinde şarkı söylediler, ".encode()
    decoded = decode(b"<p>" + line + "şıklık ".encode("cp1254") + line + "ş".encode()[:1] + b" bitti</p>")
    assert decoded.text.count("\ufffd") == 1
    assert "söylediler, şıklık Değişik" in decoded.text


LANGUAGES = [
    ("ru", "cp1251", "Съешь же ещё этих мягких булок"),
    ("el", "cp1253", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία"),
    ("pl", "cp1250", "Zażółć gęślą jaźń"),
    ("fr", "cp1252", "L'été dernier, où étiez-vous"),
]


@pytest.mark.parametrize(("language", "codec", "text"), LANGUAGES)
def test_the_language_of_a_mixed_page_tells_its_other_encoding(language: str, codec: str, text: str) -> None:
    head = f'<html lang="{language}"><body>'.encode()
    payload = head + f"<p>{text}</p>".encode() * 20 + f"<p>{text}</p>".encode(codec)
    assert decode(payload, "utf-8").text.count(text) == 21


@pytest.mark.parametrize("label", ["utf-16", "utf-16le", "utf-16be", "unicode"])
@pytest.mark.parametrize("codec", ["utf-8", "cp1254", "utf-16-le", "utf-16-be"])
def test_a_wrong_utf16_label_is_seen_through(label: str, codec: str) -> None:
    page = f"<html><body><p>{TURKISH}</p>"
    assert decode(page.encode(codec), label).text == page
    if codec in ("utf-8", "cp1254"):
        assert decode(b"\xff\xfe" + page.encode(codec)).text.endswith(page)


def test_utf16_without_a_byte_of_ascii_is_believed_its_label() -> None:
    text = "日本語の文章です。" * 5
    assert decode(text.encode("utf-16-le"), "utf-16le", html=False).text == text


def test_icelandic_that_is_guessed_to_be_turkish_is_read_as_western() -> None:
    text = "Að lokinni sýningu verður móttaka fyrir gesti. " * 2
    assert decode(text.encode("cp1252"), html=False).text == text


def test_icelandic_and_faroese_are_not_central_european() -> None:
    for text in (
        "Það er gott veður í dag og við ætlum að fara niður að sjó með börnunum.",
        "Øll menniskju eru fødd fræls og jøvn til virðingar og mannarættindi, og tey hava fingið skil.",
        "Hún sagði að fundurinn yrði haldinn síðar á þessu ári, „ef veður leyfir“.",
    ):
        assert decode(text.encode("cp1252")).text == text
    for text, codec in (
        ("Kuća se nalazi u Đurđevcu, a između vrata i zida stoji smeđa ćup.", "cp1250"),
        ("Također će vođa izgraditi žičaru; sljedeći događaj je među građanima.", "iso8859-2"),
    ):
        assert decode(text.encode(codec)).text == text


def test_japanese_mail_encoding_is_read_by_its_label_and_by_its_escapes() -> None:
    payload = "日本語の文章".encode("iso2022_jp")
    assert decode(payload, "iso-2022-jp").text == decode(payload).text == "日本語の文章"


def test_bom_beats_the_header_and_the_header_beats_meta() -> None:
    page = '<meta charset="windows-1251">привет'
    assert decode(b"\xef\xbb\xbf" + page.encode(), "windows-1251").how == "bom"
    assert decode(page.encode("koi8-r"), "koi8-r").text == page
    assert decode(page.encode("cp1251")).how == "meta"
    assert not decode(page.encode("cp1251")).text.startswith("\ufeff")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("bom", ["\ufeff", ""])
def test_wide_encodings_are_read_with_and_without_bom(codec: str, bom: str) -> None:
    assert decode((bom + GERMAN).encode(codec)).text == GERMAN


def test_unused_bytes_of_windows_codecs_become_controls_as_in_browsers() -> None:
    assert decode(b"caf\xe9 \x81\x9d", "windows-1252").text == "café \x81\x9d"


def test_meta_is_not_looked_for_in_plain_text() -> None:
    payload = '<meta charset="koi8-r"> déjà vu, été, garçon, forêt'.encode("cp1252")
    assert decode(payload).encoding == "koi8-r"
    assert decode(payload, html=False).encoding == "windows-1252"


@given(
    st.binary(max_size=400), st.sampled_from([*WRONG_LABELS, "utf-16", "iso-2022-jp", "big5"]), st.booleans()
)
def test_no_bytes_raise(payload: bytes, label: str | None, html: bool) -> None:
    decode(payload, label, html).text.encode("utf-8", "surrogatepass")


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=200))
def test_utf8_text_comes_back_as_it_was(text: str) -> None:
    if not text.isascii() and not text.startswith("\ufeff"):
        assert decode(text.encode(), "windows-1252").text == text


# Real data from here on.


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read()


def test_html5lib_vectors_for_the_prescan_hold(shared_data: SharedData) -> None:
    wrong = []
    for file in sorted(shared_data("encoding/html5lib-tests/encoding").glob("*.dat")):
        for case in file.read_bytes().split(b"#data\n")[1:]:
            page, encoding = case.split(b"\n#encoding\n")
            expected = codec_of(encoding.strip().decode())
            if page.startswith(b"\xef\xbb\xbf"):
                found = codec_of(decode(page).encoding)
            else:
                found = declared(page) or "cp1252"
            if found != expected:
                wrong.append((page, expected, found))
    assert wrong == []


def test_detection_is_better_than_resiliparse_alone_on_chardets_files(shared_data: SharedData) -> None:
    folder = shared_data("encoding/chardet-tests")
    payloads = dict(members(folder / "files.tar.gz"))
    codecs = {"iso-2022-kr": "iso2022_kr", "maccyrillic": "mac_cyrillic", "cp932": "cp932"}
    right = peer = total = 0
    with (folder / "labels.tsv").open(encoding="utf-8") as labels:
        for row in csv.DictReader(labels, delimiter="\t"):
            payload, label = payloads[row["file"]], row["encoding"].lower()
            codec = codecs.get(label) or codec_of(label) or label
            if label == "utf-16":
                codec = "utf-16"
            gold = payload.decode(codec, "replace").lstrip("\ufeff")
            total += 1
            # Windows bytes without a meaning: U+FFFD in Python's codecs, controls in ours.
            text = decode(payload, html=False).text.lstrip("\ufeff")
            right += all(a == b or b == "\ufffd" for a, b in zip(text, gold, strict=False)) and len(
                text
            ) == len(gold)
            peer += bytes_to_str(payload, detect_encoding(payload)).lstrip("\ufeff") == gold
    assert total == 223
    assert right >= 220
    assert right - peer >= 60


def test_php_manual_in_iso_8859_9_is_read_under_every_label(shared_data: SharedData) -> None:
    folder = shared_data("encoding/php-doc-tr-legacy")
    with (folder / "labels.tsv").open(encoding="utf-8") as labels:
        rows = list(csv.DictReader(labels, delimiter="\t"))
    assert len(rows) == 28
    for row in rows:
        payload = (folder / row["file"]).read_bytes()
        for label, html in [(None, True), (None, False), ("iso-8859-1", True), ("utf-8", True)]:
            assert decode(payload, label, html).text == payload.decode("iso-8859-9"), (row["file"], label)


def test_re_encoded_turkish_pages_are_all_read_right(shared_data: SharedData) -> None:
    folder = shared_data("encoding/tr-html-derived")
    pages = dict(members(folder / "pages.tar.gz"))
    with gzip.open(folder / "cases.jsonl.gz", "rt", encoding="utf-8") as cases:
        for case in map(json.loads, cases):
            payload = pages[case["file"]]
            _, _, label = case["http_content_type"].partition("charset=")
            true = "cp857" if case["case"].startswith("cp857") else case["true_encoding"]
            assert decode(payload, label or None).text == payload.decode(true), case["file"]


def test_no_language_of_the_udhr_is_taken_for_turkish(shared_data: SharedData) -> None:
    unused = dict.fromkeys((0x81, 0x8D, 0x8F, 0x90, 0x9D), "\ufffd")
    seen = 0
    for name, payload in members(shared_data("lid/udhr/nltk-udhr-original-encodings.tar.gz")):
        if name.endswith("-Latin1"):
            seen += 1
            for label in ("iso-8859-1", "utf-8", None):
                decoded = decode(payload, label, html=False)
                assert decoded.how != "turkish", (name, label)
                if label == "iso-8859-1" or decoded.encoding not in ("windows-1250", "iso-8859-2"):
                    assert decoded.text.translate(unused) == payload.decode("cp1252", "replace"), (
                        name,
                        label,
                    )
        elif name.endswith("Turkce-Turkish"):
            for label in ("iso-8859-1", "utf-8", None):
                assert decode(payload, label, html=False).text == payload.decode("cp1254")
    assert seen > 100


@pytest.mark.parametrize("label", [None, "utf-8", "iso-8859-9", "iso-8859-1"])
@pytest.mark.parametrize("comment", ["Çok güzel, eline sağlık", "Ş", "ğ — “alıntı”", "© 2020 Köşe"])
def test_stretches_of_utf8_in_a_page_of_windows_1254_are_read_as_utf8(
    label: str | None, comment: str
) -> None:
    article = f"<p>{TURKISH}</p>" * 3
    payload = article.encode("cp1254") + f"<div>{comment}</div>".encode() + article.encode("cp1254")
    assert decode(payload, label).text == f"{article}<div>{comment}</div>{article}"


def test_the_mark_of_utf8_does_not_make_another_encoding_utf8() -> None:
    page = f"<html><body><p>{TURKISH}</p></body>"
    assert decode(b"\xef\xbb\xbf" + page.encode("cp1254")).text == page
    assert decode(b"\xef\xbb\xbf" + page.encode() + b"\xff").text == page + "\ufffd"


def test_few_bytes_of_another_encoding_are_read_without_a_label() -> None:
    head, text = "<html><title>Başlık</title>", "Fiyat 5 € – “iyi” "
    assert decode(head.encode() + (text * 3).encode("cp1254")).text == head + text * 3


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_text_is_seen_behind_a_label_of_single_bytes(codec: str) -> None:
    page = f"<html><body><p>{TURKISH}</p></body>"
    assert decode(page.encode(codec), "iso-8859-9").text == page
