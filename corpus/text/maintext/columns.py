"""The names of a line's features, in the order in which `features` computes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpus.text.maintext import tags
from corpus.text.maintext.words import BIT, MEANINGS

TYPES = 11
OG_TYPES = 16
LEVELS = 4
AROUND = (-3, -2, -1, 1, 2, 3)


def _named(names: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in names.split(","))


_MARKS = _named(
    """
    LINK, CONTROL, HEADING, PRE, QUOTE, LIST, ORDERED, TABLE, CELL, NAV, ASIDE, FOOTER, HEADER, FORM,
    FIGURE, CAPTION, ARTICLE, MAIN, SECTION, HIDDEN, PARAGRAPH, DEFINITION, DETAILS, MATH, NOSCRIPT
    """
)
# Meanings that are looked for in short lines and in the heading before.
_OF_LINES = _named(
    """
    comments, related, popular, navigation, share, newsletter, advert, consent, tags, author, caption, date,
    account, search, pagination, price, cart, review, legal, more, support, contents, contact, tools,
    language, references, app, ticker
    """
)
_OF_TARGETS = _named(
    """
    comments, share, tags, author, account, legal, pagination, cart, product, post
    """
)
_OF_PAGES = _named(
    """
    comments, post, product, price, review, documentation, code, list, teaser, faq, feature, content, cart,
    search
    """
)


def _bits(names: tuple[str, ...]) -> NDArray[np.uint64]:
    return np.array([1 << BIT[name] for name in names], np.uint64)


MARK_BITS = np.array([getattr(tags, name) for name in _MARKS], np.int64)
LINE_BITS, TARGET_BITS, PAGE_BITS = _bits(_OF_LINES), _bits(_OF_TARGETS), _bits(_OF_PAGES)

FEATURES = (
    *_named(
        """
        chars, words, link density, controls, emphasis, code, label, time, links, commas, stops, digits,
        capitals, letters, word length, bars, money, ends, soft breaks, pictures, item, row, heading level,
        item number, depth, place in text, place in lines, chars before, chars after, prose before, copies, in
        title, lines since heading, level of heading, since h1, before h1, since prose, until prose, smooth
        prose before, smooth prose after, is prose
        """
    ),
    *(f"in {name.lower()}" for name in _MARKS),
    *(f"name {name}" for name in MEANINGS),
    *(
        f"level {level} {what}"
        for level in range(1, LEVELS + 1)
        for what in ("chars", "links", "lines", "prose", "alike", "share")
    ),
    *_named(
        """
        path lines, path share, path links, path prose, path chars, in half root, in most root, place in half
        root, place in most root, root share, alike prose
        """
    ),
    *(f"says {name}" for name in _OF_LINES),
    *(f"heading says {name}" for name in _OF_LINES),
    *(f"links to {name}" for name in _OF_TARGETS),
    *(f"{at:+d} {what}" for at in AROUND for what in ("chars", "links", "ends", "heading", "same parent")),
    *_named(
        """
        page chars, page links, page lines, page prose, page longest, page prose lines, page articles, page
        alike prose, page h1, page forms
        """
    ),
    *(f"page type {bit}" for bit in range(TYPES)),
    *(f"page og {bit}" for bit in range(2)),
    *(f"page share {name}" for name in _OF_PAGES),
)
FURNITURE, REVIEW = FEATURES.index("name furniture"), FEATURES.index("name review")
