"""`derlem diff` names every change that was planted between two builds, and nothing else."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from support import Command, copy_of

from commands.render.diff import render_diff
from corpus.filters import RULES
from corpus.inspect.build import open_build
from corpus.inspect.diff import (
    NOW_DROPPED,
    ONLY_A,
    ONLY_B,
    OTHER_RULE,
    OTHER_TEXT,
    Change,
    Diff,
    Example,
    Setting,
    diff,
    settings_of,
)
from corpus.inspect.texts import Texts
from corpus.view import document
from corpus.whatif import what_if


def test_each_planted_change_is_named_and_nothing_else(derlem: Command, built: Path, tmp_path: Path) -> None:
    config = copy_of(built, tmp_path)
    pages = tmp_path / "pages-0.jsonl"
    rows = [json.loads(line) for line in pages.read_text(encoding="utf-8").splitlines()]
    turkish = [
        row
        for row in rows
        if row["url"].partition("/tr/")[1] and "?" not in row["url"] and "yazdir" not in row["url"]
    ]
    turkish.sort(key=lambda row: len(row["text"].split()))
    gone, changed = turkish[0], turkish[-1]  # the longest is above the new limit
    rows.remove(gone)
    changed["text"] += "\nBu cümle sonradan eklendi ve başka hiçbir sayfada yoktur."
    rows.append({"url": "https://site.example/yeni", "text": "Kısa."})
    rows.append({"url": "", "text": "Adresi olmayan kısa bir metin."})
    pages.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    derlem("build", config, "--workers", "1", "--set", 'filter.limits.tur_Latn."gopher.min_words"=330')
    found = diff(str(built), str(tmp_path / "corpus"), examples=50)

    of = {what: [e for e in found.examples if e.what == what] for what in (ONLY_A, ONLY_B, OTHER_TEXT)}
    assert [example.url for example in of[ONLY_A]] == [gone["url"]]
    assert {example.url for example in of[ONLY_B]} == {"https://site.example/yeni", ""}
    (text,) = of[OTHER_TEXT]
    assert text.url == changed["url"]
    assert any("sonradan eklendi" in right for _, right in text.differing)
    dropped = {change.after for change in found.changes if change.what == NOW_DROPPED}
    assert dropped == {"gopher.min_words"}
    others = {change.after for change in found.changes if change.what == OTHER_RULE}
    # The limit is asked before what had dropped them, and the exact copy of the changed text is a near one.
    assert others == {"gopher.min_words", "dedupe.near"}
    limits = [s for s in found.settings if s.key.endswith("tur_Latn.gopher.min_words")]
    assert [(s.stage, s.first, s.second) for s in limits] == [("filter", "50", "330")]
    total = found.same + sum(change.texts for change in found.changes if change.what != ONLY_A)
    assert total == open_build(str(tmp_path / "corpus")).need("extract", "").manifest.counts().seen


def test_a_build_is_the_same_as_itself(derlem: Command, built: Path) -> None:
    found = json.loads(derlem("diff", built, built, "--json").stdout)
    assert found["changes"] == []
    assert found["settings"] == []
    assert found["same"] > 0
    assert list(settings_of(open_build(str(built)), open_build(str(built)))) == []
    assert "the same outcome" in derlem("diff", built, built).stdout


LONGEST = max((rule.name for rule in RULES), key=len)


def test_it_fits_a_terminal_of_80_columns_with_every_name_whole() -> None:
    changes = (
        Change(OTHER_RULE, LONGEST, LONGEST, 12_345_678, 1_234_567_890),
        Change(NOW_DROPPED, "", LONGEST, 1, 30),
    )
    settings = (Setting("filter", f"in_force.presets.tur_Latn.{LONGEST}", "0.123456789", "1.2" * 50),)
    examples = (Example(OTHER_TEXT, "", "", "https://site.example/" + "a" * 200, 1, (("[b]eski", "yeni"),)),)
    out = io.StringIO()
    render_diff(Diff("a", "b", 7, changes, settings, examples), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.count(LONGEST) for line in lines) == 3 + (f"tur_Latn.{LONGEST}" in out.getvalue())
    assert "12,345,678" in out.getvalue()
    assert "[b]eski" in out.getvalue()


ABSENT = "gopher.top_4_gram_chars"  # which the build has a limit for


def test_a_build_of_an_earlier_version_is_opened(built: Path, tmp_path: Path) -> None:
    """It stored fewer rules: what is not stored has no value, and is measured again where it is needed."""
    old = copy_of(built, tmp_path).parent / "corpus"
    build = open_build(str(old))
    for file in build.finished["filter"].manifest.files("measured"):
        path = old / "filter" / file.path
        table = pa.ipc.open_file(path.read_bytes()).read_all().drop_columns([ABSENT])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    assert diff(str(built), str(old)).changes == ()
    shown = document.read(Texts(build), 0)
    assert {rule.rule: rule.value for rule in shown.values}[ABSENT] is None
    override = ['filter.limits."tur_Latn"."gopher.min_words"=330']
    told, expected = (what_if(str(each), override, examples=2) for each in (old, built))
    assert (told.taken, told.given_back) == (expected.taken, expected.given_back)
    assert told.judged_again > expected.judged_again == 0
