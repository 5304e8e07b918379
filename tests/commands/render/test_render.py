"""What is printed fits the terminal, leaves Turkish whole and lets no escape sequence through."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from commands.render.clusters import hunks, render_clusters
from commands.render.formats import bar, count, percent, size
from commands.render.overview import render_documents, render_overview
from commands.render.presets import render_presets
from corpus.filters import RULES, load, names
from corpus.inspect.clusters import clusters
from corpus.inspect.differ import compare
from corpus.inspect.documents import documents
from corpus.inspect.overview import LanguageTotals, overview

Build = Callable[..., str]


def printed(render: Callable[..., None], value: object, width: int = 80, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width)
    render(value, console, **options)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(cell_len(line) for line in text.splitlines()) <= width
    return str(text)


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_overview_says_what_is_there_and_what_went(build: Build) -> None:
    text = printed(render_overview, overview(build()))
    for said in (
        "5 documents in shards: 54 words",
        "tur_Latn          3     44",
        "removed dedupe.near",
        "every record is accounted for",
        "3 pieces replaced in 3 documents (60.0 %)",
    ):
        assert said in text


def test_presets_have_their_summaries_and_every_rule_is_named() -> None:
    said = one_line(printed(render_presets, {name: load(name).summary for name in names()}, 160))
    for name in names():
        assert f"{name} {load(name).summary}" in said
    for rule in RULES:
        assert f"{rule.name} {rule.direction} {rule.description}" in said
    printed(render_presets, {"none": "no filter"}, 80)


def test_tokens_are_a_table_of_the_overview(build: Build) -> None:
    found = overview(build("extract", "filter", "dedupe", "shards", "tokens"))
    text = one_line(printed(render_overview, found))
    total = sum(total.tokens for total in found.tokens)
    assert "tokens of split documents tokens share text bytes/token tur_Latn/web train 2" in text
    assert f" all 5 {total:,} 100.0 % {found.bytes} B {found.bytes / total:.3f} " in text
    repeated = replace(found, tokens=(replace(found.tokens[0], repeats=3),))
    assert "tur_Latn/web x3 train" in one_line(printed(render_overview, repeated))


def test_pieces_are_shown_with_their_ids(build: Build) -> None:
    found = documents(build("tokens"), ids=True, limit=1)
    text = printed(render_documents, found)
    values = found[0].values
    assert one_line(text).endswith(
        one_line(" ".join(f"{piece}·{id}" for piece, id in zip(values["pieces"], values["ids"], strict=True)))
    )
    assert f"size {values['tokens']} tokens, {values['bytes']} bytes" in text
    cut = printed(render_documents, found, characters=20)
    assert re.search(r"… \d+ more tokens", cut)


def test_the_overview_cries_out_when_numbers_disagree(build: Build) -> None:
    found = overview(build())
    text = printed(render_overview, replace(found, funnel=replace(found.funnel, faults=("a 1, but b 2",))))
    assert "does not add up: a 1, but b 2" in text
    assert "accounted" not in text


def test_a_corpus_of_billions_fits_eighty_columns(build: Build) -> None:
    huge = LanguageTotals("tur_Latn", 95_129_129, 41_900_000_000, 346 << 30, 140 << 30, 0.9871, 1, 95_129)
    found = replace(overview(build()), languages=(huge,), bytes=400 << 30)
    line = next(line for line in printed(render_overview, found).splitlines() if line.startswith("tur_Latn"))
    cells = ["95.1 M", "41.9 G", "346 GiB", "86.5 %", "140 GiB", "0.987", "95,129"]
    assert one_line(line).removeprefix("tur_Latn ") == " ".join(cells)


def test_long_tables_end_with_the_rest_in_one_line(build: Build) -> None:
    text = printed(render_overview, overview(build(), top=1), rows=2)
    assert "… 1 more" in text
    assert "dropped … 2 more" in one_line(text)


def test_a_document_stands_under_what_it_is(build: Build) -> None:
    text = printed(render_documents, documents(build(), limit=1))
    assert text.startswith("1/1 tur_Latn 0.900 ─")
    assert f"{1:032x}" in text
    assert "web: crawl.warc.gz at 1000, fetched 2024-05-01" in text
    assert "36 words, 324 bytes, 1 redaction, stands for 3 documents" in text
    assert "İstanbul Boğazı'nda ışıklar yandı; ılık bir akşamdı" in one_line(text)


def test_a_long_text_is_cut_and_says_how_much_is_left(build: Build) -> None:
    found = documents(build(), limit=1)
    whole = found[0].values["text"]
    text = printed(render_documents, found, characters=60)
    shown = "İstanbul Boğazı'nda ışıklar yandı; ılık bir akşamdı ve"
    assert shown in one_line(text)
    assert f"… {len(whole) - len(shown):,} more characters" in text
    assert "more characters" not in printed(render_documents, found, characters=None)


def test_a_dropped_document_names_rule_value_and_limit(build: Build) -> None:
    text = printed(render_documents, documents(build(), rule="gopher.mean"))
    assert "gopher.mean_word_length: 12.5, limit 10" in text


def test_a_document_dropped_for_its_language_names_it_and_no_number(build: Build) -> None:
    found = documents(build(), rule="gopher.mean")
    entry = found[0]
    entry.values.update(rule="language.not_kept", value=None, limit=None, language="eng_Latn")
    assert "dropped by language.not_kept: eng_Latn" in one_line(printed(render_documents, found))


def test_a_removed_document_names_its_survivor(build: Build) -> None:
    text = printed(render_documents, documents(build(), rule="dedupe.near"))
    assert "dedupe.near, similarity 0.81" in text
    assert f"survivor   {1:032x}" in text


def test_escape_sequences_and_markup_of_a_page_stay_text(build: Build) -> None:
    root = build()
    text = printed(render_documents, documents(root, rejected=True))
    assert "\x1b" not in text
    assert "�[31mred" in text
    entry = documents(root, limit=1)[0]
    planted = replace(entry, values={**entry.values, "text": "[bold]x[/bold] \u202eters\x9b2J"})
    assert "[bold]x[/bold] �ters�2J" in printed(render_documents, [planted])


def test_nothing_found_says_so() -> None:
    assert printed(render_documents, []) == "nothing matches\n"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_cluster_members_stand_side_by_side_with_their_differences_marked(build: Build, width: int) -> None:
    text = printed(render_clusters, clusters(build()), width=width)
    assert "cluster 1 of 2: 3 documents" in text
    assert "near copy, similarity 0.81" in text
    for mark in ("[-Martılar", "simit-]", "{+Kediler", "balık+}"):
        assert mark in text


def test_the_rest_of_many_differences_is_counted(build: Build) -> None:
    found = clusters(build())
    text = printed(render_clusters, found, passages=0)
    assert "… 1 more differing passage" in text


def test_colour_takes_the_place_of_marks(build: Build) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    render_clusters(clusters(build()), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;31mMartılar" in text
    assert "\x1b[1;32mKediler balık" in text
    assert "[-" not in text


def test_differences_that_lie_close_share_a_hunk() -> None:
    far = " ".join(f"k{n}" for n in range(40))
    near = "bir iki üç dört beş"
    pieces = compare(f"a {near} b {far} c", f"x {near} y {far} z").pieces
    assert [[piece.left.strip() for piece in hunk] for hunk in hunks(pieces, 9)] == [
        ["a", near, "b", far],
        [far, "c"],
    ]
    assert len(list(hunks(pieces, 2))) == 1


def test_a_host_in_brackets_is_no_markup(build: Build) -> None:
    found = replace(overview(build()), hosts=(("[fe80::1]", 5),))
    assert "[fe80::1]" in printed(render_overview, found)


def test_a_long_text_is_shown_from_the_words_looked_for(build: Build) -> None:
    entry = documents(build(), limit=1)[0]
    long = "başlangıç " * 500 + "İĞNE burada. " + "son " * 500
    planted = replace(entry, values={**entry.values, "text": long})
    text = one_line(printed(render_documents, [planted], characters=200, find="iğne"))
    assert "4,950 characters before … başlangıç" in text
    assert "İĞNE burada." in text
    assert "more characters" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (46_137_344, "44 MiB"), (5 << 40, "5 TiB")],
)
def test_sizes_have_three_digits(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(9_999_999, "9,999,999"), (12_345_678, "12.3 M"), (999_600_000, "0.9996 G")]
)
def test_large_counts_have_three_digits(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text", "drawn"),
    [
        (1, 3, " (33.3 %)", "█████"),
        (1, 1_000_000, " (< 0.1 %)", "█"),
        (0, 1_000_000, " (0.0 %)", ""),
        (2, 2, " (100.0 %)", "█" * 16),
        (0, 0, "", ""),
    ],
)
def test_a_share_is_never_shown_as_nothing_where_there_is_something(
    part: int, whole: int, text: str, drawn: str
) -> None:
    assert (percent(part, whole), bar(part, whole)) == (text, drawn)
