"""What is forgotten is known by hashes, however its address is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from corpus import forgotten
from corpus.errors import DatasetError
from corpus.forgotten import Forgotten, Key, Listed, Request, of_host, of_text, of_url
from corpus.items import Rejected, Skipped


def made(*keys: Key) -> Forgotten:
    return forgotten.forgotten([Request(date="2026-01-01", reason="", keys=keys)])


@pytest.mark.parametrize(
    ("url", "is_gone"),
    [
        ("https://site.example/sayfa", True),
        ("http://www.site.example/sayfa/?utm_source=x", True),
        ("https://site.example/sayfa/2", False),
        ("https://other.example/sayfa", False),
        ("", False),
    ],
)
def test_a_page_is_known_however_its_url_is_written(url: str, is_gone: bool) -> None:
    assert made(of_url("https://site.example/sayfa")).has_url(url) is is_gone


@pytest.mark.parametrize(
    ("url", "is_gone"),
    [
        ("https://site.example/sayfa", True),
        ("https://alt.site.example:8080/", True),
        ("https://mysite.example/", False),
        ("https://example/", False),
        ("not a url", False),
    ],
)
def test_a_host_is_forgotten_with_its_subdomains(url: str, is_gone: bool) -> None:
    assert made(of_host("Site.example")).has_url(url) is is_gone


def test_a_text_is_known_by_letters_and_digits_and_only_without_a_url() -> None:
    gone = made(of_text("Bir söz: 1!"))
    assert gone.has_text("", "bir  söz 1")
    assert not gone.has_text("https://site.example/", "Bir söz: 1!")
    assert not gone.has_text("", "Bir söz: 2!")


def test_records_are_skipped_and_rows_are_found() -> None:
    gone = made(of_url("https://a.example/"), of_text("iki"))
    kept, away = (
        Rejected(1, "damaged", "", "https://b.example/"),
        Rejected(2, "damaged", "", "https://a.example"),
    )
    assert list(gone.without([kept, away])) == [kept, Skipped(2, "forgotten")]
    batch = pa.record_batch(
        {"url": ["https://a.example/", "", None, ""], "text": ["bir", "İki", "üç", "iki"]}
    )
    assert gone.rows(batch) == [0, 1, 3]


def test_the_list_has_no_address_and_is_read_back(tmp_path: Path) -> None:
    listed = Listed(
        requests=(Request(date="2026-01-01", reason="asked", keys=(of_url("https://a.example/x"),)),)
    )
    assert forgotten.read(str(tmp_path)) == Listed()
    forgotten.save(str(tmp_path), listed)
    assert forgotten.read(str(tmp_path)) == listed
    assert "a.example" not in (tmp_path / forgotten.FILE).read_text()


def test_a_damaged_list_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / forgotten.FILE).write_text("{")
    with pytest.raises(DatasetError, match=r"restore it from a copy; without it .* come back"):
        forgotten.read(str(tmp_path))
