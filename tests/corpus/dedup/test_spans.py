"""Spans end at words, leave what others need, and say what removed most of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corpus.dedup import spans
from corpus.dedup.removals import PARAGRAPHS, SUBSTRINGS
from corpus.dedup.spans import COPIED


def ranges(text: str, pieces: Sequence[str], document: str, start: str, end: str) -> NDArray[np.void]:
    """Return COPIED rows of the first place of each piece in a text, whose number is 5."""
    found = np.zeros(len(pieces), COPIED)
    found["kind"] = SUBSTRINGS
    for row, piece in zip(found, pieces, strict=True):
        row[document], row[start] = 5, text.encode().index(piece.encode())
        row[end] = row[start] + len(piece.encode())
    return found


def cut(text: str, *pieces: str, kept: Sequence[str] = (), fill: float = 0.95) -> tuple[str, bool]:
    """Return what is left of a text of which pieces stand elsewhere, and whether others need any of it."""
    content = text.encode()
    needed = ranges(text, kept, "kept", "kept_start", "kept_end")
    own = ranges(text, pieces, "document", "start", "end")
    found = spans.spans(np.frombuffer(content, np.uint8), own, needed, fill)
    left = spans.without(content, found["start"].tolist(), found["end"].tolist()).decode()
    return left, spans.is_needed(found, needed)


def test_spans_go_from_word_to_word() -> None:
    assert cut("bir iki üç dört beş", "ki üç dö") == ("bir iki\ndört beş", False)
    assert cut("bir iki üç dört beş", "bir iki") == ("üç dört beş", False)
    assert cut("bir iki üç dört beş", "bir iki üç dört beş") == ("", False)
    assert cut("bir iki üç", "ki") == ("bir iki üç", False)
    assert cut("bir\niki üç\ndört", " üç\n") == ("bir\niki\ndört", False)


def test_a_word_without_end_is_cut_between_characters() -> None:
    text = "ç" * 300 + "ğ" * 300
    content = text.encode()
    rows = np.zeros(1, COPIED)
    rows["start"], rows["end"], rows["kind"] = 201, 1001, SUBSTRINGS
    (span,) = spans.spans(np.frombuffer(content, np.uint8), rows, rows[:0], 0.95)
    assert (span["start"], span["end"]) == (202, 1000)
    assert spans.without(content, [202], [1000]).decode() == "ç" * 101 + "\n" + "ğ" * 100


def test_small_gaps_go_unless_others_need_them() -> None:
    text = "x aaaa aaaa aaaa aaaa b aaab aaab aaab aaab y"
    pieces = ("aaaa aaaa aaaa aaaa", "aaab aaab aaab aaab")
    assert cut(text, *pieces, fill=0.9) == ("x\ny", False)
    assert cut(text, *pieces, fill=0.95) == ("x\nb\ny", False)
    assert cut(text, *pieces, kept=["aaaa b aaab"], fill=0.9) == ("x\nb\ny", True)
    assert cut(text, *pieces, kept=["aaaa aaaa"], fill=0.9) == ("x\ny", False)


def test_a_span_has_the_kind_and_the_document_of_most_of_its_bytes() -> None:
    rows = np.zeros(3, COPIED)
    rows["start"], rows["end"] = [0, 8, 20], [11, 30, 26]
    rows["kept"], rows["kind"] = [7, 8, 9], [SUBSTRINGS, PARAGRAPHS, SUBSTRINGS]
    text = np.frombuffer(b"a " * 20, np.uint8)
    (span,) = spans.spans(text, rows, rows[:0], 1.0)
    assert (span["start"], span["end"], span["kept"], span["kind"]) == (0, 30, 8, PARAGRAPHS)
