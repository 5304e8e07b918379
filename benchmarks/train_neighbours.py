"""Train corpus/models/turkic.ftz and cyrillic.ftz, the small models for Turkish and similar languages.

    python benchmarks/train_neighbours.py DATA corpus/models/turkic.ftz
    python benchmarks/train_neighbours.py DATA corpus/models/cyrillic.ftz --script Cyrl
    python benchmarks/train_neighbours.py DATA /tmp/measured.ftz --hold-out

Needs fasttext-community 0.11.9 in a separate environment; DATA is the folder of language samples: both are
described in corpus/models/README.md. With the same data and build and one thread the bytes are the same;
their SHA-256 is printed. With --hold-out, the texts of benchmarks/language.py are not used for training.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import re
import sys
import tarfile
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import zstandard

from corpus.language import neighbour_view

SEED = 1

# Sample code → label. What is not named here and is written in Latin letters is "other".
MEDIAWIKI = {
    "tr": "tur_Latn", "az": "azj_Latn", "tk": "tuk_Latn", "uz": "uzn_Latn", "crh-latn": "crh_Latn",
    "crh-ro": "crh_Latn", "gag": "gag_Latn", "kaa": "kaa_Latn", "kk-latn": "kaz_Latn", "tt-latn": "tat_Latn",
    "ku-latn": "kmr_Latn", "diq": "diq_Latn", "kiu": "kiu_Latn",
}  # fmt: skip
UDHR = {
    "tur": "tur_Latn", "azj_latn": "azj_Latn", "tuk_latn": "tuk_Latn", "uzn_latn": "uzn_Latn",
    "crh": "crh_Latn", "gag": "gag_Latn", "kmr": "kmr_Latn",
}  # fmt: skip
LINGUA = {"tr": "tur_Latn", "az": "azj_Latn", "kk": "kaz_Cyrl"}
# The same in Cyrillic letters; what is not named is "other".
MEDIAWIKI |= {
    "ba": "bak_Cyrl", "kk-cyrl": "kaz_Cyrl", "tt-cyrl": "tat_Cyrl", "ky": "kir_Cyrl", "crh-cyrl": "crh_Cyrl",
    "cv": "chv_Cyrl", "sah": "sah_Cyrl", "tyv": "tyv_Cyrl", "alt": "alt_Cyrl", "krc": "krc_Cyrl",
    "kum": "kum_Cyrl",
}  # fmt: skip
UDHR |= {
    "kaz": "kaz_Cyrl", "tat": "tat_Cyrl", "kir": "kir_Cyrl", "chv": "chv_Cyrl", "sah": "sah_Cyrl",
    "tyv": "tyv_Cyrl", "alt": "alt_Cyrl", "kaa": "kaa_Cyrl", "uzn_cyrl": "uzn_Cyrl", "azj_cyrl": "azj_Cyrl",
    "tuk_cyrl": "tuk_Cyrl",
}  # fmt: skip

VOICE = {"ky": "kir_Cyrl", "tt": "tat_Cyrl", "cv": "chv_Cyrl"}

# Uzbek letter by letter; initial e is э.
UZBEK_PAIRS = {
    "o'": "ў", "g'": "ғ", "sh": "ш", "ch": "ч", "yo": "ё", "yu": "ю", "ya": "я", "ye": "ҽ", "ts": "ц",
    "'": "ъ",
}  # fmt: skip
UZBEK = str.maketrans("abdefghijklmnopqrstuvxyzҽ", "абдефгҳижклмнопқрстувхйзе")

# Measured on, never trained on, under --hold-out: the whole UDHR of the neighbours and of these languages,
# the whole of these lingua languages, and the last fifth of the sources without a second origin.
HELD_OUT_LINGUA = {"cy", "da", "es", "et", "eu", "hu", "id", "la", "so", "sq"}
HELD_OUT_UDHR = {"deu_1996", "eng", "fra", "ind", "som", "spa", "sqi", "uig_latn"}
ONLY_MEDIAWIKI = {"kaa", "kk-latn", "tt-latn", "diq", "kiu", "lzz", "tly", "ba", "crh-cyrl", "krc", "kum"}
ONLY_UDHR = {"kaa", "uzn_cyrl", "azj_cyrl", "tuk_cyrl", "tgk"}
HELD_OUT_UDHR |= {"rus", "ukr", "bul", "khk"}

Group = tuple[str, str, list[str]]  # label, source, texts in their order


def read_groups(data: Path, script: str = "Latn") -> Iterator[Group]:
    """Yield every source of text in a script under its label; sources are `udhr-…`, `mediawiki-…`, …"""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in _json_lines(data / "udhr" / "udhr-paragraphs.jsonl.gz"):
        groups[UDHR.get(row["code"], "other"), f"udhr-{row['code']}"].append(row["text"])
    for row in _json_lines(data / "mediawiki-i18n" / "messages.jsonl.gz"):
        groups[MEDIAWIKI.get(row["code"], "other"), f"mediawiki-{row['code']}"].append(row["text"])
    for row in _json_lines(data / "ud-turkish-boun" / "sentences.jsonl.gz"):
        groups["tur_Latn", "boun-tr"].append(row["text"])
    with tarfile.open(data / "lingua-testdata" / "language-testdata.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if "/sentences/" in member.name else None
            if file:
                code = Path(member.name).stem
                groups[LINGUA.get(code, "other"), f"lingua-{code}"] += file.read().decode().splitlines()
    with zstandard.open(
        data.parent / "text-multi" / "voice-web-sentences.jsonl.zst", "rt", encoding="utf-8"
    ) as lines:
        for row in map(json.loads, lines):
            if row["lang"] in VOICE:
                groups[VOICE[row["lang"]], f"voice-{row['lang']}"].append(row["text"])
    for source in ("udhr-uzn_latn", "mediawiki-uz"):
        groups["uzn_Cyrl", f"{source}-cyrillic"] = [
            uzbek_cyrillic(text) for text in groups["uzn_Latn", source]
        ]
    for (label, source), texts in groups.items():
        written = [text for text in texts if _is_in(text, script)]
        if len(written) > len(texts) / 2:
            yield label, source, written


def uzbek_cyrillic(text: str) -> str:
    """Return Uzbek in Latin letters in Cyrillic ones, small: there are too few texts that were written so.

    >>> uzbek_cyrillic("Oʻzbekiston yangi shahar")
    'ўзбекистон янги шаҳар'
    """
    view = neighbour_view(text)
    for latin, cyrillic in UZBEK_PAIRS.items():
        view = view.replace(latin, cyrillic)
    view = re.sub(r"\be", "э", view)
    return view.translate(UZBEK)


def split(group: Group) -> tuple[list[str], list[str]]:
    """Return (to train on, to measure on) under --hold-out."""
    label, source, texts = group
    origin, code = source.split("-", 1)
    whole = (origin == "udhr" and code not in ONLY_UDHR and (label != "other" or code in HELD_OUT_UDHR)) or (
        origin == "lingua" and code in HELD_OUT_LINGUA
    )
    if whole:
        return [], texts
    shared = {"mediawiki": ONLY_MEDIAWIKI, "udhr": ONLY_UDHR, "voice": VOICE}.get(origin, ())
    cut = len(texts) * 4 // 5 if code in shared else len(texts)
    return texts[:cut], texts[cut:]


def pieces(groups: list[list[str]], count: int, rng: random.Random) -> Iterator[str]:
    """Yield `count` training lines: neighbouring texts joined to 25 to 600 characters, a part of them written
    as capitals come out of the view (without ı) or as people type without their keyboard (no diacritics)."""
    weights = [len(texts) ** 0.7 for texts in groups]
    while count:
        texts = rng.choices(groups, weights)[0]
        at, want = rng.randrange(len(texts)), rng.choice([25, 50, 100, 200, 400])
        piece = " ".join(neighbour_view(texts[at]).split())
        while len(piece) < want and at + 1 < len(texts):
            at += 1
            piece = " ".join((piece + " " + neighbour_view(texts[at])).split())
        piece = piece[: want * 3 // 2]
        writing = rng.random()
        if writing < 0.30:
            piece = piece.replace("ı", "i")
        elif writing < 0.45:
            piece = _without_diacritics(piece)
        if len(piece) > 8:
            count -= 1
            yield piece


def train(groups: list[Group], output: Path) -> None:
    """Train on the groups and write the quantised model."""
    import fasttext

    rng = random.Random(SEED)
    by_label: dict[str, list[list[str]]] = defaultdict(list)
    for label, _, texts in groups:
        if texts:
            by_label[label].append(texts[: 300 if label == "other" else None])
    lines = [
        f"__label__{label} {piece}"
        for label in sorted(by_label)
        for piece in pieces(by_label[label], {"tur_Latn": 12_000, "other": 20_000}.get(label, 6_000), rng)
    ]
    rng.shuffle(lines)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        model = fasttext.train_supervised(
            file.name, dim=12, minn=2, maxn=4, minCount=30, bucket=30_000, loss="softmax",
            lr=0.4, epoch=8, thread=1, seed=SEED, verbose=0,
        )  # fmt: skip
    model.quantize(qnorm=True)
    model.save_model(str(output))


def _json_lines(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _is_in(text: str, script: str) -> bool:
    letters = [ord(character) for character in text if character.isalpha()]
    first, last = {"Latn": (0, 0x250), "Cyrl": (0x400, 0x530)}[script]
    return sum(first <= letter < last for letter in letters) > 0.7 * max(1, len(letters))


def _without_diacritics(text: str) -> str:
    plain = text.replace("ı", "i").replace("ə", "e").replace("'", "")
    return "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--hold-out", action="store_true")
    parser.add_argument("--script", choices=("Latn", "Cyrl"), default="Latn")
    arguments = parser.parse_args()
    groups = list(read_groups(arguments.data, arguments.script))
    if arguments.hold_out:
        groups = [(label, source, split((label, source, texts))[0]) for label, source, texts in groups]
    train(groups, arguments.output)
    digest = hashlib.sha256(arguments.output.read_bytes()).hexdigest()
    print(f"{arguments.output}  {arguments.output.stat().st_size} bytes  sha256 {digest}")


if __name__ == "__main__":
    main()
