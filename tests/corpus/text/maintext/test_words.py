"""Names of the parts of pages are known in eight languages, as whole words and not as parts of words."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.text.maintext.scan import meaning
from corpus.text.maintext.words import BIT, BITS, BY_LANGUAGE, WORDS


def meanings(text: str, names: bool = True) -> set[str]:
    data = np.frombuffer(text.encode(), np.uint8)
    found = int(meaning(data, 0, data.size, names, WORDS, BITS))
    return {name for name, bit in BIT.items() if found >> bit & 1}


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_every_word_of_the_tables_is_found(language: str) -> None:
    missed = [
        (meaning_, word)
        for meaning_, words in BY_LANGUAGE[language].items()
        for word in words.split()
        if meaning_ not in meanings(word) and not word.startswith(("on-", "show-", "topic-"))
    ]
    assert missed == []


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_lines_are_looked_up_whatever_their_case(language: str) -> None:
    for meaning_, words in BY_LANGUAGE[language].items():
        for word in words.split():
            upper = word.replace("i", "İ").upper() if language == "tr" else word.upper()
            for spelling in (word, upper):
                assert meaning_ in meanings(spelling.replace("-", " "), names=False), spelling


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ilgili-haberler", {"related", "list"}),
        ("relatedPosts", {"related", "post"}),
        ("site__footer--dark", {"footer"}),
        ("has-newsletter no-sidebar is-caption-right", set()),
        ("category-login tag-newsletter url-breadcrumb", set()),
        ("commentary unrelated", set()),
        ("en-cok-okunanlar", {"popular"}),
        ("son-dakika", {"ticker"}),
        ("son", set()),
    ],
)
def test_names_match_whole_words(name: str, expected: set[str]) -> None:
    assert meanings(name) - {"furniture"} == expected
