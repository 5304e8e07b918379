"""Kept lines become text: one block is one line, with list marks, cells set apart and code as it stands."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.text.maintext import layout, markup


def text(page: str) -> list[str]:
    """Return the text of a page all of whose lines are kept."""
    data, read = markup.read(page)
    return layout.text(data, read, np.ones(len(read.lines), np.bool_))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h2>Başlık\n devamı</h2><p>bir\n\tiki</p>", ["Başlık devamı", "bir iki"]),
        ("<ul><li>bir</li><li><p>iki</p><p>üç</p></li></ul>", ["• bir", "• iki", "üç"]),
        ("<ol><li>bir</li><li>iki</li></ol>", ["1. bir", "2. iki"]),
        ("<ol><li>bir<ul><li>alt</ul><li>iki</ol>", ["1. bir", "• alt", "2. iki"]),
        (
            "<table><tr><td>Ankara<td>5.803.482<tr><td>Van<td>1.127.612</table>",
            ["Ankara | 5.803.482", "Van | 1.127.612"],
        ),
        ("<table><tr><td>a<br>b<td>c</table>", ["a b | c"]),
        ("<pre>def f(x):\n    return x\n\n\n  # son</pre>", ["def f(x):", "    return x", "  # son"]),
        ("<p>|</p><p>4.</p><ul><li></li><li>•</li></ul><p>söz\ue000</p>", ["söz"]),
        (r"<p>\(a^2 + b^2\) ve <math><mi>c</mi></math></p>", [r"\(a^2 + b^2\) ve c"]),
    ],
)
def test_text(page: str, expected: list[str]) -> None:
    assert text(page) == expected


def test_a_table_for_the_layout_is_no_row() -> None:
    long = "Uzun bir hücre, içinde koca bir yazı var ve bitmek bilmiyor. " * 5
    assert text(f"<table><tr><td>{long}</td><td>{long}</td></tr></table>") == [long.strip()] * 2
