"""Which open elements a tag closes, as HTML's parser has it."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.text.maintext import tags

# Of a type, for numba compiles a function again for each plain number that it is called with.
_NUMBER = {name: np.int64(number) for name, number in tags.NUMBER.items()}
_P, _LI, _UL, _OL, _DD, _DT, _DL = (_NUMBER[name] for name in ("p", "li", "ul", "ol", "dd", "dt", "dl"))
_TABLE, _TR, _TD, _TH, _CAPTION = (_NUMBER[name] for name in ("table", "tr", "td", "th", "caption"))
_TBODY, _THEAD, _TFOOT = (_NUMBER[name] for name in ("tbody", "thead", "tfoot"))
_H1, _H6, _A, _BUTTON = (_NUMBER[name] for name in ("h1", "h6", "a", "button"))
_NONE, _SCOPE, _BLOCK = np.int64(0), np.int64(tags.SCOPE), np.int64(tags.BLOCK)


@njit(cache=True, inline="always")
def nearest(st_tag, st_el, top, number):  # type: ignore[no-untyped-def]
    """Return the innermost open element of a name within the table, -1 where none is open."""
    for i in range(top, 0, -1):
        if st_tag[i] == number:
            return st_el[i]
        if st_tag[i] == _TABLE:
            return -1
    return -1


@njit(cache=True)
def pop_to(place, st_tag, opened, top):  # type: ignore[no-untyped-def]
    """Close the element at a place of the stack, and all in it."""
    while top >= place:
        opened[st_tag[top]] -= 1
        top -= 1
    return top


@njit(cache=True)
def _close_in(number, other, until_a, until_b, barrier, st_tag, opened, traits_of, top):  # type: ignore[no-untyped-def]
    """Close the innermost element of either name, unless one of `until_*` or a barrier is in between."""
    if opened[number] == 0 and opened[other] == 0:
        return top
    for i in range(top, 0, -1):
        name = st_tag[i]
        if name in (number, other):
            return pop_to(i, st_tag, opened, top)
        if name in (until_a, until_b) or traits_of[name] & barrier:
            return top
    return top


@njit(cache=True)
def close_before(number, traits, st_tag, opened, traits_of, top):  # type: ignore[no-untyped-def]
    """Close what the start tag of an element implies to be closed; return the new top of the stack."""
    if traits & tags.CLOSES_P and opened[_P]:
        top = _close_in(_P, _P, _NONE, _NONE, _SCOPE, st_tag, opened, traits_of, top)
    if number == _LI:
        return _close_in(_LI, _LI, _UL, _OL, _SCOPE, st_tag, opened, traits_of, top)
    if number in (_DD, _DT):
        return _close_in(_DD, _DT, _DL, _DL, _SCOPE, st_tag, opened, traits_of, top)
    if number in (_TD, _TH):
        return _close_in(_TD, _TH, _TABLE, _TR, _NONE, st_tag, opened, traits_of, top)
    if number == _TR:
        return _close_in(_TR, _CAPTION, _TABLE, _TABLE, _NONE, st_tag, opened, traits_of, top)
    if number in (_TBODY, _THEAD, _TFOOT):
        top = _close_in(_TBODY, _THEAD, _TABLE, _TABLE, _NONE, st_tag, opened, traits_of, top)
        return _close_in(_TFOOT, _CAPTION, _TABLE, _TABLE, _NONE, st_tag, opened, traits_of, top)
    if number in (_A, _BUTTON):
        return _close_in(number, number, _NONE, _NONE, _BLOCK, st_tag, opened, traits_of, top)
    if _H1 <= number <= _H6 and _H1 <= st_tag[top] <= _H6:
        return pop_to(top, st_tag, opened, top)
    return top


@njit(cache=True)
def close_tag(number, key, traits, st_tag, st_key, st_marks, opened, traits_of, marks_of, top):  # type: ignore[no-untyped-def]
    """Close the element that an end tag names, where it is open; return the new top of the stack."""
    heading = _H1 <= number <= _H6  # of any level: browsers close <h2> at </h3>
    if opened[number] == 0 and not heading:
        return top
    structure = number in (_TABLE, _TR, _TBODY, _THEAD, _TFOOT)
    crossed = False
    for i in range(top, 0, -1):
        name = st_tag[i]
        if name == number and (number != 0 or st_key[i] == key):
            if crossed and traits & tags.INLINE and number != 0:
                # The blocks that started in it stay open, but are no longer what it made them.
                for j in range(i, top + 1):
                    st_marks[j] &= ~(marks_of[number] | tags.UNSEEN | tags.QUIET)
                return top
            return pop_to(i, st_tag, opened, top)
        if heading and _H1 <= name <= _H6:
            return pop_to(i, st_tag, opened, top)
        own = traits_of[name]
        if own & tags.SCOPE and not (structure and name != _TABLE):
            return top
        crossed = crossed or own & tags.BLOCK != 0
    return top
