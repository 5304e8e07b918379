"""A page as a tree in which Resiliparse's main-content mode finds all text: what it would lose is shielded.

Its heuristics look at one element or text node at a time and take a lone character for an icon, a `<time>`
for the date of the page, and a class such as `email` for a box of links, also where they are in a sentence.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import NamedTuple

from resiliparse.parse.html import DocumentNode, ElementNode, HTMLTree, Node, NodeType

# The parser compares each attribute of a tag with all others of it: 100,000 take 20 seconds. No page means
# so many; those after the first ones go. Scripts and comments are stepped over: `a<b` is not a tag there.
_ATTRIBUTES = 256
_SMALL = 20_000  # characters in which even such a tag takes no time to speak of
_ATTRIBUTE = r"[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+)?+)?+"
# Most tags, several times as fast: with so little between their attributes, they have no thousand of them.
_USUAL_TAG = (
    r"<[A-Za-z][^<>\"'=]{0,200}+(?:=(?:\"[^\"]*+\"|'[^']*+'|[^\s<>\"'=]{1,99}+)[^<>\"'=]{0,20}+){0,50}+>"
)
_TAG = re.compile(
    r"<!--[^-]*+(?:-(?!->)[^-]*+)*+"
    r"|<(?P<raw>script|style)[\s/>][^<]*+(?:<(?!/(?P=raw))[^<]*+)*+"
    rf"|{_USUAL_TAG}"
    rf"|(?P<tag><[A-Za-z][^\s/>]*+(?:{_ATTRIBUTE}){{0,{_ATTRIBUTES}}}+)(?P<more>(?:{_ATTRIBUTE})*+)",
    re.IGNORECASE,
)

# Text between two tags that, blanks aside, has two characters at most, some perhaps as entities.
_LONE = re.compile(
    r">[\s\0]*+(?=[^<\s\0])"
    r"(?P<text>(?:[\s\0]|&#?\w{1,32}+;?+)*+[^\s\0<>&]{0,2}+(?:[\s\0]|&#?\w{1,32}+;?+)*+)(?=<|\Z)"
)
_BLANKS = "\0 \t\n\r\f\v"
_SHIELD = "\ufdd0"  # a noncharacter: no text has it
_TO_LINK = re.compile(r"<a\b[^<>]*>[\s\0]*\Z", re.IGNORECASE)

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "dt")
_BLOCKS = ("p", "li", "dd", "td", "th", "blockquote", *_HEADINGS)
_IS_BLOCK = frozenset(_BLOCKS)
_BETWEEN = 8  # elements that may stand between an inline element and its block
_INLINE = frozenset(
    [
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn"),
        *("em", "font", "i", "ins", "kbd", "label", "mark", "meter", "nobr", "output", "q", "ruby", "s"),
        *("samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var"),
    ]
)
_REPLACED = frozenset({"time", "label", "button"})  # dropped for what they are, not for their attributes
_TELLING = ("class", "id", "rel", "itemprop", "role", "aria-hidden", "data-ad")
# Children and not descendants: for each element of a deep page all that are above it would be looked at.
_SELECTOR = ", ".join(
    f"{blocks} > {between}{elements}"
    for blocks, elements in (
        (f":is({', '.join(_BLOCKS)}, div)", ":is(time, button)"),
        (f":is({', '.join(_BLOCKS)})", f":is({', '.join(f'[{name}]' for name in _TELLING)})"),
    )
    for between in ("", "* > ", "* > * > ", "* > * > * > ")
)
_HIDDEN = re.compile(
    r"(?:^|\s)(?:(?:is|visually)[_-])?(?:display-none|hidden|invisible|collapsed|h-0|sr-only|"
    r"screen-reader(?:-text)?|skip(?:-?link|-to)?)(?:-\w+)?(?:$|\s)"
)
# What an article is about, as WordPress writes it into the article's class: tag-newsletter, category-login.
_TOPIC_WORDS = ("tag", "tags", "category", "cat", "topic", "subject", "keyword")
_TOPIC = re.compile(rf"(?<!\S)(?:post_)?(?:{'|'.join(_TOPIC_WORDS)})-\S+")
_TOPICS = ":is(article, .post, .hentry)"

# What Resiliparse keeps and gold texts lack: without it, F1 on article-extraction-benchmark rises by 0.012 at
# no cost in recall (benchmarks/extraction.py). Whole words of a class say so; a word that is part of a longer
# one says so of short elements only, for galleries have their text in `photo-caption`.
_FURNITURE_WORDS = ("caption", "breadcrumb", "byline", "newsletter")
_FURNITURE_LOOK = ", ".join(f'[class*="{word}" i]' for word in _FURNITURE_WORDS)
_IS_FURNITURE = re.compile(rf"(?<!\S)(?:{'|'.join(_FURNITURE_WORDS)})s?(?!\S)", re.IGNORECASE)
_HAS_FURNITURE = re.compile(
    rf"(?<!\S)(?:has|no|with|without|is|show|hide|flag|{'|'.join(_TOPIC_WORDS)})[-_]\S*", re.IGNORECASE
)
_SHORT = 600
_MEASURED = 10_000_000  # characters, beyond which only elements that hold each other get
FURNITURE = "[data-furniture]"
MENUS = "[data-menu]"

# An element that holds most of the prose is the article, whatever its class says, but for these.
_NO_ARTICLE = re.compile(
    r"(?:^|[\s_-])(?:comments?|replies|respond|disqus|cookies?|consent|cerez|kvkk|modal|popup|related|"
    r"sidebar)",
    re.IGNORECASE,
)
_PROSE = 60  # characters of a paragraph that is prose
_UP = 4  # how far above its paragraphs an article's own element is
_DEEP = 50  # ancestors looked at
_ENDS = (".", "!", "?", ";", "。", "।", "؟")
_TEASER = "ul, div, img, h1, h2, h3, h4, h5, h6"  # what lists of other articles have in their items
_LINKED = 3  # lists of which more than a third is links are menus
_LOOKS = 5  # times that a page's length is looked at for lists
_A_LINK = 20  # what a link counts for beside its characters
_LONG_BLOCK = 10_000
_SENTENCE = 40  # characters beside an element that make its block more than a date or a name
_FIELDS = "input, select, textarea, button, meter, output, progress"


def tree(page: str) -> HTMLTree:
    """Return the page's tree for extraction; `unshielded` takes out of its text what was put in."""
    page = _few_attributes(_shielded(page))
    try:
        parsed = HTMLTree.parse(page)
    except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 holds
        parsed = HTMLTree.parse(page.encode("utf-8", "replace").decode())
    if parsed.document is not None:
        _shield_labels(parsed, parsed.document)
        for element in parsed.document.query_selector_all(_TOPICS).values():
            if element.hasattr("class"):
                element.class_name = _TOPIC.sub("", element.class_name or "")
        for quote in parsed.document.query_selector_all("blockquote[class]").values():
            if not _is_hidden(quote):  # posts of social networks too are part of what quotes them
                quote.delattr("class")
        _shield_lists(parsed, parsed.document, _LOOKS * len(page))
        blocks: dict[ElementNode, _Block] = {}
        for element in parsed.document.query_selector_all(_SELECTOR).values():
            _shield_inline(parsed, element, blocks)
    return parsed


