"""A reader of the user's own: its rows are documents, what is none is rejected, what fails is named."""

from __future__ import annotations

import pickle
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corpus import usercode
from corpus.config import Source
from corpus.errors import ConfigError, ReaderError
from corpus.items import Item, RawDocument, Rejected, Work
from corpus.sources import read


def write(folder: Path, code: str) -> Path:
    path = folder / "my_reader.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    return path


def items(folder: Path, code: str, **more: object) -> list[Item]:
    write(folder, code)
    given = Source.model_validate(
        {"name": "books", "format": "my_reader.py:read", "paths": ("b.tsv",), **more}
    )
    found = pickle.loads(pickle.dumps(usercode.find(given.format, folder)))
    (folder / "my_reader.py").unlink()  # workers need no file
    return list(read(given, str(folder / "b.tsv"), reader=found))


def test_rows_are_documents(tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text("http://a.test/\tmerhaba\n")
    found = items(
        tmp_path,
        """
        from dataclasses import dataclass

        @dataclass
        class Row:
            text: str

        def read(path, source):
            for line in open(path, encoding="utf-8"):
                url, text = line.rstrip("\\n").split("\\t")
                yield {"url": url, "text": Row(text).text, "date": "2024-05-01", "id": 7}
            yield {"text": "roman", "title": "Köy", "authors": ["A. Ç.", 7], "licence": "CC0"}
            yield {"text": "roman", "authors": "B.", "title": None}
            yield {"html": b"<p>\\xe7</p>", "text": None}
            yield {"text": f"{source.name} half \\ud83d"}
        """,
    )
    assert found == [
        RawDocument("merhaba", "text", "http://a.test/", 0, datetime(2024, 5, 1, tzinfo=UTC)),
        RawDocument("roman", "text", "", 1, work=Work("Köy", ("A. Ç.",), "CC0")),
        RawDocument("roman", "text", "", 2, work=Work("", ("B.",))),
        RawDocument(b"<p>\xe7</p>", "html", "", 3),
        RawDocument("books half \ufffd", "text", "", 4),
    ]


def test_a_list_is_rows_as_well(tmp_path: Path) -> None:
    assert len(items(tmp_path, "def read(path, source): return [{'text': 'a'}, {'text': 'b'}]")) == 2


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("'text'", "not-an-object"),
        ("None", "not-an-object"),
        ("{}", "missing-text"),
        ("{'content': 'x'}", "missing-text"),
        ("{'text': None}", "null-text"),
        ("{'text': 7}", "text-not-string"),
        ("{'html': ['x']}", "text-not-string"),
        ("{'text': 'x', 'html': 'x'}", "text-and-html"),
        ("{'text': 'x' * 2000}", "oversized"),
        ("{'html': b'x' * 2000}", "oversized"),
    ],
)
def test_a_row_that_is_no_document_is_rejected_and_the_next_is_read(
    tmp_path: Path, row: str, cause: str
) -> None:
    code = f"def read(path, source):\n    yield {row}\n    yield {{'text': 'good'}}\n"
    bad, good = items(tmp_path, code, max_record_mb=0.001)
    assert isinstance(bad, Rejected)
    assert (bad.offset, bad.cause) == (0, cause)
    assert good == RawDocument("good", "text", "", 1)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def read(path, source):\n    yield {'text': 'a'}\n    int('x')\n",
            "line 3: ValueError: invalid literal",
        ),
        ("def read(path):\n    yield {}\n", "TypeError: read() takes 1 positional argument"),
        ("import sys\ndef read(path, source):\n    sys.exit(3)\n", "line 3: SystemExit: 3"),
        ("def read(path, source):\n    return 7\n", "returned int for "),
        ("def read(path, source):\n    return {'text': 'a'}\n", "returned dict for "),
        ("def read(path, source):\n    return None\n", "returned NoneType for "),
        ("def read(path, source):\n    return open(path)\n", "line 2: FileNotFoundError"),
    ],
)
def test_a_reader_that_fails_names_its_line_and_the_file(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(ReaderError) as failed:
        items(tmp_path, code)
    message = str(failed.value)
    assert said in message
    assert "source 'books': my_reader.py:read" in message
    assert str(tmp_path / "b.tsv") in message
    assert ("line" in said) == (str(tmp_path / "my_reader.py") in message)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def red(path, source): pass\n", "has no read; did you mean 'red'?"),
        ("x = 1\n", "has no read; its functions: none"),
        ("read = 7\n", "read is 7; expected a function"),
        ("def read(path, source:\n", "line 1: SyntaxError"),
        ("\nimport no_such_module\n", "line 2: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "line 1: SystemExit: 3"),
        ("\x00", "cannot be loaded"),
    ],
)
def test_a_file_without_the_function_is_named_with_what_is_wrong(
    tmp_path: Path, code: str, said: str
) -> None:
    write(tmp_path, code)
    with pytest.raises(ConfigError) as failed:
        usercode.find("my_reader.py:read", tmp_path)
    assert said in str(failed.value)
    assert str(failed.value).startswith("my_reader.py:read")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"my_reader.py cannot be read: No such file"):
        usercode.find("my_reader.py:read", tmp_path)


def test_the_same_code_has_one_hash_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    code = "def read(path, source): return []\n"
    here, there = write(tmp_path, code), write(tmp_path / "a", code)
    first, second = (usercode.find(f"{path}:read", "") for path in (here, there))
    assert first.sha256 == second.sha256
    write(tmp_path, code + "# changed\n")
    assert usercode.find(f"{here}:read", "").sha256 != first.sha256
