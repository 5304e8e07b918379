"""Wikitext to text, by mwparserfromhell; it runs in a child process (`corpus.sources.wikipedia`)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from itertools import groupby

import mwparserfromhell
from mwparserfromhell.nodes import (
    Comment,
    ExternalLink,
    Heading,
    HTMLEntity,
    Node,
    Tag,
    Template,
    Text,
    Wikilink,
)
from mwparserfromhell.wikicode import Wikicode

FILES = ("file", "image", "category", "media")
"""The namespaces whose links show no text, by their names in every wiki."""

_UNSEEN = frozenset(
    ("ref", "references", "gallery", "timeline", "imagemap", "templatestyles", "score", "style", "graph")
)
_AS_IT_STANDS = frozenset(("nowiki", "pre", "code", "syntaxhighlight", "source"))
_FORMULA = frozenset(("math", "chem"))
# Templates that show one of their parameters as it is; all others are made by code that a dump has not run.
_SHOWN = {"lang": "2", "dil": "2", "nowrap": "1", "quote": "1", "alıntı": "1", "abbr": "1", "ill": "1"}
_BOXES = re.compile(r"infobox|navbox|metadata|ambox|sidebar|vcard|toc\b|noprint|bilgi", re.IGNORECASE)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?:\S")
_QUOTES = re.compile("'{2,}")
_MAGIC = re.compile(r"__[^\W\d_]+__")
_EMPTY = re.compile(r"\s*[(（]\s*(?:[,;:،–-]\s*)*[)）]")
_TABLE, _TABLE_END = re.compile(r"^[ \t:]*\{\|", re.MULTILINE), re.compile(r"^[ \t]*\|\}", re.MULTILINE)
_MARKUP = ("|", "{|", "{{", "}}")  # of what is damaged, at the start of a line
_BULLETS = re.compile(r"(?:• ){2,}")
_HEADING = re.compile("\x02(\\d)")


def answer(request: bytes) -> bytes:
    """Return the text of a page; the request is JSON with its wikitext and the wiki's names of `FILES`."""
    given = json.loads(request)
    return text(given["wikitext"], given["files"]).encode("utf-8", "replace")


def text(wikitext: str, files: Collection[str] = FILES) -> str:
    """Return the text of a page, a paragraph, list item or row of a table a line.

    Templates, references, galleries, files and categories are omitted, and headings with nothing below them.
    """
    # MediaWiki closes the tables that a page leaves open, mwparserfromhell does not read them.
    unclosed = len(_TABLE.findall(wikitext)) - len(_TABLE_END.findall(wikitext))
    code = mwparserfromhell.parse(wikitext + "\n|}" * unclosed, skip_style_tags=True)
    written = "".join(_written(code, frozenset(files)))
    return "\n".join(_with_text(_lines(written)))


def _lines(written: str) -> Iterator[str]:
    cleaned = _EMPTY.sub("", _MAGIC.sub("", _QUOTES.sub("", written)))
    for line in cleaned.split("\n"):
        words = _BULLETS.sub("• ", " ".join(line.split()))
        if words.strip("•|: ") and not words.startswith(_MARKUP):
            yield words


def _with_text(lines: Iterator[str]) -> list[str]:
    """Return the lines, headings unmarked, without the headings of empty sections."""
    found: list[str] = []
    open_headings: list[tuple[int, str]] = []
    for line in lines:
        if heading := _HEADING.match(line):
            level = int(heading[1])
            open_headings = [each for each in open_headings if each[0] < level]
            if title := line[heading.end() :].strip():
                open_headings.append((level, title))
        else:
            found += [title for _, title in open_headings]
            open_headings = []
            found.append(line)
    return found


def _written(code: Wikicode | None, files: frozenset[str]) -> Iterator[str]:
    for node in code.nodes if code is not None else ():
        yield from _node(node, files)


def _node(node: Node, files: frozenset[str]) -> Iterator[str]:
    if isinstance(node, Text):
        yield str(node.value)
    elif isinstance(node, Heading):
        yield f"\n\x02{node.level} "
        yield from _written(node.title, files)
    elif isinstance(node, Wikilink):
        yield from _link(node, files)
    elif isinstance(node, ExternalLink):
        if node.title is not None:
            yield from _written(node.title, files)
        elif not node.brackets:
            yield str(node.url)
    elif isinstance(node, Template):
        shown = _SHOWN.get(str(node.name).strip().lower())
        if shown is not None and node.has(shown):
            yield from _written(node.get(shown).value, files)
    elif isinstance(node, HTMLEntity):
        yield node.normalize()
    elif isinstance(node, Tag):
        yield from _tag(node, files)
    elif not isinstance(node, Comment):  # an argument of a template, which has no value here
        return


def _link(node: Wikilink, files: frozenset[str]) -> Iterator[str]:
    title = str(node.title).strip()
    if title.partition(":")[0].strip().lower() in files:
        return
    if node.text is not None:
        yield from _written(node.text, files)
    elif not _LANGUAGE.match(title):  # of the page in another language
        yield title.lstrip(":")


def _tag(node: Tag, files: frozenset[str]) -> Iterator[str]:
    name = str(node.tag).strip().lower()
    if name in _UNSEEN:
        return
    if name in _AS_IT_STANDS:
        yield str(node.contents or "")
    elif name in _FORMULA:
        yield f"\\({str(node.contents or '').strip()}\\)"
    elif name == "table":
        yield from _table(node, files)
    elif name == "br":
        yield "\n"
    elif name == "li":
        yield "• "
        yield from _written(node.contents, files)
    elif name not in ("dt", "dd", "hr") or not node.wiki_markup:
        is_block = name in ("p", "div", "blockquote", "poem", "ul", "ol", "dl", "center", "tr")
        yield "\n" * is_block
        yield from _written(node.contents, files)
        yield "\n" * is_block


def _table(node: Tag, files: frozenset[str]) -> Iterator[str]:
    """Yield a row a line, its cells between bars; boxes beside the text are omitted."""
    if any(_BOXES.search(str(attribute)) for attribute in node.attributes):
        return
    for kind, parts in groupby(_tags(node), _kind):
        found = list(parts)
        rows = [list(_tags(part)) for part in found] if kind == "tr" else [found]  # the first row has no mark
        for cells in rows:
            shown = (" ".join("".join(_written(cell.contents, files)).split()) for cell in cells)
            words = " | ".join(cell for cell in shown if cell)
            yield "\n" + (words.removeprefix("+") if kind == "caption" else words)
    yield "\n"


def _kind(part: Tag) -> str:
    """Return what a part of a table is; mwparserfromhell takes a caption (`|+`) for a cell."""
    if part.tag == "td" and str(part.contents or "").startswith("+"):
        return "caption"
    return "tr" if part.tag == "tr" else ""


def _tags(node: Tag) -> Iterator[Tag]:
    return (each for each in (node.contents.nodes if node.contents else ()) if isinstance(each, Tag))
