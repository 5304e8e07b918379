"""The main text of a page: its markup read in one pass, its lines judged by what and where they are."""

from __future__ import annotations

from typing import NamedTuple

from corpus.text.maintext import layout, markup
from corpus.text.maintext.judgement import judge
from corpus.text.maintext.kinds import Kind, likeliest


class MainText(NamedTuple):
    """The lines of a page's main text, and the kind of the page."""

    lines: list[str]
    kind: Kind


def main_text(page: str) -> MainText:
    """Return the main text of a page and its kind."""
    data, read = markup.read(page)
    judged = judge(data, read)
    return MainText(layout.text(data, read, judged.kept), likeliest(judged.kinds))
