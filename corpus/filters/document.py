"""A document as a plugin sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from corpus.text.view import TextView
from corpus.text.view import view as view_of


@dataclass(frozen=True)
class Document:
    """A text with what is known about it.

    `language` is a code such as tur_Latn; `source` is the name of the source in the configuration; `date` is
    when the document was fetched, if the source says so.
    """

    text: str
    url: str = ""
    language: str = ""
    source: str = ""
    date: datetime | None = None

    @cached_property
    def view(self) -> TextView:
        """The lines and words of the text (`corpus.text.view`)."""
        return view_of(self.text)

    def with_view(self, view: TextView) -> Document:
        """Return the document with the text of a view, which is not made again."""
        made = replace(self, text=view.text)
        made.__dict__["view"] = view
        return made
