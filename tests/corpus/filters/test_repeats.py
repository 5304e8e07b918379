"""What repeats is counted as the convention says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.filters.repeats import duplicates, ngrams
from corpus.text.view import view

WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=40)
SIZES = (1, 2, 3, 5, 10)


def counted(
    words: list[str], top: tuple[int, ...] = SIZES, repeated: tuple[int, ...] = SIZES
) -> list[list[int]]:
    seen = view(" ".join(words))
    lengths = seen.word_code_ends - seen.word_code_starts
    found = ngrams(seen.word_hashes, lengths, np.array(top, np.int64), np.array(repeated, np.int64))
    return [part.tolist() for part in found]


def top_by_definition(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    best = max(Counter(grams).items(), key=lambda item: (item[1], -grams.index(item[0])))
    return len(best[0]) * best[1]


def repeated_by_definition(words: list[str], n: int) -> int:
    seen, chars, at = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


@settings(max_examples=300, deadline=None)
@given(WORDS)
def test_ngrams_are_counted_as_their_definition_says(words: list[str]) -> None:
    top, repeated = counted(words)
    assert top == [top_by_definition(words, n) for n in SIZES]
    assert repeated == [repeated_by_definition(words, n) for n in SIZES]


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_duplicates_are_the_second_and_later_occurrences(words: list[str]) -> None:
    seen = view("\n".join(words))
    count, chars = duplicates(seen.line_hashes, seen.line_ends - seen.line_starts)
    assert count == len(words) - len(set(words))
    assert chars == sum(map(len, words)) - sum(map(len, set(words)))


def test_ngrams_of_a_song_have_the_values_that_datatrove_gives() -> None:
    verse = "yine bir gün doğuyor kentin üstüne ve herkes kendi yoluna gidiyor sessizce"
    refrain = "su akar yolunu bulur su akar yolunu bulur su akar"
    song = " ".join([verse, refrain, "sonra akşam oluyor", refrain, verse, refrain]).split()
    top, repeated = counted(song, (2, 3, 4), (5, 6, 7, 8, 9, 10))
    assert top == GOLDEN_TOP
    assert repeated == GOLDEN_REPEATED


# datatrove 0.10.1, find_top_duplicate and find_all_duplicate on the words of the song.
GOLDEN_TOP = [63, 84, 120]
GOLDEN_REPEATED = [156, 132, 128, 114, 122, 137]


@pytest.mark.parametrize("words", [[], ["tek"]])
def test_texts_shorter_than_the_ngram_repeat_nothing(words: list[str]) -> None:
    assert counted(words, (2,), (2,)) == [[0], [0]]
