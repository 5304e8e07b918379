"""Bytes of a page or file become text: BOM, HTTP, meta, then detection, with a second look for Turkish."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from corpus.text import mixed, turkish

How = Literal["bom", "http", "meta", "utf-8", "detector", "turkish"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding it was read in (WHATWG name; IANA's where WHATWG has none), and what decided it.

    `utf-8` means that the bytes are UTF-8 whatever their label, `turkish` that the letters showed
    windows-1254 after a label or a guess of a Western encoding.
    """

    text: str
    encoding: str
    how: How


_BOMS = (  # the four-byte marks first: UTF-32-LE starts like UTF-16-LE
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Python codec -> (WHATWG name, codec that reads it as browsers do: the supersets that pages really use).
_WHATWG = {
    "ascii": ("windows-1252", "cp1252"),
    "iso8859-1": ("windows-1252", "cp1252"),
    "iso8859-9": ("windows-1254", "cp1254"),
    "iso8859-11": ("windows-874", "cp874"),
    "tis-620": ("windows-874", "cp874"),
    "shift_jis": ("shift_jis", "cp932"),
    "cp932": ("shift_jis", "cp932"),
    "euc_jp": ("euc-jp", "euc_jp"),
    "iso2022_jp": ("iso-2022-jp", "iso2022_jp"),
    "iso2022_kr": ("iso-2022-kr", "iso2022_kr"),
    "euc_kr": ("euc-kr", "cp949"),
    "cp949": ("euc-kr", "cp949"),
    "gb2312": ("gbk", "gb18030"),
    "gbk": ("gbk", "gb18030"),
    "big5": ("big5", "big5hkscs"),
    "cp866": ("ibm866", "cp866"),
    "mac-roman": ("macintosh", "mac-roman"),
    "mac-cyrillic": ("x-mac-cyrillic", "mac-cyrillic"),
}
_NAMES = {f"cp{n}": f"windows-{n}" for n in range(1250, 1259)} | {
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "utf-32-le": "utf-32le",
    "utf-32-be": "utf-32be",
    "cp855": "ibm855",
    "cp857": "ibm857",
}
# Encodings in which real Turkish pages arrive although they are not Turkish.
_WESTERN = frozenset({"windows-1252", "iso-8859-15", "iso-8859-3", "macintosh"})
_TURKISH_BYTES = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
# ı ğ ş ç ö ü and their capitals as DOS Turkish (cp857) has them.
_CP857_LETTERS = b"\x8d\xa7\x9f\x87\x94\x81\x98\xa6\x9e\x80\x99\x9a"
_CP857_IN_WORD = re.compile(rb"[A-Za-z][%b]|[%b][A-Za-z]" % (_CP857_LETTERS, _CP857_LETTERS))
_ASCII = bytes(range(0x80))
_ASCII_TAG = re.compile(rb"<[!/]?[A-Za-z]{2}")
# The detector's guesses that pages without a label almost never are: read as the web's commonest instead.
_UNLIKELY = re.compile(r"cp(?:437|85[0278]|86[0135])|iso8859-(?:3|4|10|13|14|16)\Z")

# What Icelandic and Faroese pages have beyond ASCII, in windows-1252.
_NORDIC = "áðéíóúýþæöøåÁÐÉÍÓÚÝÞÆÖØÅ–—‘’“”„‚…•«»°´·§©®€\xa0\xad".encode("cp1252")
_ETH, _ACUTE = "ðÐ".encode("cp1252"), "áíóúýÁÍÓÚÝ".encode("cp1252")
_LEAST_NORDIC, _LEAST_ETH = 0.98, 0.08  # of those bytes

_DECLARATION = re.compile(rb"charset|encoding", re.I)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_TAG = re.compile(rb"<(?:(meta)(?=[\s/])|/?[A-Za-z]|[!?/])", re.I)
_ATTRIBUTE = re.compile(
    rb"[\s/]*(?:(>)|([^\s/>][^\s/>=]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"'][^\s>]*))?)?)", re.S
)
_CHARSET = re.compile(rb"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))", re.I)
_XML_ENCODING = re.compile(rb"\A<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"'\s>]+)[\"']")


def decode(payload: bytes, http: str | None = None, html: bool = True) -> Decoded:
    """Decode `payload`; bytes that the encoding does not have become U+FFFD, nothing is raised.

    `http` is the charset of the HTTP header, `html` says whether a <meta> or an XML declaration may be
    looked for (WHATWG HTML, "prescan a byte stream to determine its encoding").
    """
    for mark, wide in _BOMS:
        if payload.startswith(mark):
            rest = payload[len(mark) :]
            if not (_is_not_utf8(rest) if wide == "utf-8" else _is_narrow(rest)):
                return Decoded(rest.decode(wide, "replace"), _name(wide), "bom")
            payload = rest
            break
    text = _utf8(payload)
    if text is not None and not payload.isascii() and b"\0" not in payload:
        # Whatever the labels say: text in another encoding is not valid UTF-8 by chance.
        return Decoded(text, "utf-8", "utf-8")
    how: How = "http"
    codec = codec_of(http.strip(" \"'")) if http else None
    if codec is None and html:
        how, codec = "meta", declared(payload)
    if codec and codec.startswith("utf-16"):
        codec = None if _is_narrow(payload) else _wide(payload) or codec
    if text is None:
        return _decode_legacy(payload, codec, how)
    if codec and codec.startswith("iso2022"):
        return Decoded(payload.decode(codec, "replace"), _name(codec), how)
    if b"\0" in payload and (zeros := _wide(payload)):
        return Decoded(payload.decode(zeros, "replace"), _name(zeros), "detector")
    if codec is None and b"\x1b$" in payload:  # ISO-2022 is all ASCII
        return _decode_legacy(payload, None, how)
    if codec is None or codec.startswith("utf-16"):
        return Decoded(text, "utf-8", "utf-8")
    return Decoded(text, _name(codec), how)


def _utf8(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return None


def codec_of(label: str) -> str | None:
    """Return the Python codec that reads what browsers read for a WHATWG label; None for an unknown label."""
    codec = map_encoding_to_html5(label.strip(" \t\r\n\f"), fallback_utf8=False)
    if codec is None:
        return "mac-cyrillic" if label.strip().lower() in ("x-mac-cyrillic", "x-mac-ukrainian") else None
    return _WHATWG.get(codec, ("", codec))[1]


def declared(payload: bytes) -> str | None:
    """Return the codec that a page declares, in a <meta> or an XML declaration.

    WHATWG's prescan, over 16 KiB instead of its 1024 bytes: browsers start over when their parser meets a
    later <meta>, and html5lib's vectors want that.
    """
    head = payload[:16384]
    if not _DECLARATION.search(head):
        return None
    at = 0
    while at < len(head):
        at = head.find(b"<", at)
        if at < 0:
            break
        if comment := _COMMENT.match(head, at):
            # <!--> and <!---> are whole comments too
            at = at + 4 if head.startswith(b"<!-->", at) else comment.end()
            continue
        tag = _TAG.match(head, at)
        if tag is None:
            at += 1
            continue
        if head[at + 1 : at + 2] in (b"!", b"?") or (tag[0] == b"</"):
            at = head.find(b">", at) + 1 or len(head)
            continue
        attributes, at = _attributes(head, tag.end() if tag[1] else _name_end(head, at))
        if tag[1] and (codec := _meta_codec(attributes)):
            return codec
    if xml := _XML_ENCODING.match(head):
        return _not_wide(codec_of(xml[1].decode("latin-1")))
    return None


def _name_end(head: bytes, at: int) -> int:
    while at < len(head) and head[at : at + 1] not in b" \t\n\f\r>":
        at += 1
    return at


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    found: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(head, at):
        at = attribute.end()
        if attribute[1]:
            break
        value = attribute[3] or attribute[4] or attribute[5] or b""
        found.setdefault(attribute[2].lower(), value)
    else:
        return {}, len(head)  # the bytes ended inside the tag: WHATWG takes nothing from it
    return found, at


def _meta_codec(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        return _not_wide(codec_of(attributes[b"charset"].decode("latin-1")))
    if attributes.get(b"http-equiv", b"").lower() == b"content-type" and (
        charset := _CHARSET.search(attributes.get(b"content", b""))
    ):
        return _not_wide(codec_of((charset[1] or charset[2] or charset[3] or b"").decode("latin-1")))
    return None


def _not_wide(codec: str | None) -> str | None:
    # A declaration that could be read byte by byte is not in UTF-16, whatever it says (WHATWG).
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _is_not_utf8(payload: bytes) -> bool:
    """Return whether bytes after UTF-8's mark are of another encoding; the mark is an included file's."""
    return _utf8(payload) is None and not _is_utf8_with_other_bytes(payload, "utf-8")


def _decode_legacy(payload: bytes, codec: str | None, how: How) -> Decoded:
    if b"\0" in payload and (wide := _wide(payload)):
        return Decoded(payload.decode(wide, "replace"), _name(wide), "detector")
    if _is_utf8_with_other_bytes(payload, codec):
        text = mixed.decode(payload, mixed.other_codec(payload, codec))
        return Decoded(text, "utf-8", how if codec == "utf-8" else "utf-8")
    rest = mixed.without_utf8(payload)
    decoded = _decode_one(rest, codec, how)
    if rest == payload:
        return decoded
    if decoded.encoding != "windows-1254":  # where two letters may look like one of UTF-8
        return _decode_one(payload, codec, how)
    text = mixed.decode_with_utf8(payload, lambda stretch: _single_byte(stretch, "cp1254"))
    return Decoded(text, decoded.encoding, decoded.how)


def _decode_one(payload: bytes, codec: str | None, how: How) -> Decoded:
    """Decode bytes of a single encoding that is not UTF-8."""
    if codec is None or codec == "utf-8":
        if _looks_cp857(payload):
            return Decoded(payload.decode("cp857", "replace"), "ibm857", "turkish")
        how = "detector"
        guess = detect_encoding(payload, html5_compatible=False) or "cp1252"
        if guess == "utf-8":
            text = mixed.decode(payload, mixed.other_codec(payload, None))
            return Decoded(text, "utf-8", how)
        codec = "cp1252" if _UNLIKELY.match(guess) else _WHATWG.get(guess, ("", guess))[1]
    if how == "detector" and codec in ("cp1250", "iso8859-2") and _looks_nordic(payload):
        codec = "cp1252"
    name = _name(codec)
    if (name in _WESTERN or (how == "detector" and name == "windows-1254")) and _TURKISH_BYTES.search(
        payload
    ):
        western = _single_byte(payload, "cp1252")
        if turkish.misread(western):
            return Decoded(turkish.restore(western), "windows-1254", "turkish")
        if name == "windows-1254" and turkish.foreign(western):
            return Decoded(western, "windows-1252", how)
    if codec.startswith("cp125") or codec == "cp874":
        return Decoded(_single_byte(payload, codec), name, how)
    return Decoded(payload.decode(codec, "replace"), name, how)


def _is_utf8_with_other_bytes(payload: bytes, codec: str | None) -> bool:
    """Return whether the page is UTF-8 but for single bytes or stretches, not another encoding throughout."""
    text = payload.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if beyond_ascii - broken > (2 if codec in (None, "utf-8") else 10) * broken:
        return True
    return (codec is None or _is_single_byte(codec)) and mixed.has_utf8_words(payload)


def _is_single_byte(codec: str) -> bool:
    """Return whether the codec is UTF-8, or has one byte a character: others look like UTF-8 by chance."""
    return codec == "utf-8" or len(bytes(range(0x80, 0x100)).decode(codec, "replace")) == 0x80


def _single_byte(payload: bytes, codec: str) -> str:
    # WHATWG gives bytes that Windows left unused their C1 control; Python's codecs call them errors.
    return codecs.charmap_decode(payload, "replace", _table(codec))[0]


_TABLES: dict[str, str] = {}


def _table(codec: str) -> str:
    if codec not in _TABLES:
        read = [bytes((b,)).decode(codec, "replace") for b in range(256)]
        _TABLES[codec] = "".join(
            chr(b) if char == "\ufffd" and b < 0xA0 else char for b, char in enumerate(read)
        )
    return _TABLES[codec]


def _name(codec: str) -> str:
    for name, reader in _WHATWG.values():
        if codec == reader:
            return _NAMES.get(codec, name)
    return _NAMES.get(codec, codec.replace("iso8859", "iso-8859").replace("_", "-"))


def _wide(payload: bytes) -> str | None:
    """Name UTF-16 or UTF-32 without a BOM by where its zero bytes fall; None where they do not."""
    sample = payload[:4096]
    quarter = len(sample) // 4
    if not quarter or sample.count(0) < quarter:
        return None
    zeros = [sample[i : 4 * quarter : 4].count(0) / quarter for i in range(4)]
    if zeros[0] > 0.9 and zeros[1] > 0.7 and zeros[3] < 0.1:
        return "utf-32-be"
    if zeros[3] > 0.9 and zeros[2] > 0.7 and zeros[0] < 0.1:
        return "utf-32-le"
    if zeros[0] + zeros[2] > 4 * (zeros[1] + zeros[3]):
        return "utf-16-be"
    if zeros[1] + zeros[3] > 4 * (zeros[0] + zeros[2]):
        return "utf-16-le"
    return None


def _is_narrow(payload: bytes) -> bool:
    """Return whether the bytes are not UTF-16 or UTF-32, whatever their label: they have blanks or tags."""
    sample = payload[:4096]
    if 0 in sample or not sample:
        return False
    return bool(_ASCII_TAG.search(sample)) or sample.count(0x20) * 20 > len(sample)


def _looks_nordic(payload: bytes) -> bool:
    """Return whether bytes that the detector takes for Central European are Icelandic or Faroese.

    These write ð beside vowels with an acute, which Croatian does not have beside its đ, and no letter with
    a caron, an ogonek or a double acute.
    """
    high = payload.translate(None, _ASCII)
    nordic = len(high) - len(high.translate(None, _NORDIC))
    eth, acute = (sum(map(high.count, each)) for each in (_ETH, _ACUTE))
    return bool(acute) and eth >= _LEAST_ETH * len(high) and nordic >= _LEAST_NORDIC * len(high)


def _looks_cp857(payload: bytes) -> bool:
    """Return whether the bytes beyond ASCII are DOS Turkish: its letters inside words, ı and ş or ğ often."""
    high = payload.translate(None, _ASCII)
    letters = sum(map(high.count, _CP857_LETTERS))
    often = high.count(0x8D) * 8 >= len(high) and (high.count(0x9F) + high.count(0xA7)) * 12 >= len(high)
    if len(high) < 4 or letters < 0.95 * len(high) or not often:
        return False
    return len(_CP857_IN_WORD.findall(payload)) >= 0.7 * len(high)
