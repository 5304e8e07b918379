"""The main text of a page: its markup read in one pass, its lines judged by what and where they are."""

from __future__ import annotations

from corpus.text.maintext import layout, markup
from corpus.text.maintext.judgement import judge


def main_text(page: str) -> list[str]:
    """Return the lines of a page's main text."""
    data, read = markup.read(page)
    return layout.text(data, read, judge(data, read).kept)
