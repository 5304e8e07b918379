"""The dataset card says what the build's own files say, and names what is not known."""

from __future__ import annotations

import json
from pathlib import Path

from support import command, copy_of

from corpus import files
from corpus.inspect.build import open_build


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    lines = text.split(f"## {heading}\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_card_has_sources_limits_funnel_and_gaps(built: Path, tmp_path: Path) -> None:
    path = copy_of(built, tmp_path)
    path.write_text(
        path.read_text().replace('name = "pages-0"', 'name = "pages-0"\nlicence = "CC-BY-4.0"'),
        encoding="utf-8",
    )
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "corpus" / "extract").glob("*.arrow")}
    command("build", path)  # a licence that is stated later changes nothing else
    assert {file: file.stat().st_mtime_ns for file in made} == made
    corpus = tmp_path / "corpus"
    said = command("card", corpus, "--name", "Deneme").stderr
    text = (corpus / "README.md").read_text(encoding="utf-8")
    table = open_build(str(corpus)).table("shard", ["source", "language"])
    documents = {row[0]: row[2] for row in rows(text, "Sources and licences")}
    assert sum(map(int, documents.values())) == table.num_rows
    assert {row[0]: row[1] for row in rows(text, "Sources and licences")}["pages-0"] == "CC-BY-4.0"
    assert ["dropped gopher.alphabetic_words", "1"] in rows(text, "What was taken out")
    assert ["dedupe.threshold", "0.75"] in rows(text, "Limits in force")
    assert "| gopher.alphabetic_words | at least 0.773 |" in text
    assert {row[0] for row in rows(text, "Columns")} >= {"text", "copies", "licence"}
    assert "No evaluation set was looked for" in text
    assert "gap: No licence is stated for the sources pages-" in said
    front = text.split("---\n")[1]
    assert 'pretty_name: "Deneme"\nlanguage:\n- tur\n' in front
    assert "license: other\n" in front
    assert "- config_name: tur_Latn\n  data_files:\n  - split: train\n" in front


def test_croissant_names_every_shard_with_its_checksum(built: Path, tmp_path: Path) -> None:
    command("card", built, "--output", tmp_path)
    found = json.loads((tmp_path / "croissant.json").read_text(encoding="utf-8"))
    assert found["name"] == built.name
    assert found["distribution"]
    for file in found["distribution"]:
        assert files.sha256(str(built / file["contentUrl"])) == file["sha256"]
    for records in found["recordSet"]:
        assert {each["source"]["extract"]["column"] for each in records["field"]} >= {"text", "id", "copies"}
    assert not (built / "README.md").exists()
