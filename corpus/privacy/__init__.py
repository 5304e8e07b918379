"""Personal data is found by pattern, proved by checksum or context, and replaced by a typed placeholder."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from corpus.privacy.checks import IBAN_LENGTH, is_card, is_iban, is_tckn, is_vkn
from corpus.web.ip import is_public

Span = tuple[int, int]


class Redacted(NamedTuple):
    """The text with placeholders, and how many of each kind were put in (kinds without any are absent)."""

    text: str
    counts: dict[str, int]


def redact(text: str, kinds: Sequence[str]) -> Redacted:
    """Replace personal data of the given kinds by `<|email|>`, `<|ip|>`, `<|phone|>`, `<|tckn|>` ….

    The placeholder has the form of a tokenizer's own symbols: one token if the tokenizer is told so, ASCII,
    found in no ordinary text, free of digits and @, so that nothing finds it again; a Turkish suffix stays
    (`<|email|>'a`). Where two kinds claim the same characters, the earlier in KINDS has them. Redacting
    twice changes nothing. Raises ValueError for an unknown kind.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"unknown kind of personal data {unknown[0]!r}; known are {', '.join(KINDS)}")
    counts: dict[str, int] = {}
    # Almost always one round, or one more to see that nothing is left: what stood beside a replaced value
    # can become readable by itself.
    while spans := _find(text, [kind for kind in KINDS if kind in kinds]):
        pieces, end = [], 0
        for start, stop, kind in spans:
            pieces += [text[end:start], f"<|{kind}|>"]
            counts[kind] = counts.get(kind, 0) + 1
            end = stop
        text = "".join([*pieces, text[end:]])
    return Redacted(text, counts)


