"""Signature files are read by document number, whatever the record batches."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from corpus.dedup.store import SentRows, SignatureStore, document_numbers, pack


def test_rows_come_in_the_order_asked_for(make_store, make_row) -> None:
    parts = [[make_row(id=f"{part}-{i}") for i in range(8)] for part in range(3)]
    store = make_store(*parts)
    docs = np.concatenate([document_numbers(2, np.array([7, 0])), document_numbers(0, np.array([3, 3, 5]))])
    expected = [parts[2][7], parts[2][0], parts[0][3], parts[0][3], parts[0][5]]
    assert np.array_equal(store.signatures(docs), [row["signature"] for row in expected])
    assert store.columns(docs, ["id"])["id"].to_pylist() == [row["id"] for row in expected]
    halves = store.exact(docs).astype(">u8").tobytes()
    assert halves == b"".join(row["exact"] for row in expected)


def test_no_documents_give_empty_columns(make_store, make_row) -> None:
    store = make_store([make_row()])
    none = np.empty(0, dtype=np.uint64)
    assert store.signatures(none).shape == (0, 112)
    assert store.columns(none, ["id", "bytes"]).num_rows == 0
    assert store.ranks(none).size == 0


def test_the_order_of_preference_is_source_length_fetch_id(make_store, make_row) -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    best_first = [
        make_row(id="z", source="books", bytes=10, fetched=late),
        make_row(id="y", source="web", bytes=900, fetched=late),
        make_row(id="x", source="web", bytes=800, fetched=early),
        make_row(id="w", source="web", bytes=800, fetched=late),
        make_row(id="a", source="web", bytes=800),
        make_row(id="b", source="web", bytes=800),
        make_row(id="c", source="web", bytes=800),
    ]
    shuffled = [best_first[i] for i in (4, 2, 6, 0, 5, 1, 3)]
    store = make_store(shuffled[:3], shuffled[3:])
    docs = np.concatenate([document_numbers(0, np.arange(3)), document_numbers(1, np.arange(4))])
    assert store.ranks(docs, ["books", "web"]).tolist() == [4, 2, 6, 0, 5, 1, 3]
    assert store.ranks(docs[::-1], ["books", "web"]).tolist() == [3, 1, 5, 0, 6, 2, 4]
    assert store.ranks(docs, ["books"]).tolist() == [4, 2, 6, 0, 5, 1, 3]  # a source without a place is last
    assert store.ranks(docs, ["web", "books"]).tolist() == [3, 1, 5, 6, 4, 0, 2]


def test_documents_of_one_id_are_ranked_by_number(make_store, make_row) -> None:
    store = make_store([make_row(id="same"), make_row(id="same")])
    assert store.ranks(document_numbers(0, np.array([1, 0]))).tolist() == [1, 0]


def test_a_missing_row_or_part_is_named(make_store, make_row) -> None:
    store = make_store([make_row()])
    with pytest.raises(IndexError, match=r"0\.arrow: row 1 asked for, but the file has 1 rows"):
        store.signatures(document_numbers(0, np.array([1])))
    with pytest.raises(IndexError, match="part 1 asked for, but the store has 1 parts"):
        store.signatures(document_numbers(1, np.array([0])))


def test_a_file_with_other_columns_is_refused(tmp_path) -> None:
    path = tmp_path / "other.arrow"
    table = pa.table({"id": ["a"]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"other\.arrow: expected a signature file with column 'exact'"):
        SignatureStore([str(path)]).part(0)


def test_a_store_is_pickled_without_its_maps(make_store, make_row) -> None:
    store = make_store([make_row(id=f"{i}") for i in range(4)])
    docs = document_numbers(0, np.arange(4))
    before = store.signatures(docs)
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    assert np.array_equal(pickle.loads(pickled).signatures(docs), before)


def test_a_remote_file_is_copied_once_and_read(make_store, make_row) -> None:
    store = make_store([make_row(id="far")])
    memory = fsspec.filesystem("memory")
    memory.put_file(store.paths[0], "/parts/0.arrow")
    remote = SignatureStore(["memory://parts/0.arrow"])
    docs = document_numbers(0, np.array([0]))
    assert np.array_equal(remote.signatures(docs), store.signatures(docs))
    memory.rm("/parts/0.arrow")
    assert remote.columns(docs, ["id"])["id"].to_pylist() == ["far"]


def test_a_few_documents_are_read_from_the_batches_that_hold_them(make_store, make_row) -> None:
    rows = [make_row(id=f"{i}") for i in range(60)]  # twenty batches
    store = make_store(rows)
    docs = document_numbers(0, np.array([59, 4, 57, 5]))
    found = [(places.tolist(), rows.tolist()) for _, places, rows in store._batches(docs)]
    assert found == [([1, 3], [1, 2]), ([2, 0], [0, 2])]
    batches = store._opened[0]
    assert len(batches) == 20
    store.signatures(docs)
    assert store._opened[0] is batches  # not made anew for each few documents


def test_rows_that_are_sent_are_those_of_the_files(make_store, make_row, tmp_path) -> None:
    store = make_store(*[[make_row(id=f"{part}-{i}", bytes=i % 3) for i in range(8)] for part in range(3)])
    docs = [document_numbers(part, np.array([1, 4, 7])) for part in range(3)]
    names = ["id", "bytes", "fetched", "exact", "signature"]
    none = np.empty(0, dtype=np.uint64)
    sent = SentRows([pack(some, store, names) for some in (docs[2], none, docs[0], docs[1])], tmp_path)
    every = np.concatenate(docs)
    assert np.array_equal(sent.documents, every)
    asked = np.random.default_rng(1).permutation(every)[:7]
    assert np.array_equal(sent.signatures(asked), store.signatures(asked))
    assert np.array_equal(sent.exact(asked), store.exact(asked))
    assert np.array_equal(sent.ranks(asked), store.ranks(asked))
    assert sent.columns(none, ["id"]).num_rows == 0
    for part, row in ((0, 0), (1, 5), (2, 9)):
        with pytest.raises(IndexError, match="sent"):
            sent.exact(document_numbers(part, np.array([row])))


def test_no_rows_are_sent_where_there_are_none(make_store, make_row, tmp_path) -> None:
    assert SentRows([], tmp_path).documents.size == 0
