"""Markup is read as browsers read it, in one pass: elements, lines of text and what is in them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.text.maintext import markup, tags
from corpus.text.maintext.layout import line_text
from corpus.text.maintext.lines import CHARS, COMMAS, ELEMENT, ENDS, LINKED, LINKS, STOPS, WORDS

NAMES = {number: name for name, number in tags.NUMBER.items()}


def lines(page: str) -> list[str]:
    data, read = markup.read(page)
    return [line_text(data, read, at) for at in range(len(read.lines))]


def path(page: str, at: int) -> str:
    """Return the names of the elements around a line, the outermost first."""
    _, read = markup.read(page)
    names, element = [], int(read.lines[at, ELEMENT])
    while element > 0:
        names.append(NAMES.get(int(read.tag[element]), "?"))
        element = int(read.parent[element])
    return " ".join(reversed(names))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>bir<p>iki", ["bir", "iki"]),
        ("<ul><li>bir<li>iki</ul>üç", ["bir", "iki", "üç"]),
        ("bir<br>iki", ["bir", "iki"]),
        ("bir <b>kalın</b><i>eğik</i> söz", ["bir kalıneğik söz"]),
        ("a < b ve c > d, x<5", ["a < b ve c > d, x<5"]),
        ("<!-- gizli <p> -->açık<!--> ve <!---->bu", ["açık ve bu"]),
        ("<script>if (a<b) '</p>'</script><style>p{}</style>söz", ["söz"]),
        ("<textarea><p>x</p></textarea><title>t</title>söz", ["söz"]),
        ("<svg><title>x</title><text>y</text></svg>söz", ["söz"]),
        ("<select><option>x<option>y</select>söz", ["söz"]),
        ("&lt;p&gt; &amp;c&ccedil;", ["<p> &cç"]),
        ("bir\xa0&nbsp; iki", ["bir iki"]),
        ("<p title='>'>bir</p\n>iki", ["bir", "iki"]),
        ('<p title="kapanmaz>bir', []),
        ("<table><tr><td>bir<td>iki<tr><td>üç</table>", ["bir", "iki", "üç"]),
        ("bir<script/>iki", ["bir"]),
        ("<svg><style/><path/></svg>iki", ["iki"]),
        ("<script>hiç bitmez", []),
        ("a\0b", ["ab"]),
        ("bir <span class='sr-only'>gizli</span> söz", ["bir söz"]),
        ("bir <span style='display: none'>gizli</span> söz", ["bir söz"]),
        ("bir <i aria-hidden=true>x</i><b aria-hidden=true>—</b> söz", ["bir — söz"]),
        ("<h2>Başlık <a href=#b>¶</a><a href=#b>#</a></h2>", ["Başlık"]),
        ("bir <math><mi>x</mi><mo>=</mo><mn>1</mn><annotation>x=1</annotation></math>", ["bir x=1"]),
    ],
)
def test_lines(page: str, expected: list[str]) -> None:
    assert lines(page) == expected


@pytest.mark.parametrize(
    ("page", "at", "expected"),
    [
        ("<div><p>a<div>b</div>", 1, "div div"),
        ("<div><p>a</div>b", 1, ""),
        ("<ul><li><p>a<li>b", 1, "ul li"),
        ("<ul><li><ul><li>a</ul>b", 1, "ul li"),
        ("<dl><dt>a<dd>b", 1, "dl dd"),
        ("<table><tr><td><div></table>b", 0, ""),
        ("<div><table><tr><td>a</div>b", 1, "div table tr td"),
        ("<h2>a<h3>b", 1, "h3"),
        ("<h2>a</h3>b", 1, ""),
        ("<p>a</x></p>b", 1, ""),
    ],
)
def test_end_tags_close_what_html_says(page: str, at: int, expected: str) -> None:
    found = lines(page)
    assert path(page, min(at, len(found) - 1)) == expected


def test_a_link_ends_where_it_ends_whatever_has_begun_in_it() -> None:
    _, read = markup.read("<a href=x><div>bir</a>iki üç dört</div>beş")
    assert [int(line[LINKED]) for line in read.lines] == [3, 0]


def test_what_is_counted_in_a_line() -> None:
    _, read = markup.read("<p>Bir <a href=x>iki</a>, üç&hellip; Dört! (<a>Beş</a>.)")
    (line,) = read.lines
    assert [int(line[c]) for c in (CHARS, WORDS, LINKS, LINKED, COMMAS, STOPS)] == [25, 5, 2, 6, 1, 2]
    assert line[ENDS] == 1


def test_elements_beyond_any_depth_keep_their_text() -> None:
    assert lines("<div>" * 5_000 + "dip" + "</div>" * 5_000 + "son") == ["dip", "son"]


HOSTILE = [
    "<div>",
    "<p>x",
    "<a href=x><b>",
    "<table><td>",
    "</x>",
    "<b></div>",
    "<ul><li>x",
    "<!--",
    "<",
    "</",
    "<x a='",
    "&",
    "<script>",
    "<noscript>",
    "<title>",
    "<td></table>",
    '<a class="bir-iki Üç" id=x>',
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_work_grows_with_the_length(unit: str) -> None:
    markup.read("<p>x")
    seconds = []
    for times in (5_000, 40_000):
        start = time.thread_time()
        markup.read(unit * times + "x" * 200_000)
        seconds.append(time.thread_time() - start)
    assert seconds[1] < 24 * max(seconds[0], 0.01)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*HOSTILE, "x", " ", ">", "'", "</p>", "</div>", "</a>", "<br>", "<hr/>", "é"]))
)
def test_nothing_makes_reading_fail(parts: list[str]) -> None:
    page = "".join(parts)
    data, read = markup.read(page)
    assert data.decode() == page
    assert (read.parent[1:] < range(1, len(read.parent))).all()
    assert all(lines(page))


def test_html_that_is_bigger_than_its_tags_does_not_matter() -> None:
    assert lines(f"<p data-x='{'y' * 1_000_000}'>söz") == ["söz"]
    assert lines("<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">söz") == ["söz"]
