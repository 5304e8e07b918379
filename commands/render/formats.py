"""How numbers, tables and foreign text are written for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from commands.render.tables import Table

# Directions may not be overridden and no escape sequence may reach the terminal from a web page.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSAFE = {code: "\ufffd" for code in _CONTROLS if code not in (0x09, 0x0A)}
_BAR = 16  # cells of a whole bar


def size(number: float) -> str:
    """Write a number of bytes with three digits and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1000 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.3g} {unit}"


def count(number: float) -> str:
    """Write a number in full below ten million and with three digits beyond, so that columns stay narrow."""
    if number < 10_000_000:
        return f"{number:,.0f}"
    return f"{number / 1e6:.3g} M" if number < 999.5e6 else f"{number / 1e9:,.4g} G"


def many(number: int, thing: str) -> str:
    """Write a number of things, in the plural except for one."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def percent(part: float, whole: float) -> str:
    """Write a share in brackets after a space; nothing if the whole is zero."""
    if not whole:
        return ""
    hundredths = 100 * part / whole
    return f" ({hundredths:.1f} %)" if hundredths >= 0.05 or not part else " (< 0.1 %)"


def share(part: float, whole: float) -> str:
    """Write a share."""
    return percent(part, whole).strip(" ()")


def table(*headings: str) -> Table:
    """Make a table whose first column is text and whose others are numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    made.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        made.add_column(heading, justify="right")
    return made


def row(to: Table, *cells: str, style: str = "") -> None:
    """Add a row of plain text: brackets in a host or a rule are not markup."""
    to.add_row(*(Text(cell) for cell in cells), style=style)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line of plain text: brackets are not markup, numbers have no colour."""
    console.print(Text(text, style=style), highlight=False)


def bar(part: float, whole: float) -> str:
    """Draw a share."""
    return "█" * max(round(_BAR * part / whole), 1 if part else 0) if whole else ""


def labelled(lines: Iterable[tuple[str, str]]) -> Table:
    """Make a table of labels and values, the values folded beside their labels."""
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in lines:
        row(made, label, safe(value).replace("\n", " "))
    return made


def beginning(text: str, characters: int) -> str:
    """Return the first `characters` of a text, cut at a space before if one is near."""
    if len(text) <= characters:
        return text
    space = max(text.rfind(" ", 0, characters), text.rfind("\n", 0, characters))
    return text[: space if space > 0.8 * characters else characters].rstrip()


def safe(text: str) -> str:
    """Replace control characters, but for tabs and line ends."""
    return text.replace("\r\n", "\n").translate(_UNSAFE)
