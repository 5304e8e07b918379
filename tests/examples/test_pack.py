"""The sample site packs to the same sound WARC each time, and the table of defects says what it does."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pack
import pytest
from warcio.archiveiterator import ArchiveIterator

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        subprocess.run([sys.executable, EXAMPLES / "pack.py", tmp_path / name], check=True)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_warcio_reads_every_sound_record_and_finds_its_digests_right() -> None:
    sound = [item for item in pack.packed() if not item.row.damage]
    stream = io.BytesIO(b"".join(item.member for item in sound))
    found = []
    for record in ArchiveIterator(stream, check_digests="raise"):
        found.append((record.rec_type, record.rec_headers.get_header("WARC-Target-URI")))
        record.raw_stream.read()
    expected = [(item.row.record, item.row.url) for item in sound]
    assert found[0] == ("warcinfo", None)
    assert found[1:] == expected[1:]


def test_warcio_fails_on_a_digest_when_a_body_is_changed() -> None:
    """Without this the test above could pass because nothing is checked."""
    row = pack.Row(name="page", page="tr/asure")
    record = pack.warc(row, pack.FIRST_FETCH, pack.http(row, b"<p>one</p>")).replace(b"<p>one", b"<p>two")
    reader = ArchiveIterator(io.BytesIO(pack.gzipped(record)), check_digests="raise")
    with pytest.raises(Exception, match="digest"):
        next(reader).raw_stream.read()


def test_dates_and_record_identifiers_differ_from_record_to_record() -> None:
    items = list(pack.packed())
    assert len({item.fetched for item in items}) == len(items)
    assert len({item.row.name for item in items}) == len(items)


def test_only_the_last_record_is_cut() -> None:
    cut = [number for number, row in enumerate(pack.crawl()) if row.damage == "cut"]
    assert cut == [len(pack.crawl()) - 1]


def test_readable_records_follow_every_damaged_one_but_the_last() -> None:
    damage = [row.damage for row in pack.crawl()]
    assert all(damage[at + 1] == "" for at, kind in enumerate(damage[:-1]) if kind)


def test_each_change_of_the_text_changes_it() -> None:
    text = f"<p>İstanbul'da ince ışığın öyküsü çağlar boyunca {'yeniden anlatılır ' * 20}durur.</p>\n"
    for name in pack.CHANGES:
        assert pack.changed(text, name) != text, name


def test_the_changes_are_the_defects_of_the_real_web() -> None:
    changes = pack.CHANGES
    assert changes["windows-1254 read as windows-1252"]("İstanbul ışık") == "Ýstanbul ýþýk"
    assert changes["UTF-8 read as windows-1252"]("İstanbul") == "Ä°stanbul"
    assert changes["spacing diacritics"]("şağ") == "s¸ag˘"
    assert changes["i with a second dot"]("için iyi") == "i\u0307çin i\u0307yi"
    assert changes["capitals"]("ırmak iner") == "IRMAK İNER"


def test_every_row_names_a_fate_and_a_survivor_that_exist() -> None:
    names = {row.name for row in pack.crawl()}
    for row in pack.defects():
        assert row.what, row.name
        assert row.fate in {"kept", "removed", "dropped", "rejected", "skipped"}, row.name
        assert (row.survivor in names) == (row.fate == "removed"), row.name


def test_a_key_that_no_row_can_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="fait"):
        pack.Row(name="x", fait="kept")


def test_the_site_has_what_the_demo_promises() -> None:
    turkish = [page for page in pack.pages() if page.startswith("tr/")]
    assert len(turkish) >= 60
    assert len(pack.pages()) - len(turkish) >= 20
    words = sum(len(" ".join(pack.paragraphs(pack.read(page))).split()) for page in pack.pages())
    assert words >= 25_000


def test_no_page_says_a_paragraph_twice() -> None:
    for page in pack.pages():
        found = pack.paragraphs(pack.read(page))
        assert len(found) == len(set(found)), page


def test_addresses_are_reserved_ones() -> None:
    assert all(".example/" in row.url for row in pack.crawl())


def test_the_readme_shows_the_tables() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert readme.endswith(pack.tables()), "run `python examples/pack.py --tables` and put its output in"


def test_the_site_is_written_as_files_for_a_local_server(tmp_path: Path) -> None:
    pack.write_site(tmp_path)
    written = {path.relative_to(tmp_path).with_suffix("").as_posix() for path in tmp_path.rglob("*.html")}
    assert written == set(pack.pages())
    assert "<h1>Aşure</h1>" in (tmp_path / "tr" / "asure.html").read_text(encoding="utf-8")
