"""`derlem diff` names every change that was planted between two builds, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from support import Command, copy_of

from corpus.inspect.build import open_build
from corpus.inspect.diff import (
    NOW_DROPPED,
    ONLY_A,
    ONLY_B,
    OTHER_RULE,
    OTHER_TEXT,
    diff,
    settings_of,
)


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
