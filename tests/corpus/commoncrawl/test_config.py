"""A fetch's settings: names are written as the index writes them, and what cannot be is refused."""

from __future__ import annotations

import pytest

from corpus.commoncrawl.config import Access, CommonCrawl, Selection
from corpus.errors import ConfigError
from corpus.settings import parse


def selection(**values: object) -> Selection:
    return parse(Selection, values, "test")


def test_by_default_ten_thousand_whole_turkish_pages_are_taken() -> None:
    default = CommonCrawl().selection
    assert (default.languages, default.limit, default.truncated) == (("tur",), 10_000, False)
    assert default.mimes == ("text/html", "application/xhtml+xml")


def test_names_are_written_as_in_the_index() -> None:
    made = selection(hosts=["WWW.Example.COM."], domains=["türkiye.com.tr"], tlds=[".tr"])
    assert made.hosts == ("www.example.com",)
    assert made.domains == ("xn--trkiye-3ya.com.tr",)
    assert made.tlds == ("tr",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hosts": ["https://example.com/"]}, "without scheme or path"),
        ({"domains": ["*.example.com"]}, "expected a name"),
        ({"languages": ["tr"]}, "three letters, such as tur"),
        ({"crawl": "../x"}, "expected the name of a crawl"),
        ({"via": "cdx"}, "name a host, a domain or a TLD"),
        ({"statuses": []}, "expected 1 or more"),
        ({"limits": 3}, "did you mean 'limit'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("*", r"\*")):
        selection(**values)


@pytest.mark.parametrize("base", ["https://", ""])
def test_a_base_is_a_url_or_a_folder(base: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a (path or a )?URL"):
        parse(Access, {"base": base}, "test")


def test_the_user_agent_names_a_contact_where_there_is_one() -> None:
    named = parse(Access, {"agent": {"contact": "https://example.org/us"}}, "test")
    assert named.user_agent.endswith(" (+https://example.org/us)")
    assert "(" not in Access().user_agent
    assert Access().user_agent.startswith("derlem/")
