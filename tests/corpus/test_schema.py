"""Every column of every file is declared in corpus/schema/, once and with its meaning."""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.filters import CONTAMINATION, HARM, PLUGIN, QUALITY
from corpus.schema import KINDS, SHARD, Column, Kind, documents_with, measured_with, shard_with
from corpus.schema.documents import KEPT, OF_SHARD, REGISTER

ROOT = Path(__file__).parents[2]
RULES = ("gopher.min_words", "plugin.own", "quality.edu", "contamination.mmlu", "harm.words")


def declares(module: Path) -> bool:
    """Return whether a module takes the type of a column or of a kind of file from `corpus.schema`."""
    imports = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ImportFrom))
    of_schema = (node for node in imports if (node.module or "").startswith("corpus.schema"))
    return any(alias.name == "Column" for node in of_schema for alias in node.names)


def test_no_other_place_declares_a_column() -> None:
    modules = [
        module for room in ("corpus", "pipelines", "trainer") for module in (ROOT / room).rglob("*.py")
    ]
    elsewhere = {str(module.relative_to(ROOT)) for module in modules if declares(module)}
    assert {name for name in elsewhere if not name.startswith("corpus/schema/")} == set()
    assert "corpus/schema/documents.py" in elsewhere


@pytest.mark.parametrize("kind", [*KINDS.values(), documents_with(RULES), measured_with(RULES)])
def test_columns_have_different_names_and_a_meaning(kind: Kind) -> None:
    names = [column.name for column in kind.columns]
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in kind.columns)
    assert [field.metadata[b"meaning"].decode() for field in kind.schema()] == [
        column.meaning for column in kind.columns
    ]


def test_what_is_measured_has_a_column_for_each_rule() -> None:
    assert [column.name for column in measured_with(RULES).columns[-len(RULES) :]] == list(RULES)


def test_documents_and_shards_keep_registers_and_the_values_of_models_sets_and_lists() -> None:
    kept = ["register", "register_score", "quality.edu", "contamination.mmlu", "harm.words"]
    documents = documents_with(RULES)
    assert [column.name for column in documents.columns[-len(kept) :]] == kept
    shard = shard_with(documents.schema("a part"))
    assert shard.columns[: len(SHARD.columns)] == SHARD.columns
    assert shard.columns[len(SHARD.columns) :] == documents.columns[-len(kept) :]
    assert SHARD.columns[-len(OF_SHARD) :] == OF_SHARD


def test_a_file_of_an_open_kind_may_have_further_columns_and_no_other_file_may() -> None:
    for kind in KINDS.values():
        more = kind.with_columns([Column("more", pa.int8(), "further")])
        assert kind.describes(more.schema()) == kind.is_open


def test_rules_are_kept_by_the_tables_of_the_configuration() -> None:
    assert set(KEPT) == {QUALITY, CONTAMINATION, HARM}
    assert PLUGIN not in KEPT
    assert [column.name for column in REGISTER] == ["register", "register_score"]
