"""Lines that a host repeats are found from counts, whatever the units, and content is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import furniture
from corpus.furniture import Counter, hashed, judge, normal, without

URL = "https://a.example/{}"
BODY = "\n".join(
    f"{{0}}. sayfanın {{1}} {n}. satırı, öbürlerinden başka bir şey söyler"
    for n in ("bir", "iki", "üç", "dört")
)


def page(number: int, first: str = "", last: str = "", middle: str = "") -> str:
    words = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    return "\n".join(
        filter(
            None,
            [
                first,
                *BODY.format(words, words).split("\n"),
                middle,
                *BODY.format(words, words[::-1] + "x").split("\n"),
                last,
            ],
        )
    )


def found(pages: list[tuple[str, str]], units: int = 1) -> set[int]:
    counters = [Counter() for _ in range(units)]
    for number, (url, text) in enumerate(pages):
        counters[number % units].add(url, text, number // units)
    hosts: dict[int, int] = {}
    for counter in counters:
        for host, held in counter.hosts.items():
            hosts[hashed(host)] = hosts.get(hashed(host), 0) + held
    result = judge([each.counted() for each in counters], hosts)
    assert (result.lines["pages"] <= result.of_host).all()
    return set(result.lines["line"].tolist())


@pytest.mark.parametrize("units", [1, 3])
def test_a_line_at_the_edge_of_ten_pages_goes_and_a_heading_between_stays(units: int) -> None:
    pages = [(URL.format(n), page(n, "Paylaş 12.03.2024", f"Okunma: {n}", "Parametreler")) for n in range(12)]
    assert found(pages, units) == {hashed(normal("Paylaş 1.1.1900")), hashed(normal("Okunma: 7"))}


@pytest.mark.parametrize(("repeated", "of_pages"), [(9, 9), (10, 101)])
def test_too_few_pages_show_nothing(repeated: int, of_pages: int) -> None:
    pages = [(URL.format(n), page(n, "Paylaş" if n < repeated else "")) for n in range(of_pages)]
    assert found(pages) == set()


def test_pages_of_other_hosts_do_not_count_and_texts_without_a_host_not_at_all() -> None:
    pages = [(f"https://{n}.example/", page(n, "Paylaş")) for n in range(12)]
    assert found([*pages, *(("", page(n, "Paylaş")) for n in range(20))]) == set()
    counter = Counter()
    counter.add("", page(1), 0)
    assert (counter.hosts, counter.counted().size) == ({}, 0)


def test_a_line_that_is_most_of_its_page_is_not_furniture() -> None:
    assert found([(URL.format(n), f"Hizmet verilemiyor\n{n}") for n in range(20)]) == set()
    assert without("Paylaş\nkısa", {hashed("paylaş")}) == ("Paylaş\nkısa", [])


def test_furniture_is_taken_out_of_rows_of_its_host_only() -> None:
    line = hashed(normal("Paylaş"))
    rows = [
        {"url": url, "text": page(1, "Paylaş"), "bytes": 0}
        for url in (URL.format(1), "https://b.example/", "")
    ]
    assert [furniture.clear(row, {"a.example": {line}}) for row in rows] == [1, 0, 0]
    assert rows[0] == {"url": URL.format(1), "text": page(1), "bytes": len(page(1).encode())}
    assert rows[1]["text"] == page(1, "Paylaş")


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x y", "z", "w 1", "w 2"])), max_size=60),
    st.integers(1, 4),
)
def test_the_units_decide_nothing(pages: list[tuple[str, str]], units: int) -> None:
    given_ = [(f"https://{host}.example/", page(n, first)) for n, (host, first) in enumerate(pages)]
    assert found(given_) == found(given_, units)


def test_counts_are_sorted_and_packed() -> None:
    counter = Counter()
    counter.add(URL.format(1), page(1, "Paylaş"), 3)
    counted = counter.counted()
    assert counted.dtype.itemsize == 28
    assert (np.diff(counted["line"].astype(object)) > 0).all()
    assert set(counted["row"].tolist()) == {3}
