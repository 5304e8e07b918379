"""PDF files to pages of placed lines, by PDFium; it runs in a child process (`corpus.sources.pdf`)."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Iterator
from statistics import median

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from corpus.text import pages
from corpus.text.pages import Line, Page

_LEAST_LETTERS = 20  # of an average page; a scanned one has at most a stamp
_SAMPLED = 8  # lines that are asked for a gap before all are
_LINE = re.compile("[^\r\n\ufffe]*[\r\n\ufffe]*")
_BREAKS = "\r\n "


def answer(file: bytes) -> bytes:
    """Return the text of a PDF file as JSON with its title and author, or the cause why it has none.

    Causes: "encrypted", "bad-pdf", "no_text_layer".
    """
    try:
        document = pdfium.PdfDocument(file)
    except pdfium.PdfiumError as error:
        cause = "encrypted" if error.err_code == raw.FPDF_ERR_PASSWORD else "bad-pdf"
        return _json(cause=cause, detail=str(error))
    try:
        found = [_page(document, number) for number in range(len(document))]
        letters = sum(letter.isalpha() for page in found for line in page.lines for letter in line.text)
        if letters < _LEAST_LETTERS * max(1, len(found)):
            return _json(cause="no_text_layer", detail=f"{letters} letters on {len(found)} pages")
        title, author = (document.get_metadata_value(key).strip() for key in ("Title", "Author"))
        return _json(text=pages.text(found), title=title, author=author)
    finally:
        document.close()


def _json(**fields: str) -> bytes:
    return json.dumps(fields).encode()


def _page(document: pdfium.PdfDocument, number: int) -> Page:
    """Return the lines of a page; none where it is damaged."""
    page = raw.FPDF_LoadPage(document, number)
    if not page:
        return Page((), 0.0)
    try:
        text = raw.FPDFText_LoadPage(page)
        if not text:
            return Page((), 0.0)
        try:
            is_upright = raw.FPDFPage_GetRotation(page) == 0
            return Page(tuple(_Characters(text).lines(is_upright)), raw.FPDF_GetPageHeightF(page))
        finally:
            raw.FPDFText_ClosePage(text)
    finally:
        raw.FPDF_ClosePage(page)


class _Characters:
    """The characters of a page and their places, which are asked for one by one: each call takes 2 µs."""

    def __init__(self, page: raw.FPDF_TEXTPAGE) -> None:
        self._page = page
        number = raw.FPDFText_CountChars(page)
        buffer = (ctypes.c_ushort * (number + 1))()
        if raw.FPDFText_GetText(page, 0, number, buffer) == number + 1:  # with the NUL at its end
            self._text = "".join(map(chr, buffer[:number]))
        else:  # some have no code: one by one, so that their numbers agree with their places
            self._text = "".join(chr(raw.FPDFText_GetUnicode(page, at) & 0xFFFF) for at in range(number))
        self._box = raw.FS_RECTF()
        self._at = ctypes.byref(self._box)
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._origin = ctypes.byref(self._x), ctypes.byref(self._y)

    def lines(self, is_upright: bool) -> list[Line]:
        """Return the lines, with their gaps where two columns seem to stand side by side.

        The lines of a page that is not upright have no places, so they keep their order.
        """
        spans = list(self._spans())
        if not is_upright:
            return [Line(self._read(start, end), 0.0, 0.0, 0.0, 1.0) for start, end in spans]
        found = [self._line(start, end) for start, end in spans]
        if not found:
            return []
        middle = (median(line.left for line in found) + max(line.right for line in found)) / 2
        wide = [n for n, line in enumerate(found) if line.left < middle < line.right]
        some = wide[:: len(wide) // _SAMPLED + 1]
        gaps = sum(self._gap(*spans[n], found[n], middle) is not None for n in some)
        if 2 * gaps >= len(some):
            for n in wide:
                gap = self._gap(*spans[n], found[n], middle)
                found[n] = Line(*_places(found[n]), gap)
        return found

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last character of each line that is not blank."""
        for match in _LINE.finditer(self._text):
            start, end = match.span()
            while start < end and self._text[start] in _BREAKS:
                start += 1
            while end > start and self._text[end - 1] in _BREAKS:
                end -= 1
            if start < end:
                yield start, end - 1

    def _read(self, start: int, end: int) -> str:
        """Return some characters, pairs of surrogates as what they stand for."""
        return self._text[start : end + 1].encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _line(self, start: int, end: int) -> Line:
        raw.FPDFText_GetCharOrigin(self._page, start, *self._origin)
        raw.FPDFText_GetLooseCharBox(self._page, end, self._at)
        size = abs(self._box.top - self._box.bottom) or 1.0
        return Line(self._read(start, end), self._x.value, self._box.right, self._y.value, size)

    def _gap(self, start: int, end: int, line: Line, middle: float) -> tuple[int, float, float] | None:
        """Return the blank of a line at `middle`, if it is as wide as its letters are high."""
        low, high = start, end  # the last character that starts before the middle
        while low < high:
            at = (low + high + 1) // 2
            if self._left(at) < middle:
                low = at
            else:
                high = at - 1
        for at in range(max(start + 1, low - 1), min(end, low + 3)):
            if self._text[at] == " ":
                left, right = self._right(at - 1), self._left(at + 1)
                if right - left >= line.size and left < middle + line.size and right > middle - line.size:
                    return at - start, left, right
        return None

    def _left(self, at: int) -> float:
        raw.FPDFText_GetLooseCharBox(self._page, at, self._at)
        return float(self._box.left)

    def _right(self, at: int) -> float:
        raw.FPDFText_GetLooseCharBox(self._page, at, self._at)
        return float(self._box.right)


def _places(line: Line) -> tuple[str, float, float, float, float]:
    return line.text, line.left, line.right, line.base, line.size
