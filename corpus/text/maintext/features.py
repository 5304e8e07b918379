"""The numbers that a line is judged by: what it is, what it stands in and beside, what page it is on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.text.maintext import tags
from corpus.text.maintext.columns import (
    AROUND,
    FEATURES,
    LEVELS,
    LINE_BITS,
    MARK_BITS,
    OG_TYPES,
    PAGE_BITS,
    TARGET_BITS,
    TYPES,
)
from corpus.text.maintext.keys import contains, line_key, log, same_count, span, title_key
from corpus.text.maintext.lines import (
    BARS,
    CAPITALS,
    CHARS,
    CODED,
    COMMAS,
    CONTROLS,
    DIGITS,
    ELEMENT,
    EMPHASIZED,
    ENDS,
    ITEM,
    LABELS,
    LETTERS,
    LINKED,
    LINKS,
    MONEY,
    PICTURES,
    ROW,
    SOFT,
    STOPS,
    TIMES,
    WORDS,
)
from corpus.text.maintext.markup import Markup
from corpus.text.maintext.scan import IN_TEXT, meaning
from corpus.text.maintext.words import BIT, BITS, MEANINGS
from corpus.text.maintext.words import WORDS as KNOWN

# An element that holds the first third of the page's prose is main text, whatever it is called.
_DOUBTED = np.int64(
    tags.NAV
    | tags.ASIDE
    | tags.FOOTER
    | tags.HEADER
    | tags.FORM
    | tags.FIGURE
    | tags.CAPTION
    | tags.HIDDEN
    | tags.NOSCRIPT
)
_TRUSTED = np.uint64(
    sum(1 << BIT[name] for name in ("content", "post", "documentation", "product", "faq", "code"))
)
_CONSENT = np.uint64(1 << BIT["consent"] | 1 << BIT["furniture"])
_CAPTIONS = np.uint64(1 << BIT["caption"] | 1 << BIT["furniture"])
_AT = np.array(AROUND)
# (feature, column): counts of the line as shares of its characters, and as logarithms.
_SHARES = np.array(
    [
        *((2, LINKED), (3, CONTROLS), (4, EMPHASIZED), (5, CODED)),
        *((6, LABELS), (7, TIMES), (11, DIGITS), (13, LETTERS)),
    ]
)
_LOGS = np.array([(0, CHARS), (1, WORDS), (8, LINKS), (15, BARS), (16, MONEY)])


def features(data: bytes, markup: Markup, start: int = 0, end: int | None = None) -> NDArray[np.float32]:
    """Return a row of FEATURES for each line of a page, or for some of them."""
    found: Any = _features(
        np.frombuffer(data, np.uint8),
        markup.tag,
        markup.parent,
        markup.marks,
        markup.names,
        markup.kind,
        markup.nth,
        markup.pieces,
        markup.lines,
        markup.targets,
        markup.meta,
        KNOWN,
        BITS,
        len(FEATURES),
        start,
        len(markup.lines) if end is None else end,
    )
    return np.asarray(found)


@njit(cache=True, error_model="numpy")  # nothing is divided by 0
def _features(  # type: ignore[no-untyped-def]
    data, tag, parent, marks, names, kind, nth, pieces, lines, targets, meta, known, bits, width, start, end
):
    n, elements = lines.shape[0], tag.size
    x = np.zeros((end - start, width), np.float32)
    if n == 0:
        return x
    # What each line is by itself.
    prose = np.zeros(n, np.int64)
    says = np.zeros(n, np.uint64)
    keys = np.zeros(n, np.uint64)
    in_title = np.zeros(n, np.bool_)
    level = np.zeros(n, np.int32)
    title = title_key(data, meta[0], min(meta[1], meta[0] + 400))
    for i in range(n):
        row = lines[i]
        chars = row[CHARS]
        if chars >= 60 and 2 * row[LINKED] < chars and (row[STOPS] or row[COMMAS] or chars >= 120):
            prose[i] = chars
        key, text, length = line_key(data, pieces, row[1], row[2], 200)
        keys[i] = key
        in_title[i] = 8 <= length <= title.size and contains(title, text)
        if row[WORDS] <= 12:
            for p in range(row[1], row[2]):
                says[i] |= meaning(data, np.int64(pieces[p, 0]), np.int64(pieces[p, 1]), IN_TEXT, known, bits)
        number = tag[row[ELEMENT]]
        if _H1 <= number <= _H6:
            level[i] = number - _H1 + 1
    # What each element holds.
    text = np.zeros(elements, np.int64)
    linked = np.zeros(elements, np.int64)
    held = np.zeros(elements, np.int64)
    count = np.zeros(elements, np.int64)
    for i in range(n):
        e = lines[i, ELEMENT]
        text[e] += lines[i, CHARS]
        linked[e] += lines[i, LINKED]
        held[e] += prose[i]
        count[e] += 1
    for e in range(elements - 1, 0, -1):
        text[parent[e]] += text[e]
        linked[parent[e]] += linked[e]
        held[parent[e]] += held[e]
        count[parent[e]] += count[e]
    whole, all_prose = max(1, text[0]), held[0]
    starts = np.full(elements, n, np.int64)
    prose_until = np.zeros(n + 1, np.int64)
    for i in range(n):
        starts[lines[i, ELEMENT]] = min(starts[lines[i, ELEMENT]], i)
        prose_until[i + 1] = prose_until[i] + prose[i]
    for e in range(elements - 1, 0, -1):
        starts[parent[e]] = min(starts[parent[e]], starts[e])
    # Siblings that are alike.
    alike_key = np.empty(elements, np.uint64)
    for e in range(elements):
        alike_key[e] = (kind[e] ^ (np.uint64(parent[e] + 1) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(
            0x100000001B3
        )
    first, alike = same_count(alike_key)
    alike_prose = np.zeros(elements, np.int64)
    for e in range(1, elements):
        if held[e] and alike[first[e]] > 1:
            alike_prose[first[e]] += held[e]
    h1_at = n
    for i in range(n):
        if level[i] == 1:
            h1_at = i
            break
    # From the root down: marks and meanings in force, the roots of the prose, depth.
    force = np.zeros(elements, np.int64)
    inside = np.zeros(elements, np.uint64)  # meanings of its names and of those of what it is in
    own_names = np.zeros(elements, np.uint64)
    depth = np.zeros(elements, np.int32)
    page_share = np.zeros(_N_MEANINGS, np.float64)
    half: Any = np.int64(0)
    most: Any = np.int64(0)
    articles = forms = h1s = 0
    for e in range(elements):
        above = parent[e]
        # Comments may be longer than what they are about, but stand after it and do not hold its heading.
        large = 3 * held[e] >= all_prose > 0 and (
            starts[e] <= h1_at < starts[e] + count[e] or 50 * prose_until[starts[e]] <= all_prose
        )
        own = marks[e]
        if above >= 0:
            own &= ~marks[above]
            depth[e] = depth[above] + 1
            force[e] = force[above]
            inside[e] = inside[above]
            if 2 * held[e] > all_prose and above == half:
                half = e
            if 5 * held[e] > 4 * all_prose and above == most:
                most = e
        force[e] |= own & ~_DOUBTED if large else own
        own_names[e] = names[e]
        if 3 * alike_prose[first[e]] >= all_prose > 0:
            own_names[e] &= ~_CAPTIONS  # the text of a gallery
        if large:
            heading = starts[e] <= h1_at < starts[e] + count[e]
            banner = (
                names[e] & _CONSENT == _CONSENT and not heading
            )  # all the prose of a page that has no text
            own_names[e] &= _TRUSTED | _CONSENT if banner else _TRUSTED
        new = own_names[e] & ~inside[e]
        if e and new:
            for c in range(_N_MEANINGS):
                if new >> np.uint64(c) & np.uint64(1):
                    page_share[c] += text[e] / whole
        if e:
            inside[e] |= own_names[e]
        articles += tag[e] == _ARTICLE
        forms += tag[e] == _FORM
        h1s += tag[e] == _H1
    half_start, half_end = span(parent, lines, half, elements)
    most_start, most_end = span(parent, lines, most, elements)
    top_alike = 0
    for e in range(elements):
        top_alike = max(top_alike, alike_prose[e])
    longest = prose_lines = 0
    for i in range(n):
        longest = max(longest, prose[i])
        prose_lines += prose[i] > 0
    same, copies = same_count(keys)
    # Lines that stand on the same path of elements.
    way = np.empty(n, np.uint64)
    for i in range(n):
        a = lines[i, ELEMENT]
        key = np.uint64(7)
        for _ in range(3):
            key = (key ^ kind[a]) * np.uint64(0x100000001B3)
            a = max(0, parent[a])
        way[i] = key
    path, path_lines = same_count(way)
    path_chars = np.zeros(n, np.int64)
    path_linked = np.zeros(n, np.int64)
    path_prose = np.zeros(n, np.int64)
    for i in range(n):
        path_chars[path[i]] += lines[i, CHARS]
        path_linked[path[i]] += lines[i, LINKED]
        path_prose[path[i]] += prose[i]
    # Smoothed from both sides.
    ahead = np.zeros(n + 1, np.float64)
    until = np.zeros(n + 1, np.int64)
    until[n] = 99
    for i in range(n - 1, -1, -1):
        ahead[i] = 0.7 * (ahead[i + 1] if i + 1 < n else 0.0) + 0.3 * prose[i]
        until[i] = 0 if prose[i] else until[i + 1] + 1
    page = np.empty(10 + TYPES + 2 + PAGE_BITS.size, np.float32)
    page[0] = log(whole)
    page[1] = linked[0] / whole
    page[2] = log(n)
    page[3] = all_prose / whole
    page[4] = longest / max(1, all_prose)
    page[5] = log(prose_lines)
    page[6] = min(20, articles)
    page[7] = top_alike / max(1, all_prose)
    page[8] = min(5, h1s)
    page[9] = min(10, forms)
    for bit in range(TYPES + 2):
        page[10 + bit] = meta[2] >> (bit if bit < TYPES else bit - TYPES + OG_TYPES) & 1
    for c in range(PAGE_BITS.size):
        b = 0
        while PAGE_BITS[c] >> np.uint64(b) != np.uint64(1):
            b += 1
        page[12 + TYPES + c] = page_share[b]
    behind = 0.0
    since = since_heading = 99
    heading_level = 0
    heading_says = np.uint64(0)
    before = prose_before = 0
    for i in range(end):
        if i:
            last = lines[i - 1]
            behind = 0.7 * behind + 0.3 * prose[i - 1]
            since = 0 if prose[i - 1] else since + 1
            since_heading += 1
            if level[i - 1] or (last[WORDS] <= 6 and last[ENDS] == 2):
                since_heading = 0
                heading_level = level[i - 1] if level[i - 1] else 7
                heading_says = says[i - 1]
            before += last[CHARS]
            prose_before += prose[i - 1]
        if i < start:
            continue
        row, e = lines[i], lines[i, ELEMENT]
        chars = max(1, row[CHARS])
        words = max(1, row[WORDS])
        f = x[i - start]
        for c in range(_SHARES.shape[0]):
            f[_SHARES[c, 0]] = row[_SHARES[c, 1]] / chars
        for c in range(_LOGS.shape[0]):
            f[_LOGS[c, 0]] = log(row[_LOGS[c, 1]])
        f[9] = row[COMMAS] / words
        f[10] = row[STOPS] / words
        f[12] = row[CAPITALS] / max(1, row[LETTERS])
        f[14] = chars / words
        f[17] = row[ENDS]
        f[18] = min(row[SOFT], 3)
        f[19] = min(row[PICTURES], 5)
        f[20] = row[ITEM] >= 0
        f[21] = row[ROW] >= 0
        f[22] = level[i]
        f[23] = min(50, nth[row[ITEM]] if row[ITEM] >= 0 else 0)
        f[24] = min(60, depth[e])
        f[25] = before / whole
        f[26] = i / n
        f[27] = log(before)
        f[28] = log(whole - before - row[CHARS])
        f[29] = prose_before / max(1, all_prose)
        f[30] = min(9, copies[same[i]])
        f[31] = in_title[i]
        f[32] = min(50, since_heading)
        f[33] = heading_level
        f[34] = max(-50, min(200, i - h1_at))
        f[35] = i < h1_at
        f[36] = min(50, since)
        f[37] = min(50, until[i + 1])
        f[38] = log(behind)
        f[39] = log(ahead[i + 1])
        f[40] = prose[i] > 0
        k = 41
        flags = force[e] | (marks[e] & _OF_ITSELF)
        for m in range(MARK_BITS.size):
            f[k] = flags & MARK_BITS[m] != 0
            k += 1
        a, left = e, inside[e]
        while a > 0 and left:
            new = own_names[a] & left
            left &= ~new
            c = 0
            while new:
                if new & np.uint64(1):
                    f[k + c] = text[a] / whole
                new >>= np.uint64(1)
                c += 1
            a = parent[a]
        k += _N_MEANINGS
        # Ancestors that hold more than the line, and more than each other.
        a, holds = e, row[CHARS]
        group = 0
        for _ in range(LEVELS):
            like = 1
            while text[a] <= holds:
                if alike[first[a]] > like:
                    like, group = alike[first[a]], max(group, alike_prose[first[a]])
                if a == 0:
                    break
                a = parent[a]
            holds = text[a]
            held_chars = max(1, text[a])
            f[k] = log(text[a])
            f[k + 1] = linked[a] / held_chars
            f[k + 2] = log(count[a])
            f[k + 3] = held[a] / held_chars
            f[k + 4] = log(like)
            f[k + 5] = held[a] / max(1, all_prose)
            k += 6
        j = path[i]
        f[k] = log(path_lines[j])
        f[k + 1] = path_chars[j] / whole
        f[k + 2] = path_linked[j] / max(1, path_chars[j])
        f[k + 3] = path_prose[j] / max(1, all_prose)
        f[k + 4] = log(path_chars[j] / path_lines[j])
        k += 5
        f[k] = half_start <= i < half_end
        f[k + 1] = most_start <= i < most_end
        f[k + 2] = (i - half_start) / max(1, half_end - half_start)
        f[k + 3] = (i - most_start) / max(1, most_end - most_start)
        f[k + 4] = held[half] / max(1, text[half])
        f[k + 5] = group / max(1, all_prose)
        k += 6
        for c in range(LINE_BITS.size):
            f[k + c] = says[i] & LINE_BITS[c] != 0
            f[k + c + LINE_BITS.size] = heading_says & LINE_BITS[c] != 0
        k += 2 * LINE_BITS.size
        for c in range(TARGET_BITS.size):
            f[k + c] = targets[i] & TARGET_BITS[c] != 0
        k += TARGET_BITS.size
        for at in _AT:
            j = i + at
            if 0 <= j < n:
                f[k] = log(lines[j, CHARS])
                f[k + 1] = lines[j, LINKED] / max(1, lines[j, CHARS])
                f[k + 2] = lines[j, ENDS]
                f[k + 3] = level[j]
                f[k + 4] = parent[lines[j, ELEMENT]] == parent[e]
            else:
                f[k] = -1
            k += 5
        for c in range(page.size):
            f[k + c] = page[c]
    return x


_H1, _H6, _ARTICLE, _FORM = (tags.NUMBER[name] for name in ("h1", "h6", "article", "form"))
_N_MEANINGS = len(MEANINGS)
_OF_ITSELF = np.int64(tags.LINK | tags.CONTROL | tags.HEADING | tags.PARAGRAPH)