def mark_furniture(parsed: HTMLTree) -> int:
    """Mark captions, bylines and the like for the selector FURNITURE; return how much text they hold.

    A text that several of them hold, as galleries repeat their captions, counts once.
    """
    held: set[str] = set()
    measured = 0
    for element in parsed.document.query_selector_all(_FURNITURE_LOOK).values() if parsed.document else ():
        names = _HAS_FURNITURE.sub("", element.class_name or "")
        text = element.text or "" if measured < _MEASURED else ""
        measured += len(text)
        part = len(text) <= _SHORT and any(word in names.lower() for word in _FURNITURE_WORDS)
        if part or _IS_FURNITURE.search(names):
            element.setattr("data-furniture", "")
            held.add(text.strip())
    return sum(map(len, held))


def mark_menus(parsed: HTMLTree, selectors: list[str]) -> None:
    """Mark the lists, of those that `selectors` find, whose text is mostly links, for the selector MENUS."""
    measured = 0
    for element in (
        parsed.document.query_selector_all(", ".join(selectors)).values() if parsed.document else ()
    ):
        length = len(element.text or "") if measured < _MEASURED else 0
        measured += length
        links = element.query_selector_all("li > a:only-child").values() if length else ()
        if 2 * sum(len(link.text or "") for link in links) >= length:
            element.setattr("data-menu", "")


