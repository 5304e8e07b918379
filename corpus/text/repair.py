"""Text whose letters were spoilt on the way gets them back, and clean text comes through untouched."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import ftfy
import numpy as np
from ftfy.chardata import UTF8_CLUES
from numpy.typing import NDArray

from corpus.text import turkish
from corpus.text.normalize import TOUCHED, normalize


@dataclass(frozen=True, slots=True)
class Repaired:
    """The text, and how often each rule changed it (no key for a rule that did not)."""

    text: str
    counts: dict[str, int] = field(default_factory=dict)


# One look-up a UTF-16 unit tells which rules a text could need, so clean text costs no regular expression.
_UNNORMALIZED, _TOUCHED, _ENTITY, _LEAD, _TAIL, _MISREAD, _SPACING = 1, 2, 4, 16, 32, 64, 128
_SPACING_MARKS = {"¸": "\u0327", "˘": "\u0306", "˙": "\u0307", "¨": "\u0308", "ˆ": "\u0302"}
# What the first byte of a UTF-8 sequence and a later one (80-BF) look like in a single-byte encoding: ftfy's
# sets without ş and Ş, which only windows-1250 has there and Turkish has everywhere; and a few of the Mac's.
_FIRST = [UTF8_CLUES[f"utf8_first_of_{n}"] for n in (2, 3, 4)]
_LATER = re.sub("[ şŞ]", "", UTF8_CLUES["utf8_continuation"]) + "\ufffd"
_MAC_FIRST, _MAC_LATER = "√≈", "±∂†≠®™´≤≥¥µøº°¢ß"
_LEADS, _TAILS = "".join(_FIRST) + _MAC_FIRST, _LATER + _MAC_LATER
_SUSPECT = re.compile(
    "|".join(f"[{first}][{_LATER}]{{{n}}}" for n, first in enumerate(_FIRST, 1))
    + f"|[{_MAC_FIRST}][{_MAC_LATER}]|[{_FIRST[1]}].?\ufffd"
)


@cache
def _clues() -> NDArray[np.uint8]:
    """Return what each character says; made for the first text, since a build with nothing to do has none."""
    clues = np.zeros(0x10000, np.uint8)
    chars = [chr(code) for code in range(0x10000)]
    clues[[unicodedata.category(char)[0] == "M" for char in chars]] |= _UNNORMALIZED
    clues[[not unicodedata.is_normalized("NFC", char) for char in chars]] |= _UNNORMALIZED
    of_pattern = {TOUCHED: _TOUCHED, re.compile(f"[{_LEADS}]"): _LEAD, re.compile(f"[{_TAILS}]"): _TAIL}
    for pattern, clue in of_pattern.items():
        found = np.array([match.start() for match in pattern.finditer("".join(chars))])
        clues[found[found >= (0 if clue == _TOUCHED else 0x80)]] |= clue
    clues[0x1160:0x1200] |= _UNNORMALIZED  # Hangul vowels and finals join what stands before them
    clues[0xD800:0xE000] |= _UNNORMALIZED | _TOUCHED  # a character beyond 16 bits, or half of one
    clues[ord("&")] |= _ENTITY
    clues[[ord(letter) for letter in turkish.MISREAD_LETTERS]] |= _MISREAD
    clues[[ord(mark) for mark in _SPACING_MARKS]] |= _SPACING
    return clues


_FTFY = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, explain=False)
# UTF-8 of Turkish letters read as windows-1252, windows-1254 or ISO-8859-9; Ğ and Ş lose a byte in 1254.
_SEQUENCES = {
    spoilt: letter
    for letter in "ğĞıİşŞçÇöÖüÜâÂîÎûÛ’‘“”–—…"
    for spoilt in {
        "".join(
            bytes((b,)).decode(codec, "replace").replace("\ufffd", stand_in or chr(b))
            for b in letter.encode()
        )
        for codec in ("cp1252", "cp1254", "latin-1")
        for stand_in in ("", "\ufffd")
        if codec != "latin-1" or not stand_in
    }
    if not spoilt.endswith("\ufffd") or letter in "ĞŞ”"
}
_SEQUENCE = re.compile("|".join(sorted(map(re.escape, _SEQUENCES), key=len, reverse=True)))
# Those that no text has by chance; one of them in a text vouches for the rest.
_SURE = re.compile("[ÄÅ][\x9e\x9f°±žŸ]")
_OWN_LETTERS = frozenset("ğĞıİşŞ")
_OWN = re.compile("([ğĞıİşŞ]+)")
# Before a mark that may follow a word, Ç, Ö and Ü are that word's: `“BÜYÜK MAÇ”` is not the UTF-8 of `MAǔ`.
_BEFORE_MARK = re.compile("([ğĞıİşŞ]+|[ÇÖÜçöü](?=[“”‘’«»‹›„‚…–—•©®™°§¹²³ºª´¨·€±½¼¾\u00a0]))")

_LETTERS_OF_MARK = {"¸": "cCsS", "˘": "gG", "˙": "Iiı", "¨": "oOuU", "ˆ": "aAiıuU"}
_AFTER = re.compile("|".join(f"(?:[{letters}]{mark})" for mark, letters in _LETTERS_OF_MARK.items()))
_BEFORE = re.compile("|".join(f"(?:{mark}[{letters}])" for mark, letters in _LETTERS_OF_MARK.items()))
_DOTTED = re.compile(r"[iı]\u0307(?![\u0300-\u036f])")

_ENTITY_FORM = re.compile(
    r"&(?:quot;|(?<![\"'`“„«]&)(?:#\d{2,6}|#[xX][0-9a-fA-F]{2,5}|[A-Za-z]{2,8}\d{0,2});)"
)
_MARKUP = re.compile(r"</?[A-Za-z!]|&lt;")


def repair(text: str) -> Repaired:
    """Undo mojibake, leftover entities, Turkish read as Western, and marks beside their letters; normal_form.

    The rules, by their names in `counts`: mojibake (lines that ftfy fixed, and UTF-8 sequences of Turkish
    letters that it left), entity, windows-1254, spacing-mark, dotted-i, and those of `normalize`, which comes
    last: soft hyphens and no-break spaces are parts of mojibake.
    """
    seen, sequences = _look(text)
    if not seen:
        return Repaired(text)
    counts: Counter[str] = Counter()
    if sequences:
        text = _mojibake(text, counts)
    if seen & _ENTITY:
        text = _entities(text, counts)
    if seen & _MISREAD and not turkish.MISREAD_LETTERS.isdisjoint(text):
        text = _misread(text, counts)
    if seen & _SPACING:
        text = _spacing_marks(text, counts)
    if counts or seen & (_TOUCHED | _UNNORMALIZED):
        text = normalize(text, counts)
        if "\u0307" in text:
            text, dotted = _DOTTED.subn("i", text)
            if dotted:
                counts["dotted-i"] += dotted
    return Repaired(text, dict(counts))


def _look(text: str) -> tuple[int, bool]:
    """Return the clues of all characters, and whether two in a row could be one character's UTF-8."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    clues = _clues()[units]
    seen = int(np.bitwise_or.reduce(clues)) if len(clues) else 0
    both = seen & _LEAD and seen & _TAIL
    pairs = bool(both) and bool(((clues[:-1] << 1) & clues[1:] & _TAIL).any())
    return (seen & ~(_LEAD | _TAIL)) | (_LEAD if pairs else 0), pairs


