"""Turkish minimal pairs from templates: a correct sentence and one with a single error.

As BLiMP (Warstadt et al. 2020, 1912.00582) for English. Forms are written out, not derived, so that a
reader of Turkish can check them. Not used are nouns with irregular harmony (saatler, roller) and wrong forms
that are correct in another reading (`henüz geldi`, `o gittiler`, `sinir` for `sınır`).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from corpus.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Pair:
    """A correct sentence and a wrong one."""

    right: str
    wrong: str


_NAMES = ("Ali", "Ayşe", "Mehmet", "Zeynep", "Murat", "Elif", "Hasan", "Fatma")

_BACK = (
    "kitap",
    "masa",
    "ağaç",
    "kapı",
    "çocuk",
    "kuş",
    "araba",
    "balık",
    "bardak",
    "tabak",
    "çanta",
    "top",
    "koyun",
    "oyuncak",
    "yaprak",
    "bulut",
    "kasap",
)
_FRONT = (
    "ev",
    "gül",
    "köpek",
    "kedi",
    "defter",
    "çiçek",
    "öğrenci",
    "pencere",
    "kelebek",
    "inek",
    "gömlek",
    "yüzük",
    "bisiklet",
    "tren",
    "hemşire",
)
_PLACES = ("Resimde", "Filmde", "Masalda", "Şehirde", "Köyde", "Bahçede")
_LOOKS = ("güzel", "eski", "yeni", "küçük", "büyük", "mavi", "beyaz")

# nominative: accusative, dative, ablative
_CASES = {
    "kedi": ("kediyi", "kediye", "kediden"),
    "köpek": ("köpeği", "köpeğe", "köpekten"),
    "öğretmen": ("öğretmeni", "öğretmene", "öğretmenden"),
    "doktor": ("doktoru", "doktora", "doktordan"),
    "komşu": ("komşuyu", "komşuya", "komşudan"),
    "müdür": ("müdürü", "müdüre", "müdürden"),
    "çocuk": ("çocuğu", "çocuğa", "çocuktan"),
    "aslan": ("aslanı", "aslana", "aslandan"),
}
_ACCUSATIVE, _DATIVE, _ABLATIVE = range(3)
# verb: the case that it governs, and one that it cannot take
_GOVERN = {
    "korkuyor": (_ABLATIVE, _ACCUSATIVE),
    "hoşlanıyor": (_ABLATIVE, _ACCUSATIVE),
    "nefret ediyor": (_ABLATIVE, _ACCUSATIVE),
    "güveniyor": (_DATIVE, _ACCUSATIVE),
    "yardım ediyor": (_DATIVE, _ACCUSATIVE),
    "benziyor": (_DATIVE, _ABLATIVE),
    "bekliyor": (_ACCUSATIVE, _DATIVE),
    "seviyor": (_ACCUSATIVE, _ABLATIVE),
    "tanıyor": (_ACCUSATIVE, _DATIVE),
}

_SUBJECTS = ("Ben", "Sen", "O", "Biz", "Siz", "Onlar")
_WHEN = ("dün", "bugün", "geçen hafta", "dün akşam", "bu sabah")
_PAST = {
    "okula": ("gittim", "gittin", "gitti", "gittik", "gittiniz", "gittiler"),
    "eve": ("geldim", "geldin", "geldi", "geldik", "geldiniz", "geldiler"),
    "kitap": ("okudum", "okudun", "okudu", "okuduk", "okudunuz", "okudular"),
    "film": ("izledim", "izledin", "izledi", "izledik", "izlediniz", "izlediler"),
    "mektup": ("yazdım", "yazdın", "yazdı", "yazdık", "yazdınız", "yazdılar"),
    "çay": ("içtim", "içtin", "içti", "içtik", "içtiniz", "içtiler"),
    "ekmek": ("aldım", "aldın", "aldı", "aldık", "aldınız", "aldılar"),
    "uçak": ("gördüm", "gördün", "gördü", "gördük", "gördünüz", "gördüler"),
}
_EITHER = {("O", 5), ("Onlar", 2)}  # the plural of respect, and the plural already expressed by the subject

_OWNERS = ("Benim", "Senin", "Onun", "Bizim", "Sizin")
_OWNED = {
    "ev": ("evim", "evin", "evi", "evimiz", "eviniz"),
    "okul": ("okulum", "okulun", "okulu", "okulumuz", "okulunuz"),
    "kitap": ("kitabım", "kitabın", "kitabı", "kitabımız", "kitabınız"),
    "araba": ("arabam", "araban", "arabası", "arabamız", "arabanız"),
    "köpek": ("köpeğim", "köpeğin", "köpeği", "köpeğimiz", "köpeğiniz"),
    "gömlek": ("gömleğim", "gömleğin", "gömleği", "gömleğimiz", "gömleğiniz"),
}

# subjects that need a negated verb (Turkish has negative concord), and predicates with and without negation
_NOBODY = ("Hiç kimse", "Hiçbir öğrenci", "Hiçbir çocuk", "Hiçbir komşu", "Hiçbir misafir")
_NEGATED = {
    "okula": ("gitmedi", "gitti"),
    "eve": ("gelmedi", "geldi"),
    "soruyu": ("bilmedi", "bildi"),
    "kitabı": ("okumadı", "okudu"),
    "kapıyı": ("açmadı", "açtı"),
    "yemeği": ("beğenmedi", "beğendi"),
    "haberi": ("duymadı", "duydu"),
}

_ASKED = {
    "mı": ("kırmızı", "uzak", "sıcak", "pahalı", "kalabalık", "kapalı"),
    "mi": ("güzel", "yeni", "eski", "temiz", "mavi", "geniş"),
    "mu": ("uzun", "soğuk", "dolu", "boş", "bozuk", "yoğun"),
    "mü": ("büyük", "küçük", "kötü", "gürültülü", "süslü", "düz"),
}
_THINGS = ("ev", "oda", "bahçe", "sokak", "salon", "dükkân", "otobüs")

# A word with ı and i exchanged in one place; none of the wrong forms is a word.
_DOTS = {
    "ışık": "işık",
    "sınıf": "sinıf",
    "sandık": "sandik",
    "yastık": "yastik",
    "kapı": "kapi",
    "kitap": "kıtap",
    "çiçek": "çıçek",
    "şişe": "şışe",
    "bisiklet": "bısiklet",
    "kedi": "kedı",
    "yıldız": "yildız",
}
# Before vowels and in names the capital letter differs: I belongs to ı, İ to i.
_TOWNS = {
    "Isparta'ya": "İsparta'ya",
    "Iğdır'a": "İğdır'a",
    "Irak'a": "İrak'a",
    "İzmir'e": "Izmir'e",
    "İstanbul'a": "Istanbul'a",
    "İtalya'ya": "Italya'ya",
    "İran'a": "Iran'a",
    "İsveç'e": "Isveç'e",
    "İngiltere'ye": "Ingiltere'ye",
}


def pairs(phenomenon: str, n: int, seed: int = 0) -> list[Pair]:
    """Draw up to n different pairs of a phenomenon; ConfigError for an unknown one."""
    if phenomenon not in PHENOMENA:
        raise ConfigError(f"pairs/{phenomenon}: no such phenomenon; expected one of {', '.join(PHENOMENA)}")
    made = list(PHENOMENA[phenomenon]())
    random.Random(hashlib.sha256(f"{seed} {phenomenon}".encode()).digest()).shuffle(made)
    return made[:n]


def _harmony() -> Iterator[Pair]:
    """Yield pairs of plurals: -lar after a back vowel and -ler after a front one."""
    for place, look, noun in product(_PLACES, _LOOKS, (*_BACK, *_FRONT)):
        right, wrong = ("lar", "ler") if noun in _BACK else ("ler", "lar")
        yield Pair(f"{place} {look} {noun}{right} var.", f"{place} {look} {noun}{wrong} var.")


def _case() -> Iterator[Pair]:
    """Yield pairs of cases: a verb governs the case of its object."""
    for name, forms, (verb, (right, wrong)) in product(_NAMES, _CASES.values(), _GOVERN.items()):
        yield Pair(f"{name} {forms[right]} {verb}.", f"{name} {forms[wrong]} {verb}.")


def _person() -> Iterator[Pair]:
    """Yield pairs of persons: a verb agrees with its subject in person and number."""
    for (person, subject), when, (thing, forms) in product(enumerate(_SUBJECTS), _WHEN, _PAST.items()):
        for other, form in enumerate(forms):
            if other != person and (subject, other) not in _EITHER:
                start = f"{subject} {when} {thing}"
                yield Pair(f"{start} {forms[person]}.", f"{start} {form}.")


def _possessive() -> Iterator[Pair]:
    """Yield pairs of possessives: what is owned agrees with its owner in person and number."""
    for (person, owner), forms, look in product(enumerate(_OWNERS), _OWNED.values(), _LOOKS):
        for other, form in enumerate(forms):
            if other != person:
                yield Pair(f"{owner} {forms[person]} çok {look}.", f"{owner} {form} çok {look}.")


def _negation() -> Iterator[Pair]:
    """Yield pairs of negation: hiç kimse and hiçbir need a negated verb."""
    for nobody, when, (thing, (right, wrong)) in product(_NOBODY, _WHEN, _NEGATED.items()):
        yield Pair(f"{nobody} {when} {thing} {right}.", f"{nobody} {when} {thing} {wrong}.")


def _question() -> Iterator[Pair]:
    """Yield pairs of questions: the particle's vowel is in harmony with the word before."""
    for thing, (right, looks) in product(_THINGS, _ASKED.items()):
        for look, wrong in product(looks, _ASKED):
            if wrong != right:
                yield Pair(f"Bu {thing} {look} {right}?", f"Bu {thing} {look} {wrong}?")