def prose(parsed: HTMLTree) -> int:
    """Return how many characters the page's longer paragraphs have, wherever they stand."""
    return sum(length for _, length in _paragraphs(parsed))


def shield_article(parsed: HTMLTree) -> bool:
    """Take class and id from the elements that hold most of the prose; return whether any were found."""
    weights: dict[ElementNode, int] = {}
    paragraphs = _paragraphs(parsed)
    for paragraph, length in paragraphs:
        for element in _ancestors(paragraph, _UP):
            weights[element] = weights.get(element, 0) + length
    total = sum(length for _, length in paragraphs)
    article = next((element for element, weight in weights.items() if 2 * weight > total), None)
    if article is None:
        return False
    chain = [article, *_ancestors(article, _DEEP)]
    if any(_is_hidden(e) or e.hasattr("hidden") or _NO_ARTICLE.search(_names(e)) for e in chain):
        return False
    for element in chain:
        for attribute in ("class", "id"):
            element.delattr(attribute)
    return True


def _paragraphs(parsed: HTMLTree) -> list[tuple[ElementNode, int]]:
    if parsed.document is None:
        return []
    lengths = [(p, len(p.text or "")) for p in parsed.document.get_elements_by_tag_name("p").values()]
    return [(p, length) for p, length in lengths if length >= _PROSE]


def _ancestors(element: ElementNode, most: int) -> list[ElementNode]:
    found: list[ElementNode] = []
    above = element.parent_element
    while above is not None and above.local_name != "body" and len(found) < most:
        found.append(above)
        above = above.parent_element
    return found


def _names(element: ElementNode) -> str:
    return f"{element.class_name or ''} {element.id or ''}"


def unshielded(text: str) -> str:
    """Return extracted text without the marks that kept lone characters in it."""
    return text.replace(_SHIELD, "")


def _few_attributes(page: str) -> str:
    if len(page) < _SMALL:
        return page
    pieces, at = [], 0
    for match in _TAG.finditer(page):
        if match["more"]:
            pieces.append(page[at : match.end("tag")])
            at = match.end()
    return "".join([*pieces, page[at:]]) if pieces else page


def _shielded(page: str) -> str:
    """Return the page with a mark in each text node that Resiliparse would drop as an icon.

    That is ¶, and any three bytes of UTF-8 of which the last is not ASCII's: `–`, `中`, `iş`, a stop with a
    no-break space. One character of the private use areas is an icon, ¶ alone in a link leads to a heading.
    """

    def shield(match: re.Match[str]) -> str:
        text = html.unescape(match["text"]).strip(_BLANKS)
        if text.isascii() or len(text) > 2 or (len(text) == 1 and unicodedata.category(text)[0] in "CZ"):
            return match[0]
        if text == "¶" and _TO_LINK.search(page, max(0, match.start() - 1000), match.start() + 1):
            return match[0]
        start = match.start("text") - match.start()
        return f"{match[0][:start]}{_SHIELD}{match[0][start:]}"

    page = f">{page.replace(_SHIELD, '')}"  # so that text before the first tag stands behind one too
    return _LONE.sub(shield, page)[1:]


