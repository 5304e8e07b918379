"""Files read by a function of the user: `format = "my_reader.py:read"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from corpus import usercode
from corpus.errors import ReaderError
from corpus.items import Item, Items, RawDocument, Rejected, Work
from corpus.sources.inputs import MIB, moment
from corpus.sources.jsonl import encodable
from corpus.usercode import UserFunction

if TYPE_CHECKING:
    from corpus.config import Source


def read(source: Source, path: str, reader: UserFunction) -> Items:
    """Yield a document for each row of `reader(path, source)`; `offset` is the row, from 0.

    A row is a mapping with `text` or `html` (str or bytes), and optionally `url`, `date`, `title`, `authors`
    (str or strings) and `licence`; a value of None counts as absent. Rejected causes: "not-an-object",
    "missing-text", "null-text", "text-not-string", "text-and-html", "oversized". Raises ReaderError if the
    function raises anything or returns something that is not rows.
    """
    limit = int(source.max_record_mb * MIB)
    for number, row in enumerate(_rows(source, path, reader)):
        item = _item(row, number)
        if isinstance(item, RawDocument) and (size := _bytes(item.content)) > limit:
            detail = f"{size} bytes of text; the limit is {limit}"
            item = Rejected(number, "oversized", detail, item.url)
        yield item


def _rows(source: Source, path: str, reader: UserFunction) -> Iterator[Any]:
    where = f"source {source.name!r}: {reader.spec}"
    try:
        rows = reader.load()(path, source)
        if isinstance(rows, str | bytes | Mapping) or not hasattr(rows, "__iter__"):
            raise ReaderError(
                f"{where} returned {type(rows).__name__} for {path}; expected rows, as by yield"
            )
        yield from rows
    except ReaderError:
        raise
    except (Exception, SystemExit) as error:
        raise ReaderError(f"{where} failed {usercode.place(error, reader.path)} on {path}") from error


def _item(row: Any, number: int) -> Item:
    if not isinstance(row, Mapping):
        return Rejected(number, "not-an-object", f"expected a dict, found {type(row).__name__}")
    url = encodable(row.get("url"))
    given = [key for key in ("text", "html") if row.get(key) is not None]
    if len(given) == 2:
        return Rejected(number, "text-and-html", "expected one of 'text' and 'html'", url)
    if not given:
        keys = ", ".join(map(repr, list(row)[:20]))
        cause = "null-text" if "text" in row or "html" in row else "missing-text"
        return Rejected(number, cause, f"expected 'text' or 'html', found {keys[:200]}", url)
    content = row[given[0]]
    if not isinstance(content, str | bytes):
        return Rejected(number, "text-not-string", f"{given[0]!r} holds {type(content).__name__}", url)
    content = encodable(content) if isinstance(content, str) else content
    media: Literal["html", "text"] = "html" if given == ["html"] else "text"
    return RawDocument(content, media, url, number, moment(row.get("date")), work=_work(row))


def _work(row: Mapping[str, Any]) -> Work:
    authors = row.get("authors")
    names = [authors] if isinstance(authors, str) else authors if isinstance(authors, list | tuple) else []
    return Work(
        encodable(row.get("title")),
        tuple(name for each in names if (name := encodable(each))),
        encodable(row.get("licence")),
    )


def _bytes(content: str | bytes) -> int:
    return len(content if isinstance(content, bytes) else content.encode())
