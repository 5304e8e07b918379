"""Sentences are counted with Turkish abbreviations and ordinals in mind."""

from __future__ import annotations

import pytest

from corpus.filters import sentences
from corpus.text.view import view


def count_sentences(text: str) -> int:
    seen = view(text)
    return sentences.count_sentences(seen.codes, seen.line_starts, seen.line_ends)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 0),
        ("  ", 0),
        ("Geldi", 1),
        ("Geldi. Gitti.", 2),
        ("Geldi! Gitti mi? Evet...", 3),
        ("“Geldi.” Sonra gitti.", 2),
        ("Prof. Dr. Ayşe Kaya geldi.", 1),
        ("Bkz. Şekil 3. Burada görülür.", 1),  # a number of up to three digits may be an ordinal
        ("15. yüzyılda, 1453'te alındı. Sonra kuruldu.", 2),
        ("15. Madde değişti.", 1),
        ("Elma, armut vb. meyveler. Hepsi taze.", 2),
        ("Elma, armut vb. Hepsi taze.", 2),
        ("Olay 1923. Sonra cumhuriyet.", 2),
        ("A. Kaya ve M. Ak geldi.", 1),
        ("No. 12. Kat 3.", 1),
        ("www.ornek.com.tr adresi, 3.5 puan.", 1),
        ("他来了。他走了。", 2),
        ("İNŞ. TİC. LTD. ŞTİ. Ankara", 2),  # İNŞ. is not in the list, the others are
    ],
)
def test_sentences_of(line: str, count: int) -> None:
    assert count_sentences(line) == count


def test_a_line_as_long_as_a_book_is_read_once() -> None:
    # Each would take long if a sentence looked at the whole line.
    assert count_sentences("." * 200_000 + "x") == 1
    assert count_sentences("Geldi.\u3000" * 100_000) == 100_000
