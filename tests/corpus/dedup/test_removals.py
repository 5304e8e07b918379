"""The removal list: every part finds its own rows, and reads no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import dataset
from corpus.counts import Counts
from corpus.dedup import removals
from corpus.dedup.clusters import REMOVAL, SURVIVOR
from corpus.dedup.removals import SUBSTRINGS
from corpus.dedup.spans import SPAN
from corpus.dedup.store import SignatureStore

PARTS = 6
ROWS = 12

Row = tuple[int, int]  # part and row


@pytest.fixture
def store(make_store: Callable[..., SignatureStore], make_row: Callable[..., Any]) -> SignatureStore:
    return make_store(*([make_row(id=f"{p}-{r}") for r in range(ROWS)] for p in range(PARTS)))


def name(part: int) -> str:
    return f"{part:016x}"


def write(
    folder: Path,
    store: SignatureStore,
    gone: Iterable[Row],
    stay: Iterable[Row],
    ranges: Sequence[range] = (range(PARTS),),
    spans: Iterable[Row] = (),
) -> dataset.Manifest:
    """Write a dedupe stage in which the documents of `gone` were removed for the first one.

    Those of `spans` lost a passage that the second one keeps.
    """
    names = [name(part) for part in range(PARTS)]
    written, index = [], []
    for number, parts in enumerate(ranges):
        removed = np.array([(p << 32 | r, 0, 2, 0.9) for p, r in sorted(gone) if p in parts], REMOVAL)
        kept = np.array([(p << 32 | r, 2 + r) for p, r in sorted(stay) if p in parts], SURVIVOR)
        cut = [(p << 32 | r, 3, 5 + r, 1, SUBSTRINGS) for p, r in sorted(spans) if p in parts]
        of_range = removals.write(
            str(folder), "f", number, parts, names, store, removed, kept, np.array(cut, SPAN)
        )
        written += of_range[0]
        index += of_range[1]
    written.append(removals.write_index(str(folder), "f", index))
    unit = dataset.Unit(name="all", fingerprint="f", inputs=(), files=tuple(written), counts=Counts())
    manifest = dataset.Manifest(stage="dedupe", version=1, settings={}, units=(unit,))
    dataset.save(str(folder), manifest)
    return manifest


_document = st.tuples(st.integers(0, PARTS - 1), st.integers(0, ROWS - 1))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    gone=st.sets(_document), stay=st.sets(_document), cuts=st.sets(st.integers(1, PARTS - 1)),
    batch=st.integers(1, 5),
)  # fmt: skip
def test_every_part_finds_its_rows(
    tmp_path: Path,
    store: SignatureStore,
    gone: set[Row],
    stay: set[Row],
    cuts: set[int],
    batch: int,
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(removals, "_BATCH", batch)
        ranges = [range(low, high) for low, high in pairwise([0, *sorted(cuts), PARTS])]
        manifest = write(tmp_path, store, gone, stay, ranges, stay)
    index = removals.read_index(str(tmp_path))
    assert list(index) == [name(part) for part in range(PARTS)]
    for part in range(PARTS):
        fate = index[name(part)]
        found = removals.read(str(tmp_path), fate.removed, ["row"])
        assert found["row"].tolist() == sorted(r for p, r in gone if p == part)
        kept = removals.read(str(tmp_path), fate.survivors, ["row", "copies"])
        assert kept["row"].tolist() == sorted(r for p, r in stay if p == part)
        assert kept["copies"].tolist() == [2 + r for r in kept["row"]]
        spans = removals.read(str(tmp_path), fate.spans, ["row", "start", "end"])
        assert [spans[each].tolist() for each in spans] == [
            kept["row"].tolist(), [3] * kept["row"].size, [5 + r for r in kept["row"]],
        ]  # fmt: skip
    assert bool(manifest.files("spans")) == bool(stay)
    tables = [dataset.table(str(tmp_path), file.path).to_pylist() for file in manifest.files("removed")]
    named = [(row["part"], row["row"], row["id"], row["survivor_part"]) for rows in tables for row in rows]
    assert named == [(name(p), r, f"{p}-{r}", name(0)) for p, r in sorted(gone)]


def test_a_part_is_known_by_what_was_decided_of_it_alone(tmp_path: Path, store: SignatureStore) -> None:
    digests = []
    made = (([(1, 2), (3, 4)], []), ([(1, 2), (3, 5)], []), ([(1, 2)], []), ([(1, 2)], [(3, 1)]))
    for number, (gone, spans) in enumerate(made):
        write(tmp_path / str(number), store, gone, [(0, 0)], spans=spans)
        digests.append(
            {p: fate.digest for p, fate in removals.read_index(str(tmp_path / str(number))).items()}
        )
    same = [part for part in range(PARTS) if len({each[name(part)] for each in digests}) == 1]
    assert same == [0, 1, 2, 4, 5]
    assert len({each[name(3)] for each in digests}) == 4


def test_only_the_batches_with_a_parts_rows_are_read(
    tmp_path: Path, store: SignatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "_BATCH", 5)
    write(tmp_path, store, [(p, r) for p in range(PARTS) for r in range(ROWS)], [])
    place = removals.read_index(str(tmp_path))[name(3)].removed
    read: list[int] = []

    class Counted:
        def __init__(self, reader: pa.ipc.RecordBatchFileReader) -> None:
            self.reader = reader

        def get_batch(self, number: int) -> pa.RecordBatch:
            read.append(number)
            return self.reader.get_batch(number)

    plain = dataset._reader
    monkeypatch.setattr(dataset, "_reader", lambda *arguments: Counted(plain(*arguments)))
    assert removals.read(str(tmp_path), place, ["row"])["row"].tolist() == list(range(ROWS))
    assert read == [7, 8, 9]  # rows 36 to 47 of 72