def _shield_labels(parsed: HTMLTree, document: DocumentNode) -> None:
    """Keep each <label> that has no form field, neither within itself nor by its `for`."""
    labels = document.get_elements_by_tag_name("label").values()
    if not labels:
        return
    fields = {field.getattr("id") for field in document.query_selector_all(_FIELDS).values()} - {None, ""}
    for label in labels:
        if label.getattr("for") not in fields and label.query_selector(f"label, {_FIELDS}") is None:
            _replace(parsed, label)


def _shield_lists(parsed: HTMLTree, document: DocumentNode, limit: int) -> None:
    """Unlink what is linked in lists of sentences: a fifth of links makes a list a menu otherwise.

    `limit` is the characters looked at: lists in lists hold the same text again and again.
    """
    measured = 0
    for element in document.get_elements_by_tag_name("ul").values():
        last = element.last_element_child
        ending = (last.text or "").rstrip() if last is not None and measured < limit else ""
        measured += len(ending)
        if not ending.endswith(_ENDS):
            continue
        items = [(item.text or "").rstrip() for item in element.children.values()]
        links = element.query_selector_all("a").values()
        length, linked = sum(map(len, items)), sum(len(link.text or "") for link in links)
        measured += length + linked + _A_LINK * (len(items) + len(links))
        ended = all(item.endswith(_ENDS) and not item.endswith("...") for item in items if item)
        if _LINKED * linked < length and ended and element.query_selector(_TEASER) is None:
            for link in links:
                _replace(parsed, link)


class _Block(NamedTuple):
    """Whether a paragraph or the like begins or ends in words of its own, and the length of its text."""

    has_words: bool
    length: int


def _shield_inline(parsed: HTMLTree, element: ElementNode, blocks: dict[ElementNode, _Block]) -> None:
    """Take from an element that is part of a sentence what would cost it its place there."""
    name = element.local_name or ""
    if not (name in _INLINE or "-" in name) or _is_hidden(element) or not _in_sentence(element, blocks):
        return
    if name in _REPLACED:
        _replace(parsed, element)
        return
    for attribute in _TELLING:
        element.delattr(attribute)


def _replace(parsed: HTMLTree, element: ElementNode) -> None:
    if element.query_selector(element.local_name or "") is not None:
        return  # nested in itself, as no page means it: moving each with all that it holds takes ever longer
    plain = parsed.create_element("span")
    if isinstance(plain, ElementNode):
        plain.append(*element.child_nodes.values())
        element.replace_with(plain)


def _is_hidden(element: ElementNode) -> bool:
    """Return whether readers do not see the element; signs without a letter may be hidden from ears alone."""
    if _HIDDEN.search(element.class_name or ""):
        return True
    return element.getattr("aria-hidden") == "true" and any(map(str.isalnum, element.text or ""))


def _in_sentence(element: ElementNode, blocks: dict[ElementNode, _Block]) -> bool:
    """Return whether text stands beside the element, or enough of it in the same block.

    A heading that is a button unfolds what it is the heading of.
    """
    before, after = element.prev, element.next
    if _has_words(before) or _has_words(after):
        return True
    block = element.parent_element
    if before is None and after is None and block is not None and block.local_name in _IS_BLOCK:
        return element.local_name == "button" and block.local_name in _HEADINGS  # it is all of its block
    for _ in range(_BETWEEN):
        if block is None or block.local_name in _IS_BLOCK:
            break
        block = block.parent_element
    if block is None or block.local_name not in _IS_BLOCK:
        return False
    if element.local_name == "button" and block.local_name in _HEADINGS:
        return True
    if block not in blocks:
        edges = block.first_child, block.last_child
        blocks[block] = _Block(any(map(_has_words, edges)), len(block.text or ""))
    has_words, length = blocks[block]
    # In a long block it is a small part: thousands of elements must not each be measured.
    return has_words or length >= _LONG_BLOCK or length - len(element.text or "") >= _SENTENCE


def _has_words(node: Node | None) -> bool:
    return node is not None and node.type == NodeType.TEXT and any(map(str.isalnum, node.value or ""))
