"""What the characters of tokens are, and the abbreviations and units that the rules of tokens know."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from corpus.text.view import U64, character_kinds

U16 = NDArray[np.uint16]

# What a code point is, as bits.
UPPER, LOWER, DIGIT, SPACE = 1, 2, 4, 8
LETTER, PREFIX, SUFFIX, INFIX = 16, 32, 64, 128
QUOTE, CURRENCY, BEFORE_STOP, MARK = 256, 512, 1024, 2048
SINGLE, HOST = 4096, 8192
ALPHA = UPPER | LOWER

_CODE_POINTS = 0x110000
_PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
# The characters that alone make no word: datatrove's PUNCTUATION; control characters follow in `_tables`.
_MARKS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s "
    "km/h kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %"
)
# Runs that end in a full stop and stay whole: titles, ranks, parts of addresses. Single small letters do too.
_ABBREVIATIONS = (
    "Alb. Ank. Asb. Av. Apt. apt. bk. bknz. Bnb. Böl. böl. Bşk. bşk. Bul. bul. Cad. cad. çev. Çvş. "
    "dak. dk. Doç. doğ. Dr. dr. Dz. Ecz. ecz. Fak. Gn. gr. Hst. huk. Hv. Hz. İng. İst. Korg. Kur. "
    "Ltd. ltd. Mah. mah. max. min. Müh. müh. M.Ö. M.S. Onb. Ord. Org. Prof. prof. Sb. Sn. sn. Sok. "
    "sok. Şb. şb. Şti. şti. T.C. A.B.D. Tel. tel. Tic. tic. Tuğg. Tümg. Uzm. Üni. vb. vs. Yard. Yrd. "
    "Yb. yy. Yrd.Doç. Mr. Mrs. Ms. Messrs. Jr. Sr. St. Inc. Co. Corp. Bros. Gov. Gen. Rep. Sen. Rev. "
    "Mt. Ph.D. e.g. i.e. E.g. I.e. a.m. p.m. v.s. vs. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. "
    "Oct. Nov. Dec. Adm. Ala. Ariz. Calif. Colo. Conn. Del. Fla. Ga. Ill. Ind. Mass. Mich. Minn. "
    "Miss. Wash. Wis. C++"
)
LONGEST_ABBREVIATION = 8
SEED, FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)


@cache
def tables() -> tuple[U16, U64, U64]:
    """Return what each code point is, and the sorted hashes of abbreviations and of units."""
    kinds = np.zeros(_CODE_POINTS, dtype=np.uint16)
    letters, cased, spaces, icons, singles = character_kinds()
    kinds[letters] |= LETTER
    kinds[letters & ~cased] |= UPPER | LOWER
    for code in np.flatnonzero(cased).tolist():
        kinds[code] |= LOWER if chr(code).islower() else UPPER
    kinds[spaces] |= SPACE
    kinds[icons] |= PREFIX | SUFFIX | INFIX
    kinds[singles] |= SINGLE
    kinds[0xA1:0x10000] |= HOST
    for bits, characters in (
        (PREFIX | SUFFIX | BEFORE_STOP, _PUNCTUATION),
        (PREFIX | SUFFIX | QUOTE | BEFORE_STOP, _QUOTES),
        (PREFIX | CURRENCY, _CURRENCIES),
        (PREFIX, "§%=—–"),
        (SUFFIX, "—–"),
        (BEFORE_STOP, "%²-+|"),
        (INFIX, "…"),
        (DIGIT | HOST | BEFORE_STOP, "0123456789"),
        (HOST, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        (MARK, _MARKS),
    ):
        kinds[[ord(char) for char in characters]] |= bits
    kinds[[*range(9), 11, 12, *range(13, 32), *range(127, 160)]] |= MARK
    kinds[(kinds & LOWER) > 0] |= BEFORE_STOP
    known = [_hash(word) for word in _ABBREVIATIONS.split()]
    units = [_hash(unit) for unit in _UNITS.split()]
    return kinds, np.unique(np.array(known, np.uint64)), np.unique(np.array(units, np.uint64))


def _hash(text: str) -> int:
    state = int(SEED)
    for char in text:
        state = ((state ^ ord(char)) * int(FACTOR)) & 0xFFFFFFFFFFFFFFFF
    return state
