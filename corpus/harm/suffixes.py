"""Which endings a Turkish stem can take: a small automaton of suffixes with their sound laws.

A is a or e, I is ı i u ü, by the vowel before (vowel harmony); D is d or t, C is c or ç, by the consonant
before (t and ç after f s t k ç ş h p). A suffix that starts with a vowel follows a consonant, a buffer (y, n,
s) follows a vowel. So "sıkıntı" is not a form of "sık", whose form would be "sıkındı".
"""

from __future__ import annotations

from functools import lru_cache

_VOWELS = "aeıioöuü"
_BACK, _ROUND = "aıou", "oöuü"
_VOICELESS = "fstkçşhp"
_SOFTER = {"p": "b", "ç": "c", "t": "d", "k": "ğ"}
_MOST = 5  # suffixes of a word

# Plural, possessives, cases, copula, then derivations, then what verbs take.
_ALL = (
    "lAr Im In I m n sI ImIz InIz mIz nIz yI nI A yA nA DA DAn nDA nDAn nIn ylA lA CA ki kiler "
    "DIr yDI ymIş ysA yIm sIn Iz yIz sInIz lI sIz CI lIk lIğ CIk CIğ lAn lAş "
    "mAk mA mAz mAm mAyAn Iyor yor DI mIş AcAk AcAğ yAcAk yAcAğ Ar Ir r sA An yAn DIk DIğ ArAk yArAk Ip yIp "
    "IncA mAlI mAdAn IcI yIcI Iş Il IlI Abil AmA lArI"
)
_AFTER_VOWEL = (
    "m n sI mIz nIz yI nI yA nA nDA nDAn nIn ylA yDI ymIş ysA yIm yIz yor yAcAk yAcAğ r yAn yArAk yIp yIcI"
)
_SUFFIXES = tuple(_ALL.split())
_ONLY_AFTER_VOWEL = frozenset(_AFTER_VOWEL.split())


def is_form(word: str, stem: str) -> bool:
    """Return whether a word is a stem with suffixes, or the stem itself; both are in Turkish lower case."""
    if word == stem:
        return True
    softened = stem
    if sum(letter in _VOWELS for letter in stem) > 1:  # of one syllable few do: "boğaz" has nothing of "bok"
        softened = stem[:-1] + _SOFTER.get(stem[-1], stem[-1])
    for start in dict.fromkeys((stem, softened)):
        if word.startswith(start) and len(word) > len(start):
            rest = word[len(start) :]
            if start != stem and rest[0] not in _VOWELS:
                continue  # a softened consonant stands before a vowel
            vowel = next((letter for letter in reversed(start) if letter in _VOWELS), "")
            if _follows(rest, vowel, start[-1], _MOST):
                return True
    return False


@lru_cache(maxsize=1 << 16)
def _follows(rest: str, vowel: str, last: str, most: int) -> bool:
    """Return whether `rest` is a chain of suffixes after a last vowel (empty: none) and a last letter."""
    if not rest:
        return True
    if most == 0:
        return False
    for suffix in _SUFFIXES:
        after_vowel = last in _VOWELS
        if after_vowel and suffix[0] in "AI":
            continue
        if not after_vowel and suffix in _ONLY_AFTER_VOWEL:
            continue
        found = _fits(suffix, rest, vowel, last)
        if found is not None and _follows(rest[len(suffix) :], *found, most - 1):
            return True
    return False


def _fits(suffix: str, rest: str, vowel: str, last: str) -> tuple[str, str] | None:
    """Return the last vowel and letter after a suffix that `rest` starts with; None where it does not."""
    if len(rest) < len(suffix):
        return None
    for sign, letter in zip(suffix, rest, strict=False):
        if letter not in _allowed(sign, vowel, last):
            return None
        last = letter
        if letter in _VOWELS:
            vowel = letter
    return vowel, last


def _allowed(sign: str, vowel: str, last: str) -> str:
    if sign == "A":
        return "ae" if not vowel else "a" if vowel in _BACK else "e"
    if sign == "I":
        if not vowel:
            return "ıiuü"
        return ("u" if vowel in _ROUND else "ı") if vowel in _BACK else ("ü" if vowel in _ROUND else "i")
    if sign in "DC":
        return ("t" if sign == "D" else "ç") if last in _VOICELESS else ("d" if sign == "D" else "c")
    return sign
