"""Modified Kneser-Ney: probabilities sum to one, and are those of the formulas and of KenLM."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpus.quality.model import dump, load, train, write_arpa
from corpus.quality.ngrams import fit
from corpus.quality.scorer import Scorer
from corpus.quality.symbols import END, START, Alphabet

kenlm = pytest.importorskip("kenlm", reason="kenlm-ex is a development dependency")

TEXTS = [
    "Ankara'nın taşına bak,\ngözlerimin yaşına bak.",
    "Kar yağıyor; 12 derece soğuk var.\n\nYollar kapalı.",
    "Ankara'nın kışı 3 ay sürer,  yazı sıcak\tgeçer.",
    "Taş taş üstüne koyan ev yapar.",
] * 3 + [f"{word}a bak, {word}ı gör" for word in ("dağ", "taş", "kar", "yol", "ay", "ak", "at", "ok")]
ORDER = 4


@pytest.fixture(scope="module")
def alphabet() -> Alphabet:
    return Alphabet.of(TEXTS)


def test_symbols_fold_digits_and_white_space(alphabet: Alphabet) -> None:
    names = alphabet.names()
    shown = "".join(names[symbol] for symbol in alphabet.symbols("  7 ay \t1986\r\n\n\x0b Ω").tolist())
    assert shown == "<s>0▁ay▁0000</s><s><unk></s>"


def test_probabilities_after_every_context_sum_to_one(alphabet: Alphabet) -> None:
    scorer = Scorer(fit(TEXTS, alphabet, ORDER))
    words = [symbol for symbol in alphabet.names() if symbol != START]
    a, n, blank = (next(s for s, name in alphabet.names().items() if name == sign) for sign in "an▁")
    for context in ([START], [START, a], [START, a, n, blank], [START, blank, blank, a, n]):
        before, _ = scorer.log10_of(np.array(context, np.uint8))
        after = [scorer.log10_of(np.array([*context, word], np.uint8))[0] for word in words]
        assert sum(10 ** (value - before) for value in after) == pytest.approx(1, abs=1e-5)


def reference(alphabet: Alphabet, order: int, symbols: list[int]) -> float:
    """Return log10 of the last symbol's probability after the others, by the formulas over dictionaries."""
    counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
    for text in TEXTS:
        line: list[int] = []
        for symbol in alphabet.symbols(text).tolist():
            line = [symbol] if symbol == START else [*line, symbol]
            if symbol != START:
                for n in range(1, min(order, len(line)) + 1):
                    counts[n][tuple(line[-n:])] += 1
    adjusted = [Counter(), *(Counter() for _ in range(order))]
    for n in range(1, order + 1):
        for gram, number in counts[n].items():
            if n == order or gram[0] == START:
                adjusted[n][gram] = number
            else:
                adjusted[n][gram] = sum(longer[1:] == gram for longer in counts[n + 1])

    def discount(n: int, number: int) -> float:
        times = Counter(min(each, 5) for each in adjusted[n].values())
        if not all(times[k] for k in (1, 2, 3, 4)):
            return 0.5 * min(number, 3)
        share = times[1] / (times[1] + 2 * times[2])
        taken = [k - (k + 1) * share * times[k + 1] / times[k] for k in (1, 2, 3)]
        if not all(0 <= each <= k for k, each in enumerate(taken, 1)):
            return 0.5 * min(number, 3)
        return taken[min(number, 3) - 1]

    def probability(gram: tuple[int, ...]) -> float:
        n = len(gram)
        if not n:
            return 1 / (len(alphabet.names()) - 1)
        mates = [number for each, number in adjusted[n].items() if each[:-1] == gram[:-1]]
        if not mates:
            return probability(gram[1:])
        own = adjusted[n][gram]
        kept = own - discount(n, own) if own else 0.0
        weight = sum(discount(n, number) for number in mates)
        return (kept + weight * probability(gram[1:])) / sum(mates)

    return math.log10(probability(tuple(symbols[-order:])))


def test_it_is_what_the_formulas_say(alphabet: Alphabet) -> None:
    scorer = Scorer(fit(TEXTS, alphabet, ORDER))
    for text in ("Ankara", "taş yol", "Ωk", "12a"):
        symbols = alphabet.symbols(text).tolist()
        expected = sum(reference(alphabet, ORDER, symbols[: n + 1]) for n in range(1, len(symbols)))
        assert scorer.log10(text)[0] == pytest.approx(expected, abs=1e-5)
    assert symbols[-1] == END


def test_kenlm_gives_the_same_for_the_file_that_we_write(alphabet: Alphabet, tmp_path: Path) -> None:
    model = fit(TEXTS, alphabet, ORDER)
    path = tmp_path / "a.arpa"
    with path.open("w", encoding="utf-8") as file:
        write_arpa(model, file)
    theirs = kenlm.Model(str(path))
    scorer = Scorer(model)
    names = alphabet.names()
    for text in (*TEXTS, "Bambaşka bir söz: x=Ω?", "ak\nkara\n\nüç 55", "zzz"):
        symbols = alphabet.symbols(text)
        lines = "".join(f"{names[symbol]} " for symbol in symbols.tolist()).split("</s>")[:-1]
        expected = [value for line in lines for value, _, _ in theirs.full_scores(line.replace("<s>", " "))]
        totals = [
            scorer.log10_of(symbols[:n])[0]
            for n in range(symbols.size + 1)
            if n == 0 or symbols[n - 1] != START
        ]
        assert np.diff(totals).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_file_gives_back_the_model_and_bad_texts_score_lower(tmp_path: Path) -> None:
    good = [f"{number}. gün: taş üstüne taş koyan ev yapar, bak." for number in range(200)]
    bad = [f"{number} x=y({number}); return null;" for number in range(200)]
    path = tmp_path / "a.lm"
    made = train([f"{text} {'ağ' * (n % 7)}" for n, text in enumerate(good)], bad, order=3)
    path.write_bytes(dump(made))
    back = load(str(path))
    assert dump(back) == path.read_bytes()
    assert back.checks.auc == 1.0
