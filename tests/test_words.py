"""The prose of cleaned rooms uses plain technical English: none of the words that `WORDS` advises against.

In Python files docstrings, comments and strings with spaces are read; in Markdown files,
all text outside code.
To add a room, write its folder or file into `CLEAN`, run this test, and follow the advice of what it finds.
`python -m tests.test_words PATH…` shows what it would find in other rooms.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CLEAN = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "benchmarks/breaks.py",
    "benchmarks/family.py",
    "benchmarks/gpu.py",
    "benchmarks/loader.py",
    "benchmarks/order.py",
    "benchmarks/reproduce.py",
    "benchmarks/train_neighbours.py",
    "commands",
    "corpus/*.py",
    "corpus/commoncrawl",
    "corpus/crawl",
    "corpus/dedup",
    "corpus/filters",
    "corpus/inspect",
    "corpus/privacy",
    "corpus/quality",
    "corpus/sources",
    "corpus/text",
    "corpus/tokenizer",
    "corpus/view",
    "corpus/web",
    "docs/*.md",
    "infra",
    "pipelines",
    "tests/commands",
    "tests/infra",
    "tests/test_structure.py",
    "tests/trainer",
    "trainer",
]
"""Folders and files whose prose is clean, in alphabetical order, one a line."""


@dataclass(frozen=True)
class Word:
    """A pattern to avoid and what to write instead; with `opens` it matches only where a sentence starts."""

    pattern: str
    advice: str
    example: str
    better: str
    opens: bool = False

    def found(self, text: Text) -> list[str]:
        """Return the parts of a text that match; a pattern that opens a sentence is for docstrings alone."""
        if not self.opens:
            return [match[0] for match in re.finditer(rf"(?i)\b(?:{self.pattern})", text.words)]
        if not text.docstring:
            return []
        return [match[1] for match in re.finditer(rf"(?:^|[.!?] )({self.pattern})", text.words)]


@dataclass(frozen=True)
class Text:
    """A docstring, comment, string or paragraph: its first line in the file and its words."""

    line: int
    words: str
    docstring: bool = False


WORDS = [
    Word(r"Gives?\b", "Return", "Give the height.", "Return the height.", opens=True),
    Word(
        r"Says?\b", "Return whether, Describe", "Say whether it ends.", "Return whether it ends.", opens=True
    ),
    Word(r"Tells?\b", "Return whether, Report", "Tell which won.", "Return which won.", opens=True),
    Word(
        r"(?<!there )(?:is|are|was|were) no (?!longer\b|more\b|fewer\b|less\b|\w+er than\b)\w+",
        "is not a; does not have a",
        "what is no number",
        "what is not a number, where there is no number",
    ),
    Word(r"(?:lies?|lain|lays?)\b", "is, are", "where documents lie", "where documents are"),
    Word(
        r"(?:go|goes|going|gone|went) on\b",
        "resume, continue",
        "the same command goes on",
        "run it to resume",
    ),
    Word(r"mend(?:s|ed|ing|able)?\b", "fix", "mend the cause", "fix the cause"),
    Word(
        r"(?:is|are|was|were) there\b(?= already|\W*(?:$|[.,;:)]))",
        "existing, exists",
        "the file that is there",
        "the existing file; is there a file?",
    ),
    Word(r"so (?:many|much)\b", "this many, N; how many", "after so many tokens", "after this many tokens"),
    Word(r"(?:leaves?|leaving|left) (?:\w+ ){0,2}out\b", "skip, omit", "a step left out", "a skipped step"),
    Word(r"behind\b", "after", "what comes behind it", "what comes after it"),
    Word(r"beg[iau]n(?:s|ning)?\b", "start", "before it begins", "before it starts; `begin` and `end`"),
    Word(r"anew\b", "again", "made anew", "made again"),
    Word(
        r"(?:tells?|told|telling) (?:\w+ ){0,2}(?:from|apart)\b",
        "distinguish",
        "data that tell it from a jump",
        "data that distinguish it from a jump",
    ),
    Word(r"foret(?:old|ells?)\b", "predict", "what was foretold", "what was predicted"),
    Word(r"of late\b", "recent", "the norms of late", "the recent norms"),
    Word(r"(?:dear|dearer|dearest)\b", "expensive", "dear to compute", "expensive to compute"),
    Word(r"shall\b", "must, should", "where it shall stop", "where it must stop"),
    Word(r"all but (?:never|always)\b", "almost never", "all but never", "almost never"),
    Word(r"likewise\b", "also, the same for", "Likewise.", "The same for tokens."),
]


def texts(path: Path) -> Iterator[Text]:
    """Yield the prose of a Python or Markdown file, without what stands in backticks."""
    source = path.read_text(encoding="utf-8")
    for text in _markdown(source) if path.suffix == ".md" else _python(source):
        yield Text(
            text.line, re.sub(r"\s+", " ", re.sub(r"`[^`]*`", "`…`", text.words)).strip(), text.docstring
        )


def _python(source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(one) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for one in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            said = "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            said = node.value
        else:
            continue
        if " " in said or id(node) in alone:
            yield Text(node.lineno, said, id(node) in alone)
    yield from _comments(source)


def _comments(source: str) -> Iterator[Text]:
    """Yield comments; those on consecutive lines are one text."""
    first, last, words = 0, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if words and token.start[0] > last + 1:
            yield Text(first, words)
            words = ""
        first, last = first if words else token.start[0], token.start[0]
        words += " " + token.string.lstrip("#")
    if words:
        yield Text(first, words)


def _markdown(source: str) -> Iterator[Text]:
    """Yield paragraphs and table rows; fenced blocks are code."""
    prose = re.sub(r"(?ms)^```.*?^```$", lambda block: "\n" * block[0].count("\n"), source)
    line = 1
    for block in re.split(r"(\n\s*\n|\n(?=[|#*-]))", prose):
        if block.strip():
            yield Text(line, block)
        line += block.count("\n")


def findings(path: Path) -> list[str]:
    """Return a line for each word to avoid in a file: where it is, what was found, what to write instead."""
    return [
        f"{path.name}:{text.line}: {found!r} in {text.words[:80]!r}; write: {word.advice}"
        for text in texts(path)
        for word in WORDS
        for found in word.found(text)
    ]


def files(room: str) -> list[Path]:
    """Return the Python and Markdown files of a folder, or those that a name or pattern stands for."""
    path = ROOT / room
    return sorted([*path.rglob("*.py"), *path.rglob("*.md")] if path.is_dir() else ROOT.glob(room))


@pytest.mark.parametrize("room", CLEAN)
def test_a_cleaned_room_stays_clean(room: str) -> None:
    paths = files(room)
    assert paths
    assert [one for path in paths for one in findings(path)] == []


def test_the_rooms_are_in_order() -> None:
    assert sorted(set(CLEAN)) == CLEAN


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.example)
def test_a_planted_word_is_found_and_the_better_one_is_not(word: Word, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(f'def f():\n    """{word.example}"""\n')
    assert [line for line in findings(path) if word.advice in line]
    path.write_text(f'def f():\n    """{word.better}"""\n')
    assert findings(path) == []


def test_all_kinds_of_prose_are_read(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(
        '"""One behind."""\nA = 1\n"""Two behind."""\nraise E(f"three {A} goes" " on", "four so many")\n'
        "# five goes\n# on\nB = 'behind'\nbehind = 6\nfield(description='seven behind `behind`')\n"
    )
    assert [line.split(":")[1] for line in findings(path)] == ["1", "3", "4", "4", "9", "5"]
    path = tmp_path / "planted.md"
    path.write_text(
        "# One\n\ntwo is `behind`\n\n```sh\nbehind\n```\n\n| three | goes\non |\n| four | behind |\n"
    )
    assert [line.split(":")[1] for line in findings(path)] == ["9", "11"]


def test_only_a_docstring_may_not_open_with_give(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text('"""Read it. Give the rest."""\nraise E("Give another folder")\n')
    assert [line.split(":")[1] for line in findings(path)] == ["1"]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for file in files(name):
            for one in findings(file):
                print(f"{file.parent.relative_to(ROOT)}/{one}")
