"""Tables on terminals of any width: numbers are never cut or broken."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from commands.render.tables import Table

NUMBERS = st.lists(st.integers(0, 10**9).map("{:,}".format), min_size=1, max_size=9)


def printed(cells: list[str], width: int, name: str = "d96-l4") -> list[str]:
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for number in range(len(cells)):
        table.add_column(f"c{number}", justify="right")
    table.add_row(name, *cells)
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue().splitlines()


@given(NUMBERS, st.integers(30, 120))
def test_every_number_is_whole_and_no_line_is_too_long(cells: list[str], width: int) -> None:
    lines = printed(cells, width)
    assert [word for line in lines for word in line.split() if word[0].isdigit()] == cells
    assert max(map(len, lines)) <= width


def test_columns_that_do_not_fit_continue_below_with_the_names() -> None:
    assert [line.split() for line in printed(["1" * 9, "2" * 9, "3" * 9], 30)] == [
        ["model", "c0", "c1"],
        ["d96-l4", "1" * 9, "2" * 9],
        [],
        ["model", "c2"],
        ["d96-l4", "3" * 9],
    ]


def test_a_long_name_is_folded_before_columns_go_below() -> None:
    lines = printed(["1" * 9, "2" * 9], 40, name="a name of many words that is far too long")
    assert lines[0].split() == ["model", "c0", "c1"]
    assert len(lines) > 2
    assert all(line for line in lines)
