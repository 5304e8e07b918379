"""Codes of languages in a configuration: those that a model returns, and the closest to a mistyped one."""

from __future__ import annotations

import difflib
import re

from corpus import language
from corpus.errors import ConfigError

# Scripts in which the languages of lid.176 are written, where it is not the Latin one.
_SCRIPTS = {
    "Cyrl": "ava bak bel bul bxr che chv kaz kir kpv krc khk lez mhr mkd mrj myv oss rue rus sah srp tat tgk "
    "tyv ukr xal",
    "Arab": "arb arz azb ckb fas lrc mzn pbt pnb snd uig urd",
    "Deva": "bho dty gom hin mai mar new npi san",
    "Beng": "asm ben bpy",
    "Hani": "cmn wuu yue",
    "Hebr": "heb ydd",
    "Geor": "kat xmf",
}
_SCRIPT_OF = {code: script for script, codes in _SCRIPTS.items() for code in codes.split()} | {
    "amh": "Ethi", "bod": "Tibt", "div": "Thaa", "ell": "Grek", "guj": "Gujr", "hye": "Armn", "jpn": "Jpan",
    "kan": "Knda", "khm": "Khmr", "kor": "Hang", "lao": "Laoo", "mal": "Mlym", "mya": "Mymr", "ory": "Orya",
    "pan": "Guru", "sin": "Sinh", "tam": "Taml", "tel": "Telu", "tha": "Thai",
}  # fmt: skip


def check(key: str, code: str, model: str = "") -> None:
    """Raise ConfigError for a code, named under `key`, that no text is ever given.

    `model` is the path of the fastText model in use, empty for the packaged one.
    """
    if language.can_give(code, model):
        return
    near = _near(code, model)
    hint = f"did you mean {near!r}?" if near else "give an ISO 639-3 code and a script"
    raise ConfigError(
        f"{key} = {code!r}: not a language that is identified; expected the form 'tur_Latn'; {hint}"
    )


def _near(code: str, model: str) -> str:
    """Return the code that was probably meant, or nothing."""
    name, script = [*re.split("[_-]", code.strip()), ""][:2]
    name, script = name.lower(), script.capitalize()
    for found in (language.iso_639_3(name), name, name[:3]):
        for guess in (f"{found}_{script}", f"{found}_{_SCRIPT_OF.get(found, 'Latn')}"):
            if language.can_give(guess, model):
                return guess
    close = difflib.get_close_matches(code, sorted(language.labels(model)), n=1)
    return close[0] if close and language.can_give(close[0], model) else ""
