"""PDF files with a text layer: one document a file, read by PDFium in a process of its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from corpus import files
from corpus.child import Child, ChildError
from corpus.items import Item, Items, RawDocument, Rejected, Unreadable, Work
from corpus.sources.inputs import MIB
from corpus.sources.jsonl import encodable

if TYPE_CHECKING:
    from corpus.config import Source

_TIMEOUT_S = 120.0
_MEMORY = 4 << 30
_HEAD = 1024  # bytes before the mark of a PDF file that readers pass over
_child = Child("PDFium", "corpus.text.pdf:answer", requests=200, warm=b"", memory=_MEMORY)

# The XMP packet stands uncompressed in the file, so that programs that know no PDF can find it.
_RIGHTS = re.compile(
    rb"<dc:rights\b[^>]{0,200}>(.{0,4000}?)</dc:rights>|<cc:license\b[^>]{0,200}?rdf:resource=[\"']([^\"']{0,500})",
    re.DOTALL,
)
_TAG = re.compile(r"<[^<>]*>")


def read(source: Source, path: str) -> Items:
    """Yield the text of a PDF file, with the title, authors and notice of rights that it states.

    Rejected causes: "oversized", "encrypted", "bad-pdf", "no_text_layer" (scanned pages), "timeout" and
    "crash" of PDFium. A file that is not a PDF is Unreadable. Raises OSError if the file system does.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        content = file.read(limit + 1)
    if b"%PDF-" not in content[:_HEAD]:
        yield Unreadable("not-pdf", "the mark %PDF- is not at its start")
    elif len(content) > limit:
        yield Rejected(0, "oversized", f"the file has more than {limit} bytes")
    else:
        yield _document(content)


def _document(content: bytes) -> Item:
    try:
        found = json.loads(_child.ask(content, _TIMEOUT_S))
    except ChildError as error:
        return Rejected(0, "bad-pdf" if error.cause == "error" else error.cause, str(error))
    if "cause" in found:
        return Rejected(0, found["cause"], found["detail"])
    authors = tuple(name for each in encodable(found["author"]).split(";") if (name := each.strip()))
    work = Work(encodable(found["title"]), authors, _licence(content))
    return RawDocument(encodable(found["text"]), "text", "", 0, work=work)


def _licence(content: bytes) -> str:
    found = _RIGHTS.search(content)
    text = (found[1] or found[2]).decode("utf-8", "replace") if found else ""
    return " ".join(_TAG.sub(" ", text).split())
