"""Whatever the web sends, the work grows with its length: all patterns and library calls that see its text.

Each call is given adversarial input of one length and of eight times that. The bound on the ratio of
processor time, three times the eight of linear growth, is far from the sixty-four of a quadratic one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from corpus import language, privacy
from corpus.config import Filter
from corpus.dedup.signature import signature
from corpus.filters import judge, load
from corpus.filters import url as url_filter
from corpus.text import charset, html, mixed, repair, turkish
from corpus.text.view import view
from corpus.web import url

LENGTH, TIMES, BOUND = 1_500, 8, 24
FLOOR_S = 0.003  # below it the clock measures other things

# What is repeated: parts that some pattern begins with, goes on with or waits for.
UNITS = [
    *(
        "a",
        "ü",
        "þ",
        "ý",
        "ýx",
        "aý",
        "I",
        "İ",
        "ığ",
        "é",
        "中",
        "。",
        "」",
        "ﬁ",
        "😀",
        "👨\u200d",
        "𐐀",
        "\ue000",
        "\ufffd",
    ),
    *(
        " ",
        "\n",
        "\t",
        "\r",
        "\u2028",
        "\xa0",
        "\u3000",
        "\u200b",
        "\u200d",
        "\u200e",
        "\xad",
        "\0",
        "\x85",
        "a\u200d",
    ),
    *(
        ".",
        ". ",
        ".)",
        "..",
        "…",
        "!",
        "?)",
        "-",
        "- ",
        "–",
        "_",
        "'",
        '"',
        ":",
        ";",
        ",",
        "|",
        "#",
        "{",
        "}",
        "•",
    ),
    *(
        "\u0301",
        "a\u0301",
        "\u0301\u0327",
        "i\u0307",
        "\u0f73",
        "\u0344",
        "ᄀ",
        "각",
        "¸",
        "s¸",
        "¸s",
        "˙I",
        "¨",
    ),
    *("Ã", "Ã¼", "Ä±", "ÅŸ", "â€", "â€™", "ÃƒÂ", "√º", "Ð", "Ðµ", "ð\x9f", "ï»¿", "Å", "Ã\ufffd"),
    *(
        "&",
        "&a",
        "&amp",
        "&amp;",
        "&#",
        "&#3",
        "&#351;",
        "&nbsp;",
        "&quot;&",
        "<",
        "<a",
        "<a ",
        "</",
        "&lt;",
        "<!--",
    ),
    *(
        "0",
        "0 ",
        "1.",
        "1,",
        "1/",
        "00 ",
        "12:",
        "0532 ",
        "0532 123 45 6",
        "4111 ",
        "4111 1111 1111 1111 ",
        "(0",
        "5" * 9,
    ),
    *(
        "TR33 ",
        "TR",
        "TR33",
        "+",
        "+4",
        "+49 ",
        "+49 30 1",
        "+1 ",
        "tel ",
        "tel 532 ",
        "vergi ",
        "v.d. 1",
        "1-",
        "10000000146",
    ),
    *(
        "@",
        "a@",
        "@a",
        "a@a",
        "a@a.",
        "a@b.com",
        "a.b",
        "a-",
        "%a",
        "a@b.c@",
        "_a@b.com_",
        "git@a.b:",
        "[e",
        "[email ",
    ),
    *(
        "1.1.1.",
        "1.1.1.1",
        "8.8.8.8 ",
        "2001:",
        ":",
        "2a:",
        "::",
        "<|",
        "|>",
        "<|email|>",
        "<|phone|>1",
        "ip ",
        "v1.",
    ),
    *(
        "[",
        "[1",
        "[1]",
        "[edit]",
        "lorem ipsum ",
        "javascript ",
        "gizlilik politikası ",
        "http://",
        "www.",
        "http://a ",
    ),
    *(
        "?",
        "?a=",
        "&a=1",
        "?utm_a",
        "&sid=1",
        "/a",
        "/../",
        "%",
        "%2",
        "%41",
        "a.",
        "//",
        ";a",
        "[::",
        "xn--",
    ),
]
TAGS = [
    *(
        "<p>x",
        "<p>–",
        "<b>–</b>",
        "<i>iş</i> ",
        "<a>",
        "<a href=x>y",
        "<b><i>",
        "<p><a class=x>",
        "<li>a",
        "<ul><li>x.",
        "<ul><li>x <a>y</a> z w v.</ul>",
        "<blockquote class=x>y",
        "<td>x",
        "</p>",
    ),
    *(
        "<time>x</time>",
        "x <time>y",
        "<label>x",
        "<label for=a>x</label>",
        "<button>x",
        "<span class=email>x</span>",
    ),
    *(
        '<p class="caption">x</p>',
        "<article class=tag-x>x</article>",
        f"<p>{'söz ' * 20}",
        "<script>",
        "<!--",
    ),
    *(
        "<style>",
        "<svg>",
        "<table>",
        "<select><option>",
        "<template>",
        "<body ",
        "</head>",
        "<pre>\n",
        "<textarea>",
        "<br>",
    ),
]
UNTAGGED = [
    *(
        "<p ",
        "<a <a ",
        'a=1 b="',
        "a='",
        "x=y ",
        "&ndash;",
        ">–",
        "> ",
        ">&nbsp;",
        "=",
        "/",
        '">',
        "'>",
        "\n–\n",
        "--",
        "]]>",
    ),
    *("<", "<a", "</a", "<a/", "<!", "<?", "<body", "-->", "<!-- -", "a <b "),
]


class Case(NamedTuple):
    """A call, and what it is given: `make` turns a unit into an input of about so many characters."""

    call: Callable[[Any], object]
    make: Callable[[str, int], Any]
    units: list[str]
    length: int = LENGTH


def repeated(unit: str, length: int) -> str:
    return unit * (length // len(unit))


def with_ends(unit: str, length: int) -> str:
    """A beginning and an end that the patterns of mojibake, words and numbers wait for in vain."""
    return f"üÄ±þ (0 {unit * (length // len(unit))}ğþ 1 x>"


def in_words(unit: str, length: int) -> str:
    return repeated(f"Bir {unit} söz, ", length)


def as_bytes(unit: str, length: int) -> bytes:
    return repeated(unit, length).encode("utf-8", "replace")


def as_legacy(unit: str, length: int) -> bytes:
    return b"\xfe\xf0 " + repeated(unit, length).encode("cp1254", "replace") + "ığ".encode() + b"\xfd"


def tagged(unit: str, length: int) -> str:
    return f"<html><body><main><p>{'Uzun bir söz. ' * 20}</p>{unit * (length // 8)}"


def in_a_tag(unit: str, length: int) -> str:
    return f"<html><body><main><p {repeated(unit, 8 * length)}> son</p>"


def attributes(unit: str, length: int) -> str:
    return "<p " + " ".join(f"a{n}{unit}" for n in range(length)) + ">x</p>"


PRESETS = [load(name) for name in ("c4-paper", "c4-tfds", "fineweb2-tur", "fineweb", "fineweb-any")]
FILTERS = Filter(blocked_hosts=("a.b", "kötü.example"), blocked_url_words=("casino", "iki söz"))


def every_filter(text: str) -> None:
    seen = view(text)
    for preset in PRESETS:
        judge(seen, preset)


def signed(text: str) -> None:
    seen = view(text)
    signature(seen.folded, seen.word_starts, seen.word_ends)


CASES = {
    **{
        f"{name}, {make.__name__}": Case(call, make, UNITS)
        for name, call in {
            "repair": repair.repair,
            "turkish": lambda text: (turkish.misread(text), turkish.foreign(text)),
            "language": language.identify,
            "privacy": lambda text: privacy.redact(text, privacy.KINDS),
            "filters": every_filter,
            "signature": signed,
        }.items()
        for make in (repeated, with_ends, in_words)
    },
    "charset": Case(charset.decode, as_bytes, UNITS),
    "charset, legacy": Case(charset.decode, as_legacy, UNITS),
    "charset, declared": Case(charset.declared, as_bytes, [*UNITS, *TAGS, *UNTAGGED]),
    "charset, mixed": Case(lambda payload: mixed.decode(payload, "cp1254"), as_legacy, UNITS),
    "url": Case(url.canonical, lambda unit, length: f"http://a.b/{repeated(unit, length)}", UNITS),
    "url, host": Case(url.canonical, lambda unit, length: f"http://{repeated(unit, length)}/", UNITS),
    "url filter": Case(
        lambda address: url_filter.check(address, FILTERS),
        lambda unit, length: f"http://{repeated(unit, length)}/{repeated(unit, length)}",
        UNITS,
        300,
    ),
    "extraction, tags": Case(html.extract, tagged, TAGS),
    "extraction, text": Case(html.extract, tagged, [unit for unit in UNITS if "<" not in unit]),
    "extraction, within a tag": Case(html.extract, in_a_tag, UNTAGGED, 500),
    "extraction, attributes": Case(html.extract, attributes, ["", "=1", "='>'", '="<"', " = x"]),
}


def seconds(call: Callable[[Any], object], given: Any) -> float:
    """Return the least processor time of three calls."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        call(given)
        taken.append(time.process_time() - started)
        if taken[-1] < FLOOR_S:
            break
    return min(taken)


@pytest.mark.parametrize("name", CASES)
def test_the_work_grows_with_the_length_alone(name: str) -> None:
    case = CASES[name]
    case.call(case.make("a", 100))  # tables and models are loaded
    slow = {}
    for unit in case.units:
        much = seconds(case.call, case.make(unit, TIMES * case.length))
        if much > BOUND * FLOOR_S:
            little = max(FLOOR_S, seconds(case.call, case.make(unit, case.length)))
            if much > BOUND * little:
                slow[unit] = f"{little:.4f} s become {much:.4f} s"
    assert not slow


def test_the_bound_tells_a_quadratic_call() -> None:
    def quadratic(text: str) -> None:
        for start in range(len(text)):
            text.find("x", start)

    little, much = (seconds(quadratic, "a" * (40 * length)) for length in (LENGTH, TIMES * LENGTH))
    assert much > BOUND * max(FLOOR_S, little)
