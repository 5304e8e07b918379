"""One page as extraction sees it: its kind, and each of its lines with why it was kept or dropped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from corpus import files, sources
from corpus.config import Source
from corpus.errors import NotThereError
from corpus.items import RawDocument
from corpus.text import charset
from corpus.text.maintext import layout, markup, tags
from corpus.text.maintext.features import features
from corpus.text.maintext.judgement import judge, reasons
from corpus.text.maintext.kinds import Kind, likeliest
from corpus.text.maintext.lines import ELEMENT

_REASONS = 3
_ARCHIVES = (".warc", ".arc")
_NAMES = {number: name for name, number in tags.NUMBER.items()}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page: where it stands, how likely it is main text, and what decided most."""

    text: str
    path: str
    kept: bool
    likely: float
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the line for programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Explained:
    """A page: its kind, and its lines in their order."""

    kind: Kind
    lines: tuple[Line, ...]


def read(path: str, url: str | None = None) -> str:
    """Return the decoded page of a file, or of the record of a URL in a WARC file.

    Raises NotThereError where there is no such file or record.
    """
    name = path.rsplit("/", 1)[-1].lower()
    if not any(ending in name for ending in _ARCHIVES):
        if files.size("", path) is None:
            raise NotThereError(f"{path}: no such file; expected a page, or a WARC file together with --url")
        with files.open_bytes(path) as file:
            return charset.decode(file.read(), None, html=True).text
    source = Source(name="page", format="warc", paths=(path,))
    urls = []
    for item in sources.read(source, path):
        if not isinstance(item, RawDocument) or item.media != "html":
            continue
        if item.url == url:
            content = item.content
            return (
                content if isinstance(content, str) else charset.decode(content, item.charset, html=True).text
            )
        urls.append(item.url)
    some = ", ".join(urls[:3])
    raise NotThereError(f"{path}: none of its {len(urls):,} pages has the URL {url}; it has {some or 'none'}")


def explain(page: str) -> Explained:
    """Return a page's kind, and all its lines, each with the features that decided most on it."""
    data, found = markup.read(page)
    judged = judge(data, found)
    rows = features(data, found)
    lines = (
        Line(
            " ".join(layout.line_text(data, found, at).split()),
            _path(found, at),
            bool(judged.kept[at]),
            float(judged.likely[at]),
            tuple(f"{name} {added:+.1f}" for name, added in reasons(rows[at])[:_REASONS]),
        )
        for at in range(len(found.lines))
    )
    return Explained(likeliest(judged.kinds), tuple(lines))


def _path(found: markup.Markup, at: int) -> str:
    names: list[str] = []
    element = int(found.lines[at, ELEMENT])
    while element > 0:
        names.append(_NAMES.get(int(found.tag[element]), "?"))
        element = int(found.parent[element])
    return ">".join(reversed(names[:4]))
