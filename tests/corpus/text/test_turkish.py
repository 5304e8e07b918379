"""Misread Turkish told from the languages whose letters it takes on when it is misread."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.text.turkish import MISREAD_LETTERS, misread, restore

SharedData = Callable[[str], Path]
TURKISH_LETTERS = "abcçdefgğhıijklmnoöprsştuüvyz"


def as_1252(text: str) -> str:
    return text.encode("cp1254", "replace").decode("cp1252", "replace")


@pytest.mark.parametrize(
    "text",
    [
        "Ýstanbul ýþýk",
        "Doðru ağaç deðil",
        "TÜRKÝYE BÜYÜK MÝLLET MECLÝSÝ BAÞKANLIÐI",
        "Ýþ baþvurusu için gerekli þartlar aþaðýdadýr.",
    ],
)
def test_turkish_read_as_1252_is_recognised(text: str) -> None:
    assert misread(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ýstanbul",  # one word proves nothing
        "Það er gott að búa hér og ýmsir hafa sagt það áður.",
        "Það þoldi ekki vindinn.",
        "Alþingi is the parliament of Iceland; it met at Þingvellir from 930.",
        "Hwæt! We Gardena in geardagum, þeodcyninga, þrym gefrunon, hu ða æþelingas ellen fremedon.",
        "Ne, nechci být tvým bratrem! Nový byt je malý a starý dům prodaný.",
        "Men ýygy-ýygydan şäheriň köçelerine çykýaryn, ýöne ýagyş ýagýar.",
        "Lý do là quý vị có ý kiến.",
        "Við vorum bæði heima og síðan kom maður með hníf.",
        "Ólafur Ragnar Grímsson og Vigdís Finnbogadóttir, Þór og Ýmir.",
        "The letters ð, þ and ý are used in Icelandic.",
    ],
)
def test_other_languages_are_left_alone(text: str) -> None:
    assert not misread(text)


@given(st.text(alphabet=TURKISH_LETTERS + "ĞİŞ "))
def test_restore_undoes_the_misreading(text: str) -> None:
    assert restore(as_1252(text)) == text


# Real data from here on.


def test_no_language_is_taken_for_misread_turkish(shared_data: SharedData) -> None:
    paragraphs = defaultdict(list)
    with gzip.open(shared_data("lid/udhr/udhr-paragraphs.jsonl.gz"), "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            paragraphs[row["code"]].append(row["text"])
    alarms = [
        (code, text)
        for code, texts in paragraphs.items()
        for text in [*texts, "\n".join(texts)]
        if misread(text)
    ]
    assert len(paragraphs) > 500
    assert alarms == []


def test_sentences_of_75_languages(shared_data: SharedData) -> None:
    alarms, missed, total = [], 0, 0
    with tarfile.open(shared_data("lid/lingua-testdata/language-testdata.tar.gz")) as tar:
        for member in tar:
            if "/sentences/" not in member.name:
                continue
            file = tar.extractfile(member)
            assert file is not None
            sentences = io.TextIOWrapper(file, encoding="utf-8").read().splitlines()
            if not member.name.endswith("/tr.txt"):
                alarms += [(member.name, s) for s in sentences if misread(s)]
                continue
            for sentence in sentences:
                # A quarter of these sentences are misread already, as they were found on the web.
                bad = sentence if MISREAD_LETTERS & set(sentence) else as_1252(sentence)
                if MISREAD_LETTERS & set(bad):
                    total += 1
                    missed += not misread(bad)
    assert alarms == []
    assert total > 900
    assert missed <= 0.015 * total
