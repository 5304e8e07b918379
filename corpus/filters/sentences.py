"""How many sentences a line has, by rules that know Turkish (and English) abbreviations and ordinals."""

from __future__ import annotations

import re

from corpus.text.view import fold

# One or more marks, closing quotes and brackets, then a space; East Asian full stops need none. Begun only
# where a run of marks begins: a line of 100,000 points would take minutes otherwise.
_END = re.compile(r"(?<![.!?…؟۔।])(?P<marks>[.!?…؟۔।]++)[\"'”’»)\]]*+\s++|[。！？｡]+[」』）]*\s*")
_OPENING = "\"'“‘«([-–—•"
# What stands before a full stop that ends no sentence and before a word with a capital letter: titles,
# honorifics, parts of addresses and of references. Those that a small letter follows need no mention.
_ABBREVIATIONS = frozenset(
    fold(
        "Dr Prof Doç Yrd Öğr Gör Arş Op Uzm Av Müh Mim Ecz Vet Hz Sn Bn Alb Yzb Gen Org Korg Tümg Bkz bk krş "
        "Çev Ed Haz Yay No Nr Cad Cd Sok Sk Mah Mh Apt Blv Bul Tel Md M.Ö M.S T.C A.Ş Ltd Şti Tic San "
        "Mr Mrs Ms St Vol Fig Eq Col Capt Rev Gov Sen Rep pp ca cf"
    ).split()
)
_LONGEST_ABBREVIATION = max(map(len, _ABBREVIATIONS))
_NEAR = 20  # characters looked at on either side of a full stop: a book may be one line


def count_sentences(line: str) -> int:
    """Count the sentences of `line`: at least 1 where it is not blank.

    A full stop ends none before a small letter (`15. yüzyıl`, `vb. gibi`), after an abbreviation
    (`Prof. Ak`), an initial (`A. Kaya`) or a number of up to three digits (`15. Madde`); years end sentences.
    """
    line = line.strip()
    if not line:
        return 0
    found = 1
    for end in _END.finditer(line):
        if end.end() < len(line) and not (end["marks"] == "." and _goes_on(line, end.start(), end.end())):
            found += 1
    return found


def _goes_on(line: str, stop: int, following: int) -> bool:
    """Return whether the sentence goes on after the full stop at `stop`; the next word is at `following`."""
    if line[following : following + _NEAR].lstrip(_OPENING)[:1].islower():
        return True
    start = max(0, stop - _NEAR)
    word = line[line.rfind(" ", start, stop) + 1 or start : stop].lstrip(_OPENING)
    if len(word) > _LONGEST_ABBREVIATION:
        return False
    return len(word) == 1 or (word.isdigit() and len(word) <= 3) or fold(word) in _ABBREVIATIONS
