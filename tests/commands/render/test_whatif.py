"""The table of `what-if` fits 80 columns without breaking a source's name."""

from __future__ import annotations

import io

from rich.console import Console

from commands.render.whatif import render_what_if
from corpus.whatif import Change, Moved, WhatIf


def printed(found: WhatIf, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_what_if(found, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_change_is_one_line_with_its_source_whole() -> None:
    change = Change("kitaplik", "tur_Latn", 7_654_321, 9_876_543_210, 7_654_300, 9_876_543_000)
    said = printed(WhatIf({("kitaplik", "tur_Latn"): change}, {}, {"gopher.min_words": 21}))
    assert "kitaplik  tur_Latn  7,654,321     -21  9.877 G    -210" in said
    assert "taken: gopher.min_words 21" in said


def test_what_does_not_change_has_a_dash() -> None:
    said = printed(WhatIf({("a", "b"): Change("a", "b", 5, 60, 5, 60)}))
    assert said.splitlines()[1].split() == ["a", "b", "5", "-", "60", "-"]


def test_a_document_that_moves_is_shown_under_its_rule() -> None:
    moved = Moved("a", "b", "gopher.hashes", "", 12, "https://a.example/", "Bir söz.\x1b[31m")
    said = printed(WhatIf(given_back={"gopher.hashes": 1}, examples=[moved]))
    assert "given back by gopher.hashes · b · a · 12 words\nhttps://a.example/\nBir söz.\ufffd[31m" in said
