"""Language identification on held-out text: lid.176 alone beside derlem's two looks, then the time of each.

    python benchmarks/train_neighbours.py DATA /tmp/measured.ftz --hold-out     # see corpus/models/README.md
    python -m benchmarks.language DATA /tmp/measured.ftz                        # both with --script Cyrl

A cell is the share of pieces that get their own language and, behind it, the share called Turkish.
"""

from __future__ import annotations

import argparse
import statistics
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.train_neighbours import read_groups, split
from corpus import language

# What lid.176 should say of the held-out sources that are no neighbour; short of a table of the world.
OTHERS = {
    "udhr-deu_1996": "deu", "udhr-eng": "eng", "udhr-fra": "fra", "udhr-ind": "ind", "udhr-som": "som",
    "udhr-spa": "spa", "udhr-sqi": "als", "udhr-uig_latn": "uig", "lingua-cy": "cym", "lingua-da": "dan",
    "lingua-es": "spa", "lingua-et": "ekk", "lingua-eu": "eus", "lingua-hu": "hun", "lingua-id": "ind",
    "lingua-la": "lat", "lingua-so": "som", "lingua-sq": "als", "mediawiki-lzz": "lzz",
    "mediawiki-tly": "tly", "udhr-rus": "rus", "udhr-ukr": "ukr", "udhr-bul": "bul", "udhr-khk": "khk",
    "udhr-tgk": "tgk",
}  # fmt: skip

Answer = tuple[str, float]


def alone(text: str) -> Answer:
    """lid.176 on the text as it stands."""
    label, score = language._predict("", " ".join(text.split()), k=1)[0]
    return language._code(label, "Latn"), score


def five_words(text: str) -> str:
    """Return the start of a text."""
    return " ".join(text.split()[:5])


def capitals(text: str, code: str) -> str:
    dotted = code[:3] in {"tur", "azj", "crh", "gag", "kaz", "tat", "kaa", "lzz"}
    return (text.replace("i", "İ") if dotted else text).upper()


def held_out(data: Path, script: str = "Latn") -> Iterator[tuple[str, str, list[str]]]:
    for label, source, texts in read_groups(data, script):
        measured = [text for text in split((label, source, texts))[1] if len(text) >= 25][:400]
        if measured:
            yield (OTHERS[source] if label == "other" else label[:3]), source, measured


def table(data: Path, script: str) -> None:
    sure: dict[int, list[bool]] = defaultdict(list)
    head = ["5 words", "5 WORDS", "1 sentence", "1 SENTENCE", "3 sentences", "3 SENTENCES"]
    print(f"{'':24}" + "".join(f"{name:>14} {'':9}" for name in head))
    print(f"{'held-out source':24}" + f"{'alone':>11} {'two looks':>12}" * len(head))
    for code, source, texts in sorted(held_out(data, script)):
        cells = []
        three = [" ".join(texts[i : i + 3]) for i in range(0, len(texts), 3)]
        for joined in ([five_words(text) for text in texts], texts, three):
            for upper in (False, True):
                batch = [capitals(text, code) for text in joined] if upper else joined
                for method in (alone, language.identify):
                    answers = [method(text) for text in batch]
                    if method is language.identify:
                        for answer, score in answers:
                            sure[min(int(score * 10), 9)].append(answer[:3] == code)
                    right = sum(answer[:3] == code for answer, _ in answers) / len(answers)
                    turkish = sum(answer[:3] == "tur" for answer, _ in answers) / len(answers)
                    cells.append(f"{100 * right:4.0f} ({100 * turkish:3.0f})")
        print(f"{code} {source:20}" + "".join(f"{cell:>12}" for cell in cells))
    print("\nscore of two looks: share right (pieces)")
    for tenth, hits in sorted(sure.items()):
        print(f"  {tenth / 10:.1f}-{tenth / 10 + 0.1:.1f}: {sum(hits) / len(hits):.3f} ({len(hits)})")


def shouted_turkish(data: Path) -> None:
    """Print how many of lingua's 1,000 Turkish sentences are called Turkish, small and in capitals."""
    with tarfile.open(data / "lingua-testdata" / "language-testdata.tar.gz") as archive:
        file = archive.extractfile("language-testdata/sentences/tr.txt")
        assert file is not None
        texts = file.read().decode().splitlines()
    shouted = [capitals(text, "tur") for text in texts]
    folded = [text.replace("İ", "i").replace("I", "ı").lower() for text in shouted]
    print(f"\ncalled Turkish of {len(texts)} Turkish sentences of lingua")
    for name, method, batch in (
        ("lid.176 alone", alone, texts),
        ("lid.176 alone, capitals", alone, shouted),
        ("lid.176 alone, capitals folded", alone, folded),
        ("two looks (the second was trained on these)", language.identify, texts),
        ("two looks, capitals", language.identify, shouted),
    ):
        turkish = sum(method(text)[0] == "tur_Latn" for text in batch)
        print(f"  {name:44}{100 * turkish / len(batch):6.1f} %")


def median_ms(function: Callable[[str], object], texts: list[str]) -> float:
    times = []
    for _ in range(5):
        for text in texts:
            start = time.perf_counter()
            function(text)
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def speed(data: Path) -> None:
    for code in ("tur", "azj", "eng", "deu"):
        texts = [" ".join(t) for c, s, t in held_out(data) if c == code and s.startswith("udhr")]
        pages = [(text * 4)[start : start + 4000] for text in texts for start in range(0, 5000, 250)]
        for name, batch in (("4,000 characters", pages), ("in capitals", [capitals(p, code) for p in pages])):
            ours, theirs = median_ms(language.identify, batch), median_ms(alone, batch)
            print(f"{code} {name:17} identify {ours:.3f} ms, lid.176 on the whole page {theirs:.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path, help="trained with --hold-out")
    parser.add_argument("--script", choices=("Latn", "Cyrl"), default="Latn")
    arguments = parser.parse_args()
    language._SECOND_LOOKS[arguments.script] = str(arguments.model)
    table(arguments.data, arguments.script)
    if arguments.script == "Cyrl":
        return
    shouted_turkish(arguments.data)
    speed(arguments.data)


if __name__ == "__main__":
    main()