def _mojibake(text: str, counts: Counter[str]) -> str:
    vouched = _SURE.search(text)
    own = _OWN if vouched else _BEFORE_MARK
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not _SUSPECT.search(line):
            continue
        # Lossy sequences of Turkish capitals first: ftfy would make them U+FFFD for good.
        mended, found = _SEQUENCE.subn(_letter, line) if vouched else (line, 0)
        # Letters that only Turkish has are not mojibake, and ftfy must not see them beside what it takes for
        # some: `üç”şeklinde` would become `ü町eklinde` by way of windows-1250.
        mended = "".join(
            ftfy.fix_encoding(part, _FTFY) if _SUSPECT.search(part) else part for part in own.split(mended)
        )
        if mended != line:
            counts["mojibake"] += max(1, found)
            lines[number] = mended
    return "\n".join(lines)


def _letter(match: re.Match[str]) -> str:
    return _SEQUENCES[match[0]]


def _entities(text: str, counts: Counter[str]) -> str:
    """Read leftover entities of letters, spaces and marks; those of code and quoted ones stay."""
    if not _ENTITY_FORM.search(text) or _MARKUP.search(text):
        return text  # a text about markup means its entities

    def read(match: re.Match[str]) -> str:
        char = html.unescape(match[0])
        if len(char) != 1 or (char.isascii() and char not in "'\""):
            return match[0]
        counts["entity"] += 1
        return char

    return _ENTITY_FORM.sub(read, text)


def _misread(text: str, counts: Counter[str]) -> str:
    # A text that has its own ğ ş ı too is a mixture: each line stands for itself.
    lines = [text] if _OWN_LETTERS.isdisjoint(text) else text.split("\n")
    for number, line in enumerate(lines):
        if turkish.misread(line):
            counts["windows-1254"] += sum(map(line.count, turkish.MISREAD_LETTERS))
            lines[number] = turkish.restore(line)
    return "\n".join(lines)


def _spacing_marks(text: str, counts: Counter[str]) -> str:
    """Join the marks that PDF text sets beside their letters: `s¸` of some fonts, `¸s` of TeX's."""
    after, before = len(_AFTER.findall(text)), len(_BEFORE.findall(text))
    for pattern in (_AFTER, _BEFORE) if after >= before else (_BEFORE, _AFTER):
        text, found = pattern.subn(_joined, text)
        if found:
            counts["spacing-mark"] += found
    return text


def _joined(match: re.Match[str]) -> str:
    letter, mark = match[0][0], match[0][1]
    if letter in _SPACING_MARKS:
        letter, mark = mark, letter
    joined = unicodedata.normalize("NFC", letter + _SPACING_MARKS[mark])
    return "i" if joined in ("i\u0307", "ı\u0307") else joined