def _find(text: str, kinds: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return (start, end, kind) of what is to be replaced, in order and without overlap."""
    # Patterns with conditions on both sides are slow to scan with: numbers are looked for only where digits
    # stand close together, which is nowhere in most texts.
    runs = _dense_runs(text) if _NUMBERS.keys() & set(kinds) else []
    found: list[tuple[int, int, str]] = []
    taken = bytearray()
    for kind in kinds:
        for start, end in _spans(text, kind, runs):
            taken = taken or bytearray(len(text))
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                found.append((start, end, kind))
    return sorted(found)


def _spans(text: str, kind: str, runs: Sequence[Span]) -> Iterator[Span]:
    if kind in _ANYWHERE:
        yield from _ANYWHERE[kind](text)
    if kind in _NUMBERS:
        for low, high in runs:
            yield from _NUMBERS[kind](text, low, high)


def _dense_runs(text: str) -> list[Span]:
    """Return the stretches of text that can hold a number with what belongs to it on both sides."""
    runs: list[Span] = []
    for match in _DENSE.finditer(text):
        if match["run"] is None:
            continue
        low, high = max(0, match.start() - _BEFORE_RUN), match.end() + _AFTER_RUN
        if runs and low <= runs[-1][1]:
            low = runs.pop()[0]
        runs.append((low, high))
    return runs


# In every pattern, a placeholder beside a number (`|>`) forbids what a digit there would forbid: then
# replacing one value can not free another, round after round. [0-9], not \d: the classes of `re` that fit a
# bitmap are scanned several times as fast, and the numbers of other scripts are none of these.
# Every blank of Unicode, and what is written for a hyphen: dashes, the minus, the full-width form.
_BLANKS = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d-"  # the hyphen of ASCII last, as classes of `re` want it
_BLANK = f"[{_BLANKS}]"
_DOTS = "\u00b7\u2022"  # · and •, which stand between the groups of a number on cards

# Ten digits, as near to each other as they stand in any of the numbers below, and how far such a number may
# reach beyond them. Dates are stepped over: statutes are full of `24/3/2016-6698`.
_DENSE = re.compile(
    r"[0-9](?:[0-9]?[/.][0-9]{1,2}[/.][0-9]{4}(?![0-9])"
    rf"|(?P<run>(?:[{_BLANKS}.()\[\]/{_DOTS}{_DASHES}]{{0,3}}[0-9]){{9,}}))"
)
_BEFORE_RUN, _AFTER_RUN = 16, 40

# RFC 5321 lengths; letters of any script, because domains and addresses have them by now.
# Two addresses without a blank between them are one match. `git@host:path` names a repository.
_TOP_DOMAIN = r"(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})"
_EMAIL = re.compile(
    rf"(?<![\w.%+-])(?<!\|>)[\w.%+-]{{1,64}}(?:[@\uff20](?:[\w-]{{1,63}}\.){{1,8}}{_TOP_DOMAIN}){{1,8}}"
    r"(?![^\W_]|[@\uff20])",
)
# As people write it against machines: `ali [at] ornek (nokta) com`.
_OPEN, _CLOSE = rf"[(\[{{<]{_BLANK}?", rf"{_BLANK}?[)\]}}>]"
_SPELLED_AT = re.compile(rf"{_OPEN}(?:[aAeE][tT]|@){_CLOSE}{_BLANK}{{0,2}}")  # without a blank first: fast
_SPELLED_USER = re.compile(rf"(?<![\w.%+-])(?<!\|>)([\w.%+-]{{1,64}}){_BLANK}{{0,2}}\Z")
_DOT = rf"(?:\.|{_BLANK}?{_OPEN}(?:dot|nokta|\.){_CLOSE}{_BLANK}?)"
_SPELLED_HOST = re.compile(rf"(?:[\w-]{{1,63}}{_DOT}){{1,8}}{_TOP_DOMAIN}(?![^\W_])", re.IGNORECASE)
_REPOSITORY = re.compile(r"(?:git|hg|svn)@", re.IGNORECASE)
_PATH = re.compile(r"[:/](?=\S)")
_PROTECTED = re.compile(
    rf"\[{_BLANK}?e-?(?:mail|posta){_BLANK}{{1,2}}(?:protected|korumalı|korunuyor){_BLANK}?\]", re.IGNORECASE
)
_PICTURE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|avif)$", re.IGNORECASE)

_IBAN = re.compile(
    rf"(?:(?<![0-9A-Za-z])|(?<=(?<![0-9A-Za-z])IBAN))(?<!\|>)"
    rf"(?=([A-Za-z]{{2}})[{_BLANKS}{_DASHES}]?[0-9]{{2}})",
    re.ASCII | re.IGNORECASE,
)
_IBAN_REST = re.compile(rf"(?:[{_BLANKS}./{_DOTS}{_DASHES}]|{_BLANK}{{2}})?[0-9A-Za-z]")

_BESIDE = f"[{_BLANKS}.,{_DASHES}]"
_BETWEEN = f"[{_BLANKS}.{_DOTS}{_DASHES}]|{_BLANK}[{_BLANKS}{_DASHES}]{_BLANK}?"
_CARD = re.compile(
    rf"(?<!\w)(?<![0-9]{_BESIDE})(?<!\|>)(?<!\|>{_BESIDE})"
    r"(?:[0-9]{14,19}"
    rf"|[0-9]{{4}}({_BETWEEN})[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}(?:\1[0-9]{{1,3}})?"
    rf"|[0-9]{{4}}({_BETWEEN})[0-9]{{6}}\2[0-9]{{4,5}})"
    rf"(?!\w|{_BESIDE}[0-9]|{_BESIDE}?<\|)"
)
# In one piece, `_` for emphasis around it or TC in front of it; or in groups of 3, 3, 3 and 2.
_TCKN = re.compile(
    r"(?:(?<!\w)|(?<=(?<!\w)_)|(?<=(?<!\w)TC)|(?<=(?<!\w)TC_)|(?<=(?<!\w)TCKN))"
    r"(?<![0-9][.,/])(?<!\|>)(?<!\|>[.,/])"
    rf"(?:[1-9][0-9]{{10}}|(?<![0-9]{_BESIDE})(?<!\|>{_BESIDE})"
    rf"[1-9][0-9]{{2}}(?P<between>[{_BLANKS}.{_DASHES}])(?:[0-9]{{3}}(?P=between)){{2}}[0-9]{{2}}"
    rf"(?!{_BESIDE}[0-9]|{_BESIDE}?<\|))"
    r"(?![^\W_]|_\w|[.,][0-9]|[.,]?<\|)"
)

_VKN = re.compile(
    rf"(?<!\w)(?<![0-9][.,])(?<!\|>)(?<!\|>[.,])"
    rf"[0-9](?:{_BLANK}?[0-9]){{9}}(?!\w|{_BLANK}[0-9]|[.,][0-9]|[.,]?<\|)"
)
_VKN_WORD = r"(?<![\w|])(?:vergi|v\.? ?k\.? ?n|v\.? ?d(?:\.|\b)|tax)"
_VKN_BEFORE = re.compile(rf"{_VKN_WORD}[^0-9<]{{0,40}}\Z", re.IGNORECASE)
_VKN_AFTER = re.compile(rf"[^0-9<\w.,;]{{0,3}}(?:\w+ )?{_VKN_WORD}", re.IGNORECASE)

# Numbering plan of Türkiye: mobile 50–56 and 59, geographic 2xx–4xx, all even. 444, 800 and 850 are firms'.
_PHONE = re.compile(
    r"""
    (?: (?P<code>
            \(? (?: \+ | (?<![\w|])00 | (?<![\w>])(?<![0-9>][.,]) ) BLANK? 90 \)? GAP \(? 0? \)? BLANK?
          | [(\[] 0 GAP
          | (?<![\w>])(?<![0-9>][.,]) 0 (?!\.[0-9]{4}) GAP      # not the decimals of 0.5321234567
        )
      | (?<![\w>])(?<![0-9>][.,])
      | (?=\()
    )
    (?P<area> \(? (?: 5[0-69][0-9] | (?: 2[1-8] | 3[1-9] | 4[1-8] ) [02468] ) [)\]]? )
    GAP (?: [0-9]{3} GAP [0-9]{2} GAP [0-9]{2} | [0-9]{2} GAP [0-9]{2} GAP [0-9]{3} )
    (?! [0-9] | [.,][0-9] | <\| )
    """.replace("GAP", f"(?: [./{_DOTS}] | {_BLANK}?[{_DASHES}]{_BLANK}? | {_BLANK}{{1,2}} )?").replace(
        "BLANK", _BLANK
    ),
    re.VERBOSE,
)
# Numbers of other countries, found by + and a code that ITU-T E.164 assigns; North America's have ten digits
# after it, with areas and exchanges that start with 2 to 9.
_FOREIGN = re.compile(
    rf"(?<![\w+]|[0-9>])\+(?:(?P<america>1)|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[1-58]"
    r"|(?:2[1-689]|3[578]|42|5[09]|6[789]|8[0578]|9[679])[0-9])"
    rf"(?P<rest>(?:[{_BLANKS}.()/{_DASHES}]{{0,3}}[0-9]){{7,13}})(?![0-9]|[.,][0-9]|<\|)"
)
_AREA = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")
_THOUSANDS = re.compile(rf"\+[0-9]{{1,3}}(?:([.{_BLANKS}])[0-9]{{3}})(?:\1[0-9]{{3}})+")
_PHONE_BEFORE = re.compile(
    r"(?<![\w|])(?:tel|telefon\w*|gsm|cep|mobil|fa(?:ks|x)|whats ?app|iletişim|santral)\b[^0-9<\n]{0,25}\Z",
    re.IGNORECASE,
)

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV4 = re.compile(rf"(?<![\w.,-])(?<!\|>){_OCTET}(?:\.{_OCTET}){{3}}(?![\w-]|[.,][0-9]|<\|)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?<!\|>)[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:]|<\|)"
)
_VERSION = re.compile(
    r"(?<![\w|])(?:sürüm\w*|versiyon\w*|version|ver|v|build|derleme|rev|madde|bölüm|kısım)"
    r"(?:[^0-9<\n]{0,4}| [0-9]{1,6} \()\Z",
    re.IGNORECASE,
)
_IP_WORD = r"(?<![\w|])(?:ip|ipv4|adres\w*|address|sunucu\w*|server|host|dns|ping|ağ geçidi|gateway)(?!\w)"
_IP_BEFORE = re.compile(rf"{_IP_WORD}[^0-9<\n]{{0,25}}\Z|://\Z", re.IGNORECASE)
_IP_AFTER = re.compile(rf"[^0-9<\w\n.,;]{{0,3}}(?:\w+ )?{_IP_WORD}", re.IGNORECASE)
_MONEY = re.compile(r"\s?(?:TL|lira|₺|TRY|USD|EUR|avro|dolar|\$|€)", re.IGNORECASE)


def _emails(text: str) -> Iterator[Span]:
    if "@" in text or "\uff20" in text:
        for match in _EMAIL.finditer(text):
            start, end = match.span()
            if _PICTURE.search(match[0]) or (_REPOSITORY.match(match[0]) and _PATH.match(text, end)):
                continue
            if text[end : end + 1] == "_":  # emphasis of Markdown
                start += len(match[0]) - len(match[0].lstrip("_"))
            yield start, end
    for match in _SPELLED_AT.finditer(text):
        user = _SPELLED_USER.search(text, max(0, match.start() - 70), match.start())
        if user and (host := _SPELLED_HOST.match(text, match.end())):
            yield user.start(), host.end()
    if "[" in text:
        yield from (match.span() for match in _PROTECTED.finditer(text))


def _ibans(text: str, low: int, high: int) -> Iterator[Span]:
    for match in _IBAN.finditer(text, low, high):
        length = IBAN_LENGTH.get(match[1].upper(), 0)
        start = end = match.start()
        signs = ""
        while len(signs) < length and (sign := _IBAN_REST.match(text, end)):
            signs += sign[0][-1]
            end = sign.end()
        glued = end < len(text) and (text[end].isalnum() or text.startswith("<|", end))
        if length and not glued and is_iban(signs):
            yield start, end


def _cards(text: str, low: int, high: int) -> Iterator[Span]:
    yield from (match.span() for match in _CARD.finditer(text, low, high) if is_card(_digits(match[0])))


def _tckns(text: str, low: int, high: int) -> Iterator[Span]:
    for match in _TCKN.finditer(text, low, high):
        is_ip = match["between"] == "." and _IPV4.match(text, match.start())
        if not is_ip and is_tckn(_digits(match[0])):
            yield match.span()


def _vkns(text: str, low: int, high: int) -> Iterator[Span]:
    for match in _VKN.finditer(text, low, high):
        if is_vkn(_digits(match[0])) and _near(text, match.span(), _VKN_BEFORE, _VKN_AFTER):
            yield match.span()


def _phones(text: str, low: int, high: int) -> Iterator[Span]:
    for match in _PHONE.finditer(text, low, high):
        if match["code"] or match["area"][::4] == "()" or _near(text, match.span(), _PHONE_BEFORE):
            yield match.span()


def _foreign_phones(text: str) -> Iterator[Span]:
    for match in _FOREIGN.finditer(text) if "+" in text else ():
        area = not match["america"] or _AREA.fullmatch(_digits(match["rest"]))
        if area and not _THOUSANDS.fullmatch(match[0]) and not _MONEY.match(text, match.end()):
            yield match.span()


def _ips(text: str) -> Iterator[Span]:
    for match in _IPV4.finditer(text) if _DOTTED.search(text) else ():
        if _is_public(match[0]) and _is_address_here(text, match):
            yield match.span()
    for match in _IPV6.finditer(text) if _COLONS.search(text) else ():
        if _is_public(match[0]):
            yield match.span()


def _is_address_here(text: str, match: re.Match[str]) -> bool:
    """Return whether digits are an IPv4 address, not a version, a heading number or an amount.

    Versions and headings have small numbers, so small ones need a word that says address.
    """
    before = text[max(0, match.start() - 30) : match.start()]
    if _VERSION.search(before) or _MONEY.match(text, match.end()):
        return False
    return any(int(octet) >= 100 for octet in match[0].split(".")) or _near(
        text, match.span(), _IP_BEFORE, _IP_AFTER
    )


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return is_public(parsed)


def _near(text: str, span: Span, before: re.Pattern[str], after: re.Pattern[str] | None = None) -> bool:
    """Return whether a word that explains the number is just before it or, given `after`, after it."""
    start, end = span
    return bool(
        before.search(text[max(0, start - 60) : start]) or (after and after.match(text[end : end + 60]))
    )


def _digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


_NUMBERS: dict[str, Callable[[str, int, int], Iterator[Span]]] = {
    "iban": _ibans,
    "card": _cards,
    "tckn": _tckns,
    "phone": _phones,
    "vkn": _vkns,
}
_ANYWHERE: dict[str, Callable[[str], Iterator[Span]]] = {
    "phone": _foreign_phones,
    "email": _emails,
    "ip": _ips,
}

# Every kind, in the order in which they claim characters: what proves most comes first.
KINDS = tuple(dict.fromkeys((*_NUMBERS, *_ANYWHERE)))
