"""Paragraphs: the first places keep what many have; a document with too many counts once."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpus.dedup import paragraphs
from corpus.dedup.paragraphs import form
from corpus.dedup.removals import PARAGRAPHS
from corpus.furniture import host_of

LENGTH = 4

Document = tuple[str, str]  # text, URL


def found(documents: list[Document], length: int = LENGTH) -> NDArray[np.void]:
    texts, urls = ([each[at] for each in documents] for at in (0, 1))
    return paragraphs.paragraphs(np.arange(len(documents), dtype=np.uint64), texts, urls, length)


def cut(documents: list[Document], ranks: list[int], most: int, by_host: bool) -> dict[int, list[str]]:
    """Return the lines that each document loses."""
    rows, _ = paragraphs.common(found(documents), most, by_host)
    lost: dict[int, list[str]] = {}
    for row in np.sort(paragraphs.copied(rows, np.array(ranks)[rows["document"]], most, by_host)):
        text, kept = (documents[row[name]][0].encode() for name in ("document", "kept"))
        line = text[row["start"] : row["end"]].decode()
        assert form(line) == form(kept[row["kept_start"] : row["kept_end"]].decode())
        assert row["kind"] == PARAGRAPHS
        lost.setdefault(int(row["document"]), []).append(line)
    return lost


def truly(documents: list[Document], ranks: list[int], most: int, by_host: bool) -> dict[int, list[str]]:
    """Return the same by going through the documents in the order of preference."""
    places: dict[str, set[str]] = {}
    lost: dict[int, list[str]] = {}
    for number in np.argsort(ranks).tolist():
        text, url = documents[number]
        place = (host_of(url) if by_host else "") or str(number)
        for line in text.split("\n"):
            if len(line.encode()) >= LENGTH and form(line):
                keep = places.setdefault(form(line), set())
                if place not in keep and len(keep) == most:
                    lost.setdefault(number, []).append(line)
                else:
                    keep.add(place)
    return lost


_line = st.sampled_from(
    ["çok kısa", "Çok KISA", "satır 12", "satır 3", "abc", "1234567", "", "başka bir satır"]
)
_document = st.tuples(
    st.lists(_line, max_size=6).map("\n".join),
    st.sampled_from(["", "https://a.example/1", "https://a.example/2", "https://b.example", "https://["]),
)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), documents=st.lists(_document, min_size=1, max_size=9))
def test_the_first_places_keep_a_paragraph_and_no_other_does(
    data: st.DataObject, documents: list[Document]
) -> None:
    ranks = data.draw(st.permutations(range(len(documents))))
    most, by_host = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    assert cut(documents, ranks, most, by_host) == truly(documents, ranks, most, by_host)


def test_what_other_numbers_of_places_would_cut_is_counted_by_place() -> None:
    documents = [("aynı satır\naynı satır", "")] + [("aynı satır\nbaşka", "")] * 4 + [("yalnız burada", "")]
    size = len("aynı satır".encode())
    _, along = paragraphs.common(found(documents), 3, False)
    # Five places with six lines, and four with another one.
    assert along[1] == int(6 / 5 * size * 4) + len("başka".encode()) * 3
    assert along[2] == int(6 / 5 * size * 3 + len("başka".encode()) * 2)
    assert (along[5], along[1_000]) == (0, 0)


def test_a_paragraph_has_its_bytes_and_lines_without_letters_are_none() -> None:
    rows = found([("bir\n\n2026 - 11\nİkinci satır\nüç", "https://www.example/x"), ("üçüncü", "")], 5)
    assert [(int(r["document"]), int(r["start"]), int(r["end"])) for r in rows] == [(0, 15, 29), (1, 0, 10)]
    assert rows["host"][0] != 0
    assert rows["host"][1] == 0
    assert found([]).size == 0


def test_no_paragraph_is_cut_where_no_more_places_have_it_than_may() -> None:
    documents = [(f"satır {n}\nyalnız {'abc'[n]}", "") for n in range(3)]
    rows, _ = paragraphs.common(found(documents), 3, False)
    assert rows.size == 0
    assert paragraphs.copied(rows, rows["document"].astype(np.int64), 3, False).size == 0
    hashes = Counter(found(documents)["hash"].tolist())
    assert sorted(hashes.values()) == [1, 1, 1, 3]


def test_case_and_digits_do_not_count_whatever_the_alphabet() -> None:
    assert form("Işık  İLE 12.30'da") == form("ışık ile 7'DA")
    assert form("2026 - 11") == ""
