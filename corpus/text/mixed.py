"""A page in two encodings: each stretch of it that is not UTF-8 is read in the page's other encoding."""

from __future__ import annotations

import re
from collections.abc import Callable

# Stretches end where templates put a page together from parts: at tags and line ends.
_BORDER = re.compile(rb"([<>\r\n]+)")
# What a cut leaves of a character of UTF-8: its first bytes, or of a Latin letter its first byte.
_CUT = re.compile(rb"[\xc2-\xc5]|[\xe0-\xef][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{1,2}")
_ESCAPED = re.compile("[\udc80-\udcff]+")
# Two bytes that are an accented Latin letter in UTF-8, between letters of ASCII.
_IN_WORD = re.compile(rb"[A-Za-z][\xc3-\xc5][\x80-\xbf](?=[A-Za-z])")
_ENOUGH = 8
# What Turkish pages have beyond ASCII: Latin letters and signs, and the punctuation of U+2000 and on.
_LATIN = re.compile("[\0-\x7f\xa0-\u017f\u2000-\u22ff]*")
_LANGUAGE = re.compile(rb"<html\b[^<>]{0,1000}?\blang\s*=\s*[\"']?([A-Za-z]{2})", re.IGNORECASE)
_CODECS = {
    "cp1250": "cs hr hu pl ro sk sl sq",
    "cp1251": "be bg mk ru sr uk",
    "cp1252": "fo is",
    "cp1253": "el",
    "cp1255": "he",
    "cp1256": "ar fa ur",
    "cp1257": "et lt lv",
    "cp1258": "vi",
    "cp874": "th",
}
_BY_LANGUAGE = {language: codec for codec, languages in _CODECS.items() for language in languages.split()}
# What differs from windows-1252 in six letters only, so that it reads other Western text too.
_DEFAULT = "cp1254"
_WESTERN = ("cp1252", "iso8859-15")
_TURKISH = tuple(letter.encode() for letter in "ğışĞİŞ")


def has_utf8_words(payload: bytes) -> bool:
    """Return whether several words are of UTF-8's Latin letters, which no other encoding shows by chance."""
    found = 0
    for stretch in _BORDER.split(payload):
        if not stretch.isascii() and _is_utf8(stretch):
            found += len(_IN_WORD.findall(stretch))
            if found >= _ENOUGH:
                return True
    return False


def other_codec(payload: bytes, label: str | None) -> str:
    """Return what the stretches that are not UTF-8 are read in.

    The page's label says it, or Turkish letters elsewhere on it, or its language; else it is windows-1254.
    """
    if label not in (None, "utf-8", *_WESTERN):
        return label or _DEFAULT
    if any(letter in payload for letter in _TURKISH):
        return _DEFAULT
    language = _LANGUAGE.search(payload[:16384])
    by_language = _BY_LANGUAGE.get(language[1].decode().lower()) if language else None
    return by_language or (label if label in _WESTERN else _DEFAULT) or _DEFAULT


def decode(payload: bytes, codec: str) -> str:
    """Decode UTF-8; single bytes and whole stretches that are not UTF-8 are read in `codec`."""
    return "".join(_stretch(stretch, codec) for stretch in _BORDER.split(payload))


def without_utf8(payload: bytes) -> bytes:
    """Return the bytes of a page in another encoding without the stretches that are Latin text in UTF-8."""
    return b"".join(part for part in _BORDER.split(payload) if not _is_latin_utf8(part))


def decode_with_utf8(payload: bytes, other: Callable[[bytes], str]) -> str:
    """Decode by `other` all but the stretches that are Latin text in UTF-8."""
    parts = _BORDER.split(payload)
    return "".join(part.decode() if _is_latin_utf8(part) else other(part) for part in parts)


def _is_latin_utf8(stretch: bytes) -> bool:
    if stretch.isascii() or not _is_utf8(stretch):
        return False
    return _LATIN.fullmatch(stretch.decode()) is not None


def _stretch(stretch: bytes, codec: str) -> str:
    text = stretch.decode("utf-8", "surrogateescape")
    runs = [_original(run) for run in _ESCAPED.findall(text)]
    other = sum(len(run) for run in runs if not _CUT.fullmatch(run))
    if other and 2 * sum(map(len, runs)) >= sum(not char.isascii() for char in text):
        return stretch.decode(codec, "replace")  # whole, for some pairs of its bytes are UTF-8 by chance
    return _ESCAPED.sub(lambda run: _other(_original(run[0]), codec), text)


def _other(run: bytes, codec: str) -> str:
    return "\ufffd" if _CUT.fullmatch(run) else run.decode(codec, "replace")


def _original(run: str) -> bytes:
    return run.encode("utf-8", "surrogateescape")


def _is_utf8(stretch: bytes) -> bool:
    try:
        stretch.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
