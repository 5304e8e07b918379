"""Text in one Unicode form: NFC, plain spaces and line ends, no control characters, nothing invisible."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

_LINE_END = re.compile("\r\n?|[\x0b\x0c\u2028\u2029]")
_SPACE = re.compile("[\t\xa0\u1680\u2000-\u200a\u202f\u205f]")
# C0 but newline, DEL, soft hyphen, word joiner and invisible operators, BOM, annotation marks, the object
# replacement character, what Unicode calls noncharacters, and surrogates without their other half.
_NEVER = (
    "\x00-\x08\x0e-\x1f\x7f\xad\u2060-\u2065\u206a-\u206f"
    "\ufeff\ufff9-\ufffc\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff"
)
_CONTROL = re.compile(f"[{_NEVER}]")
_C1 = re.compile("[\x80-\x9f]")

# Joiners shape words in Arabic and Indic scripts and hold emoji together; elsewhere they are debris.
_JOINING = (
    "\u0590-\u10ff\u1780-\u1aff\u2190-\u2bff\ufe0f\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e800-\U0001faff"
)
_JOINER = re.compile(f"(?<![{_JOINING}\u200c\u200d])[\u200c\u200d]+(?![{_JOINING}])")
# The zero-width space parts words in scripts without spaces: Thai, Lao, Tibetan, Myanmar, Khmer, Tai.
_UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\uaa60-\uaadf"
_ZERO_WIDTH_SPACE = re.compile(f"(?<![{_UNSPACED}])\u200b+(?![{_UNSPACED}])")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001eeff]"
)

_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], str], ...] = (
    (_LINE_END, "\n", "line-end"),
    (_CONTROL, "", "control"),
    (_C1, lambda match: bytes((ord(match[0]),)).decode("cp1252", "ignore"), "control"),
    (_SPACE, " ", "space"),
    (_JOINER, "", "zero-width"),
    (_ZERO_WIDTH_SPACE, "", "zero-width"),
    (_BIDI, "", "zero-width"),
)
# Every character that a rule above may touch: without any of them, `normalize` need only see to NFC.
TOUCHED = re.compile(
    f"[{_NEVER}\r\x0b\x0c\t\x80-\xa0\u061c\u1680\u2000-\u200f\u2028-\u202f\u205f\u2066-\u2069]"
)


@cache
def _long_run() -> re.Pattern[str]:
    """Return what finds a run of characters that start with one of a canonical combining class above 0."""
    chars = map(chr, range(_FIRST_MARK, 0x1F000))
    marks = "".join(c for c in chars if unicodedata.combining(unicodedata.normalize("NFKD", c)[0]))
    return re.compile(f"([{marks}]{{{_STREAM_SAFE}}})(?=[{marks}])")


# Ordering a run of marks takes the square of its length: it is cut by U+034F, which joins nothing and shows
# nothing, after each 30, as Unicode's stream-safe text format does (UAX 15, section 13). The look for a run
# beyond the letters of Latin costs most texts nothing.
_STREAM_SAFE = 30
_FIRST_MARK = 0x300
_FAR_RUN = re.compile(f"[^\0-{chr(_FIRST_MARK - 1)}]{{{_STREAM_SAFE + 1}}}")


def normalize(text: str, counts: Counter[str]) -> str:
    """Bring `text` into that form, and add to `counts` how many characters each rule changed.

    The rules, by their names in `counts`: line-end (CR, VT, FF, U+2028/9 become newline), control (C0, DEL,
    soft hyphen, BOM, noncharacters, lone surrogates go; C1 controls become what windows-1252 has there),
    space (tab, no-break and typographic spaces become a space), zero-width (joiners, zero-width spaces and
    bidi marks go where the script has no use for them), marks (U+034F put into runs of more than 30 combining
    marks), nfc (1 when the text was not in NFC).
    """
    touched = set(TOUCHED.findall(text))
    for pattern, by, rule in _RULES if touched else ():
        if any(map(pattern.match, touched)) and not (pattern is _BIDI and _RIGHT_TO_LEFT.search(text)):
            text, found = pattern.subn(by, text)
            if found:
                counts[rule] += found
    if _FAR_RUN.search(text):
        text, cuts = _long_run().subn("\\1\u034f", text)
        if cuts:
            counts["marks"] += cuts
    if not unicodedata.is_normalized("NFC", text):
        counts["nfc"] += 1
        text = unicodedata.normalize("NFC", text)
    return text
