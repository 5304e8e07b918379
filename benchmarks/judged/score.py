"""Precision and recall of rules and of presets on the judged documents: `score.py DATA [PRESET ...]`.

A preset is scored on the documents of its language, as the identifier names it. By default the documents of
`fresh.tsv` count, judged after the limits of derlem-tur were fixed; other parts are of `verdicts.tsv`.
Precision is the share of dropped documents whose verdict is `drop`: a dropped document that would be kept in
part counts as an error.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from documents import find, is_for_choosing

from corpus import language
from corpus.filters import judge, load
from corpus.filters.preset import Preset, names
from corpus.text.view import view

HERE = Path(__file__).parent
LANGUAGES = {"fineweb2-tur": "tur_Latn", "derlem-tur": "tur_Latn", "fineweb-any": "tur_Latn"}


class Judged(NamedTuple):
    stratum: str
    id: str
    text: str
    language: str
    verdict: str
    reason: str


def verdicts(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {(row["stratum"], row["id"]): row for row in rows}


def documents(data: Path, part: str) -> list[Judged]:
    """Return the judged documents of a part; those whose text has changed since the reading are told."""
    rows = verdicts(HERE / ("fresh.tsv" if part == "fresh" else "verdicts.tsv"))
    whole = part in ("fresh", "all")
    wanted = {name for name in rows if whole or is_for_choosing(*name) == (part == "choosing")}
    found = list(find(data, wanted))
    codes = language.identify_each([each.text for each in found], "")
    changed = sum(each.hash != rows[each.stratum, each.id]["hash"] for each in found)
    print(
        f"{len(found)} of {len(wanted)} documents found, {changed} with another text than was read",
        file=sys.stderr,
    )
    return [
        Judged(*each[:3], code, rows[each.stratum, each.id]["verdict"], rows[each.stratum, each.id]["reason"])
        for each, (code, _) in zip(found, codes, strict=True)
    ]


def hits(judged: list[Judged], preset: Preset) -> dict[str, np.ndarray]:
    """Return for every rule which documents it drops, whatever other rules do: [documents]."""
    values = [judge(view(each.text), preset).values for each in judged]
    found = {bound.rule: np.zeros(len(judged), dtype=bool) for bound in preset.bounds}
    for bound in preset.bounds:
        column = np.array([row[bound.index] for row in values])
        found[bound.rule] |= (column > bound.high) | (column < bound.low)
    return found


def line(name: str, dropped: np.ndarray, verdict: np.ndarray) -> str:
    """Return a row: what is dropped by verdict, precision, recall, share of good documents kept."""
    drop, part, keep = (int((dropped & (verdict == kind)).sum()) for kind in ("drop", "part", "keep"))
    total = drop + part + keep
    precision = f"{drop / total:9.3f}" if total else "        -"
    recall = drop / max(1, int((verdict == "drop").sum()))
    kept = 1 - keep / max(1, int((verdict == "keep").sum()))
    return f"{name:38}{drop:6}{part:6}{keep:6}{precision}{recall:8.3f}{kept:11.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("presets", nargs="*")
    parser.add_argument("--part", choices=("fresh", "choosing", "reporting", "all"), default="fresh")
    args = parser.parse_args()
    everything = documents(args.data, args.part)
    for name in args.presets or [name for name in names() if name != "none"]:
        code = LANGUAGES.get(name.removesuffix(".toml").rsplit("/", 1)[-1], "eng_Latn")
        judged = [each for each in everything if each.language == code]
        verdict = np.array([each.verdict for each in judged])
        counts = ", ".join(f"{(verdict == kind).sum()} {kind}" for kind in ("drop", "part", "keep"))
        print(f"\n{name}: {len(judged)} documents in {code} ({counts})")
        print(f"{'rule':38}{'drop':>6}{'part':>6}{'keep':>6}{'precision':>9}{'recall':>8}{'good kept':>11}")
        by_rule = hits(judged, load(name))
        for rule, dropped in by_rule.items():
            if dropped.any():
                print(line(rule, dropped, verdict))
        print(line("all", np.any(list(by_rule.values()), axis=0), verdict))


if __name__ == "__main__":
    main()
