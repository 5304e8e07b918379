"""A crawl's configuration: who it is must be reachable, and no number may break what it is used for."""

from __future__ import annotations

import pytest

from corpus.crawl.config import load
from corpus.errors import ConfigError


@pytest.mark.parametrize("contact", ["https://example.org/crawler", "http://a.org", "crawler@example.org"])
def test_a_contact_is_a_page_or_a_mail_address(contact: str) -> None:
    header = load(None, (f'agent.contact="{contact}"',)).agent.header
    assert header.startswith("derlem/")
    assert contact in header


@pytest.mark.parametrize(
    "contact", ["nobody", "me@", "@example.org", "example.org", "ftp://a.org", "a@b c.org"]
)
def test_what_is_no_contact_is_refused(contact: str) -> None:
    with pytest.raises(ConfigError, match="expected a page such as"):
        load(None, (f'agent.contact="{contact}"',))


@pytest.mark.parametrize(
    "override",
    [
        "politeness.delay_s=inf",
        "politeness.delay_s=nan",
        "politeness.max_crawl_delay_s=1e308",
        "politeness.backoff_s=-1",
        "politeness.retries=255",  # FETCHES counts tries in a byte
        "limits.redirects=255",
        "limits.round_minutes=inf",
        "limits.body_mb=inf",
        "limits.total_s=0",
        "scope.depth=70000",
    ],
)
def test_numbers_that_nothing_can_keep_to_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load(None, (override,))
