"""The elements of HTML: a number for each name, and what the reader of markup must know of it."""

from __future__ import annotations

import numpy as np

from corpus.text.maintext.hashing import table

# Traits of an element's name.
BLOCK = 1  # starts and ends a line of text
VOID = 2  # has no end tag and no content
RAW = 4  # its content is not markup
SKIP = 8  # its text is nobody's
CLOSES_P = 16
SCOPE = 32  # an end tag within it closes nothing outside
INLINE = 64  # ends with its end tag only while no block has started in it

# What a text stands in: inherited from element to element.
LINK, CONTROL, EMPHASIS, CODE, HEADING, PRE, QUOTE, LIST, TABLE, NAV, ASIDE, FOOTER, HEADER = (
    1 << n for n in range(13)
)
FORM, FIGURE, ARTICLE, MAIN, SECTION, SKIPPED, HIDDEN, MATH, PARAGRAPH, DEFINITION, CAPTION, DETAILS = (
    1 << n for n in range(13, 25)
)
ORDERED, ANNOTATION, CELL, LABEL, TIME, QUIET, UNSEEN, NOSCRIPT = (1 << n for n in range(25, 33))

_NAMES = {
    "html head body": 0,
    "div section article main header footer aside nav hgroup center address dir menu ul ol dl": BLOCK
    | CLOSES_P,
    "figure figcaption fieldset form details summary dialog noscript search blockquote pre listing p": BLOCK
    | CLOSES_P,
    "h1 h2 h3 h4 h5 h6 li dd dt": BLOCK | CLOSES_P,
    "table": BLOCK | CLOSES_P | SCOPE,
    "tr tbody thead tfoot colgroup legend": BLOCK,
    "td th caption": BLOCK | SCOPE,
    "hr": BLOCK | CLOSES_P | VOID,
    "br": BLOCK | VOID,
    "area base col embed img input link meta source track wbr param keygen frame": VOID,
    "script style title textarea xmp iframe noembed noframes": RAW | SKIP,
    "svg template select option optgroup datalist audio video canvas map object rp": SKIP,
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark meter nobr": INLINE,
    "output q ruby rb rt s samp small span strike strong sub sup time tt u var": INLINE,
    "button": SCOPE,
    "math annotation progress picture applet marquee": 0,
}
TRAITS_OF = {name: traits for names, traits in _NAMES.items() for name in names.split()}
NUMBER = {name: number for number, name in enumerate(TRAITS_OF, 1)}
TAGS, NUMBERS = table({name.encode(): number for name, number in NUMBER.items()})

TRAITS = np.zeros(len(NUMBER) + 1, np.int64)
TRAITS[0] = INLINE  # unknown names: elements of somebody's own
MARKS = np.zeros(len(NUMBER) + 1, np.int64)
for _name, _traits in TRAITS_OF.items():
    TRAITS[NUMBER[_name]] = _traits
for _names, _mark in {
    "a": LINK,
    "button": CONTROL,
    "label": LABEL,
    "b strong": EMPHASIS,
    "code kbd samp tt": CODE,
    "h1 h2 h3 h4 h5 h6": HEADING,
    "pre listing": PRE,
    "blockquote q": QUOTE,
    "ul menu dir": LIST,
    "ol": LIST | ORDERED,
    "table": TABLE,
    "td th": CELL,
    "nav": NAV,
    "aside": ASIDE,
    "footer": FOOTER,
    "header": HEADER,
    "form fieldset": FORM,
    "figure": FIGURE,
    "figcaption caption": CAPTION,
    "article": ARTICLE,
    "main": MAIN,
    "section": SECTION,
    "p": PARAGRAPH,
    "dl": DEFINITION,
    "details": DETAILS,
    "dialog": HIDDEN,
    "math": MATH,
    "annotation": ANNOTATION,
    "time": TIME,
    "noscript": NOSCRIPT,
}.items():
    for _name in _names.split():
        MARKS[NUMBER[_name]] |= _mark
for _name, _traits in TRAITS_OF.items():
    if _traits & SKIP:
        MARKS[NUMBER[_name]] |= SKIPPED
