"""Turkish that was read as if it were Icelandic: distinguished from other languages, and read again."""

from __future__ import annotations

import re

# windows-1254 is windows-1252 but for six letters, so Turkish read as 1252 shows these instead.
_MISREAD = str.maketrans("ÐÝÞðýþ", "ĞİŞğış")
MISREAD_LETTERS = frozenset("ÐÝÞðýþ")

_WORD = re.compile(r"[^\W\d_]+")
# A letter beyond ASCII that Turkish does not write.
_STRANGE = re.compile("[^\x00-\x7fçÇöÖüÜâÂîÎûÛğĞıİşŞ\u2000-\uffff]")
_FUNCTION_WORDS = frozenset([
    "bir", "bu", "ve", "ile", "için", "olan", "olarak",
    "gibi", "daha", "kadar", "çok", "sonra", "ancak", "ama",
])  # fmt: skip

# The rules below see the word in lower case with ð þ ý for ğ ş ı. What Turkish never writes:
# a letter outside its alphabet, ğ that follows no vowel, ı beside a vowel or after e i o ö u ü.
_VOWEL = "aeioöuüâîûý"
_ALPHABET = re.compile(r"[abcçdefgðhýijklmnoöprsþtuüvyzâîûqwx]+\Z")
_IMPOSSIBLE = re.compile(rf"(?<![{_VOWEL}])ð|[{_VOWEL}]ý|ý[{_VOWEL}]|[eiouöü][^{_VOWEL}]*ý")
# Stems and suffixes of Turkish that are none in Icelandic, Faroese, Czech, Slovak and Vietnamese; and ü or ç
# in one word with one of the six letters.
_SURE = re.compile(
    r"[üç]|ýðý|ð[l]?ý|þ[^i]?ý|ý.?þ|lý[kð]|dýð|diðin|dið[ie]\Z|c[ae]ð[ýi]|.dýr|sýz|m[ýi]þ"
    r"|ýnda|ýný|larý|sýn[ýd]a.|yýl|deðil|doðr|ldu[ðþ]|tiðin|þtýr|ýyor|[ae]þ[lmtk][aeýi]|rþý|eðit"
)
_LIKELY = re.compile(
    rf"[aâý][^{_VOWEL}]+ý(?!\Z)|[{_VOWEL}rk]þ|liði|[dp]ið|eðer|öðr[ae]|þeh|þirk|þeke|þim|saðl|baðl|uðra"
)
_AS_LOWER = str.maketrans("ÝÐÞI", "iðþý")
_ENOUGH = 3  # the sum of evidence that convinces: one sure word, or several likely ones


def misread(text: str) -> bool:
    """Return whether this is Turkish in windows-1254 that was read as windows-1252 (`Ýstanbul ýþýk`).

    Each distinct word with one of ÐÝÞðýþ speaks for or against by what Turkish phonology allows (vowel
    harmony, no ğ without a vowel before it) and by its stems and suffixes; words with letters that Turkish
    lacks (á é í ó ú æ ä ñ š ...) speak against, Turkish function words for. Measured on every language of
    the UDHR and of lingua's sentences: no false alarm; see tests.
    """
    if MISREAD_LETTERS.isdisjoint(text):
        return False
    words = set(_WORD.findall(text))
    witnesses = [_evidence(word) for word in words if not MISREAD_LETTERS.isdisjoint(word)]
    if not witnesses:
        return False
    strangers = sum(map(_foreign, words))
    score = sum(witnesses) - 2 * strangers
    if score >= 0 and max(witnesses) >= 0:
        score += min(3, len(_FUNCTION_WORDS.intersection(map(str.lower, words))))
        score += not strangers and not {"ü", "ç", "Ü", "Ç"}.isdisjoint(text)
    return score >= _ENOUGH


def foreign(text: str) -> bool:
    """Return whether any word has an accented Latin letter that Turkish lacks (á é í ó ú æ ä ñ š ...)."""
    return any(map(_foreign, _WORD.findall(text)))


def restore(text: str) -> str:
    """Put back the Turkish letters of a text for which `misread` holds."""
    return text.translate(_MISREAD)


def _foreign(word: str) -> bool:
    return not word.isascii() and _STRANGE.search(word) is not None and MISREAD_LETTERS.isdisjoint(word)


def _evidence(word: str) -> int:
    shape = word.translate(_AS_LOWER).lower()
    if not _ALPHABET.match(shape) or _IMPOSSIBLE.search(shape):
        return -2
    if _SURE.search(shape):
        return 3
    if _LIKELY.search(shape):
        return 2
    if not {"ý", "þ", "Ý", "Þ"}.isdisjoint(word):
        return 1 if not {"ý", "Ý"}.isdisjoint(word) else 0
    return -1 if shape.endswith("ð") else 0
