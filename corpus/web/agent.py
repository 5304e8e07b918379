"""The crawler's identity: the product token and the contact that every request carries."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from corpus.settings import Section


class Agent(Section):
    """The crawler's identity. A crawl requires a contact."""

    name: str = Field("derlem", description="product token, by which robots.txt files name the crawler")
    contact: str = Field(
        "", description="a page (https://…) or a mail address where site owners can reach you"
    )

    @field_validator("name")
    @classmethod
    def _token(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_-]+", value):  # RFC 9309, section 2.2.1
            raise ValueError("expected letters, hyphens and underscores only, as RFC 9309 allows")
        return value

    @field_validator("contact")
    @classmethod
    def _reachable(cls, value: str) -> str:
        page = re.fullmatch(r"https?://[^\s/()]+\.[^\s()]+", value)
        mail = re.fullmatch(r"[^\s@()]+@[^\s@()]+\.[^\s@()]+", value)
        if value and not page and not mail:
            raise ValueError("expected a page such as https://example.org/crawler, or a mail address")
        return value

    @property
    def header(self) -> str:
        """Return the User-Agent field."""
        from importlib.metadata import version

        contact = self.contact if "://" in self.contact else f"mailto:{self.contact}"
        return f"{self.name}/{version('derlem')} (+{contact})"
