"""Lines, paragraphs and words of a text are found where the definition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.text import view as module
from corpus.text.view import BULLET, C4_END, ELLIPSIS, LETTER, SENTENCE, fold, view, word_hashes, words

# Characters that decide something, mixed with any others.
TRICKY = st.sampled_from(list("Iİıi\u0307’'-_.,/ \n\r\t\u2028a1ğÇ中กา́.٣ß\u200dΣ\U0001f600\ud800Ⱥ"))
TEXTS = st.text(st.one_of(TRICKY, st.characters()), max_size=60)


def folded_words(text: str) -> list[str]:
    seen = view(text)
    data = seen.folded.tobytes()
    return [data[start:end].decode() for start, end in zip(seen.word_starts, seen.word_ends, strict=True)]


@settings(max_examples=1000, deadline=None)
@given(TEXTS)
@example("")
@example("I\u0307'I\u0307’ \u0307i")
@example("中'a 中́国a'中")
def test_the_kernel_finds_the_words_of_the_reference(text: str) -> None:
    seen = view(text)
    assert folded_words(text) == words(text)
    assert seen.folded.tobytes().decode() == " ".join(words(text))
    cut = [text[a:b] for a, b in zip(seen.word_code_starts, seen.word_code_ends, strict=True)]
    assert [fold(word) for word in cut] == words(text)
    assert [bool(flags & LETTER) for flags in seen.word_flags] == [any(map(str.isalpha, w)) for w in cut]


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_lines_are_those_of_splitlines_stripped_and_without_the_empty_ones(text: str) -> None:
    seen = view(text)
    stripped = [line.strip() for line in text.splitlines()]
    assert [seen.line(i) for i in range(seen.lines)] == [line for line in stripped if line]
    assert len({*seen.line_hashes.tolist()}) == len({line for line in stripped if line})
    counts = [len(words(line)) for line in stripped if line]
    assert np.diff(seen.line_words).tolist() == counts
    paragraphs: list[int] = []
    before = ""
    for line in stripped:
        if line and not before:
            paragraphs.append(0)
        if line:
            paragraphs[-1] += 1
        before = line
    assert np.diff(seen.paragraph_lines).tolist() == paragraphs


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_words_have_one_hash_exactly_when_they_fold_to_one_form(left: str, right: str) -> None:
    names = words(left) + words(right)
    hashes = [*word_hashes(left).tolist(), *word_hashes(right).tolist()]
    assert len(set(zip(names, hashes, strict=True))) == len(set(names)) == len(set(hashes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Türkiye'nin İstanbul’u", ["türkiye'nin", "istanbul'u"]),
        ("'tırnak' içi 'alıntı'nın", ["tirnak", "içi", "alinti'nin"]),
        ("e-posta foo_bar m²", ["e", "posta", "foo", "bar", "m²"]),
        (
            "2024'te 15. 3,5, 14/1/1970 12:30'da v1.2",
            ["2024'te", "15", "3,5", "14/1/1970", "12:30'da", "v1.2"],
        ),
        (
            "a.b 1.b a/b 1./2 1-2 中.1 1.中",
            ["a", "b", "1", "b", "a", "b", "1", "2", "1", "2", "中", "1", "1", "中"],
        ),
        ("中国 ไทย", ["中", "国", "ไ", "ท", "ย"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("❤️ — … ***", []),
    ],
)
def test_words_of(text: str, expected: list[str]) -> None:
    assert words(text) == folded_words(text) == expected


def test_case_variants_of_turkish_words_are_one_word_and_diacritics_count() -> None:
    for variants in ("IŞIK ışık Işık", "İYİ iyi İyi i\u0307yi I\u0307YI\u0307", "DİYARBAKIR diyarbakır"):
        assert len(set(word_hashes(variants).tolist())) == 1
    assert len(set(word_hashes("ölü olu açı acı").tolist())) == 4


def test_an_empty_text_has_nothing() -> None:
    seen = view("")
    assert (seen.words, seen.lines, seen.paragraphs, seen.folded.size) == (0, 0, 0, 0)


def test_the_tables_are_right_for_every_code_point() -> None:
    kinds, folds = module._tables()
    for code in range(0x110000):
        assert kinds[code] == module._kind(chr(code))
        assert folds[code] == ord(module._fold(chr(code)))


@pytest.mark.parametrize(
    ("line", "marks"),
    [
        ("Geldi.", SENTENCE | C4_END),
        ("“Geldi.”", C4_END),
        ("(Geldi mi?)", 0),
        ("Geldi...", SENTENCE | C4_END | ELLIPSIS),
        ("Geldi…", SENTENCE | ELLIPSIS),
        ("他来了。", SENTENCE),
        ('"Geldi"', C4_END),
        ("- geldi", BULLET),
        ("• geldi!", BULLET | SENTENCE | C4_END),
        ("Geldi:", 0),
        ('"', C4_END),
        (".", SENTENCE | C4_END),
    ],
)
def test_line_marks(line: str, marks: int) -> None:
    assert view(line).line_marks.tolist() == [marks]
