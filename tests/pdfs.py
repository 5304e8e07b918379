"""Small PDF files for tests: lines of text at given places, in Helvetica with Turkish letters."""

from __future__ import annotations

from collections.abc import Sequence

_LETTERS = {
    "ğ": "gbreve",
    "Ğ": "Gbreve",
    "ş": "scedilla",
    "Ş": "Scedilla",
    "ı": "dotlessi",
    "İ": "Idotaccent",
}
_LETTERS |= {"ﬁ": "fi", "ﬂ": "fl", "•": "bullet"}
_CODES = {letter: code for code, letter in enumerate(_LETTERS, start=128)}

Line = tuple[float, float, str]
"""Left and baseline, in points from the page's lower left corner, and the text."""


def pdf(pages: Sequence[Sequence[Line]], size: float = 10, **information: str) -> bytes:
    """Return a document of A4 pages; `information` holds Title and Author."""
    names = " ".join(f"/{name}" for name in _LETTERS.values())
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",  # the tree of pages, once they are known
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding "
        b"<< /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [128 " + names.encode() + b"] >> >>",
        b"<< " + b" ".join(b"/%s %s" % (k.encode(), _text(v)) for k, v in information.items()) + b" >>",
    ]
    kids = []
    for lines in pages:
        shown = b"\n".join(
            b"BT /F1 %g Tf %g %g Td %s Tj ET" % (size, left, base, _string(text))
            for left, base, text in lines
        )
        objects.append(b"<< /Length %d >> stream\n%s\nendstream" % (len(shown), shown))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return _file(objects)


def _file(objects: Sequence[bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R /Info 4 0 R >>\n" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
    )
    # The table starts behind the last object.
    start = bytes(out).rindex(b"xref\n0 ")
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def _string(text: str) -> bytes:
    codes = bytes(_CODES[each] if each in _CODES else each.encode("cp1252")[0] for each in text)
    return b"(" + codes.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"


def _text(value: str) -> bytes:
    return b"<" + b"\xfe\xff".hex().encode() + value.encode("utf-16-be").hex().encode() + b">"
