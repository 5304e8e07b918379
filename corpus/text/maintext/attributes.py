"""The attributes of a start tag: what they say an element is, and whether readers see it."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.maintext.hashing import OFFSET, PRIME, look_up, name_hash, table
from corpus.text.maintext.scan import IN_NAMES, IN_TEXT, is_space, meaning

# Attributes by what they are read for.
_NAMED, _CLASS, _HIDDEN, _ARIA_HIDDEN, _STYLE, _TARGET, _TYPE, _PROPERTY, _CONTENT = range(1, 10)
_ATTRIBUTES, _KINDS = table(
    {
        **dict.fromkeys(
            (b"id", b"role", b"itemprop", b"aria-label", b"data-testid", b"data-component"), _NAMED
        ),
        b"class": _CLASS,
        b"hidden": _HIDDEN,
        b"aria-hidden": _ARIA_HIDDEN,
        b"style": _STYLE,
        b"href": _TARGET,
        b"type": _TYPE,
        b"property": _PROPERTY,
        b"name": _PROPERTY,
        b"content": _CONTENT,
    }
)
# What a page says that it is: in `og:type`, and in `@type` of its JSON-LD.
TYPES, TYPE_BITS = table(
    {
        name.encode(): 1 << bit
        for bit, names in enumerate(
            (
                "article newsarticle blogposting reportagenewsarticle opinionnewsarticle",
                "product offer aggregateoffer productgroup og:product",
                "discussionforumposting qapage question answer",
                "itemlist collectionpage searchresultspage",
                "recipe howto",
                "faqpage",
                "organization localbusiness service professionalservice",
                "techarticle apireference softwareapplication",
                "review aggregaterating",
                "website webpage",
                "videoobject",
            )
        )
        for name in names.split()
    }
)
_LD_HASH, _OG_HASH = np.uint64(name_hash(b"application/ld+json")), np.uint64(name_hash(b"og:type"))
_HIDES, _HIDES_BITS = table(
    dict.fromkeys(
        b"hidden is-hidden is_hidden visually-hidden visuallyhidden sr-only invisible display-none d-none "
        b"collapsed screen-reader screen-reader-text skip-link skiplink skip-to assistive-text".split(),
        1,
    )
)


@njit(cache=True)
def read_attributes(data, at, words, bits, found, meanings):  # type: ignore[no-untyped-def]
    """Return the place after a start tag, and fill in what its attributes say.

    `found`: 2 for hidden plus 1 for hidden from ears; whether JSON-LD; types of the page; closed in itself.
    `meanings`: of its names; the hash of its class; of its link's target.
    """
    found[:] = 0
    meanings[:] = np.uint64(0)
    n = data.size
    is_type = False
    content_start = content_end = 0
    while at < n:
        c = data[at]
        if c == 62:
            at += 1
            break
        if is_space(c) or c == 47:
            found[3] = c == 47 and at + 1 < n and data[at + 1] == 62
            at += 1
            continue
        key = OFFSET
        while at < n:
            c = data[at]
            if c == 61 or c == 62 or c == 47 or is_space(c):
                break
            key = (key ^ np.uint64(c + 32 if 65 <= c <= 90 else c)) * PRIME
            at += 1
        if key == OFFSET:  # "=" where a name should be
            at += 1
            continue
        while at < n and is_space(data[at]):
            at += 1
        start = end = at
        if at < n and data[at] == 61:
            at += 1
            while at < n and is_space(data[at]):
                at += 1
            if at < n and (data[at] == 34 or data[at] == 39):
                quote = data[at]
                start = at + 1
                at = start
                while at < n and data[at] != quote:
                    at += 1
                end = at
                at += 1
            else:
                start = at
                while at < n and data[at] != 62 and not is_space(data[at]):
                    at += 1
                end = at
        kind = look_up(_ATTRIBUTES, _KINDS, key)
        if kind == 0:
            continue
        if kind in (_NAMED, _CLASS):
            meanings[0] |= meaning(data, start, end, IN_NAMES, words, bits)
            if kind == _CLASS:
                meanings[1] = hash_of(data, start, end)
                if _names_hidden(data, start, end):
                    found[0] |= 2
        elif kind == _HIDDEN:
            found[0] |= 2
        elif kind == _ARIA_HIDDEN:
            if end > start and data[start] | 32 == 116:
                found[0] |= 1
        elif kind == _STYLE:
            if _has_no_display(data, start, end):
                found[0] |= 2
        elif kind == _TARGET:
            meanings[2] |= meaning(data, start, min(end, start + 200), IN_TEXT, words, bits)
        elif kind == _TYPE:
            found[1] = hash_of(data, start, end) == _LD_HASH
        elif kind == _PROPERTY:
            is_type = is_type or hash_of(data, start, end) == _OG_HASH
        elif kind == _CONTENT:
            content_start, content_end = start, end
    if is_type:
        found[2] = np.int64(look_up(TYPES, TYPE_BITS, hash_of(data, content_start, content_end)))
    return min(at, n)


@njit(cache=True)
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """Return the hash of a value, its ASCII letters as small ones."""
    key = OFFSET
    for i in range(start, end):
        c = data[i]
        key = (key ^ np.uint64(c + 32 if 65 <= c <= 90 else c)) * PRIME
    return key


@njit(cache=True)
def _names_hidden(data, start, end):  # type: ignore[no-untyped-def]
    """Return whether a class hides: `hidden` and the like, where no word has a condition (`md:block`)."""
    hidden = False
    i = start
    while i < end:
        while i < end and is_space(data[i]):
            i += 1
        key = OFFSET
        while i < end and not is_space(data[i]):
            c = data[i]
            if c == 58:
                return False
            key = (key ^ np.uint64(c + 32 if 65 <= c <= 90 else c)) * PRIME
            i += 1
        hidden = hidden or look_up(_HIDES, _HIDES_BITS, key) != 0
    return hidden


@njit(cache=True)
def _has_no_display(data, start, end):  # type: ignore[no-untyped-def]
    """Return whether a style has `display:none`."""
    for i in range(start, end - 6):
        if (
            data[i] | 32 == 100
            and data[i + 1] | 32 == 105
            and data[i + 2] | 32 == 115
            and data[i + 6] | 32 == 121
        ):
            j = i + 7
            while j < end and (is_space(data[j]) or data[j] == 58):
                j += 1
            if (
                j + 3 < end + 0
                and data[j] | 32 == 110
                and data[j + 1] | 32 == 111
                and data[j + 2] | 32 == 110
            ):
                return True
    return False


@njit(cache=True)
def declared_types(data, start, end):  # type: ignore[no-untyped-def]
    """Return what a page's JSON-LD says that it is: the values of `"@type"`."""
    found = np.int64(0)
    i = start
    while i + 7 < end:
        if not (data[i] == 64 and data[i + 1] == 116 and data[i + 2] == 121 and data[i + 5] == 34):
            i += 1
            continue
        i += 6
        while i < end and (is_space(data[i]) or data[i] == 58 or data[i] == 91 or data[i] == 34):
            i += 1
        value = i
        while i < end and i < value + 40 and data[i] != 34:
            i += 1
        found |= np.int64(look_up(TYPES, TYPE_BITS, hash_of(data, value, i)))
    return found