def _apart() -> Iterator[Pair]:
    """Yield pairs in which the question particle is a separate word, or is joined to the word before.

    Only after a consonant: after a vowel the joined form can be another form of the word (dolumu).
    """
    for thing, (particle, looks) in product(_THINGS, _ASKED.items()):
        for look in looks:
            if look[-1] in "aeıioöuü":
                continue
            yield Pair(f"Bu {thing} {look} {particle}?", f"Bu {thing} {look}{particle}?")


def _dots() -> Iterator[Pair]:
    """Yield pairs of ı and i, I and İ, which are different letters."""
    for place, (right, wrong) in product(_PLACES, _DOTS.items()):
        yield Pair(f"{place} bir {right} var.", f"{place} bir {wrong} var.")
    for name, (right, wrong) in product(_NAMES, _TOWNS.items()):
        yield Pair(f"{name} geçen yıl {right} gitti.", f"{name} geçen yıl {wrong} gitti.")


PHENOMENA: dict[str, Callable[[], Iterator[Pair]]] = {
    "harmony": _harmony,
    "case": _case,
    "person": _person,
    "possessive": _possessive,
    "negation": _negation,
    "question": _question,
    "question-apart": _apart,
    "dots": _dots,
}
"""The phenomena of the pairs; each function yields all its pairs, in a constant order."""
