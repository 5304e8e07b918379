"""Buckets become verified edges, the same ones whatever the order of the input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup import bands
from corpus.dedup.bands import (
    EDGE,
    EXACT,
    EXACT_BAND,
    LEADERS,
    NEAR,
    URL,
    URL_BAND,
    Compared,
    band_blocks,
    band_hashes,
    buckets_of,
    link,
    make_edges,
    merge_edges,
    partition_of,
)
from corpus.dedup.signature import EMPTY
from corpus.schema import PERMUTATIONS

ALL = Compared(np.empty(0, np.uint64))


def like(signature: np.ndarray, equal: int, seed: int) -> np.ndarray:
    """A signature that agrees with another in its first `equal` places only."""
    other = np.random.default_rng(seed).integers(0, 1 << 31, PERMUTATIONS, dtype=np.uint32)
    return np.concatenate([signature[:equal], other[equal:]])


def found(store, band: int, threshold: float = 0.75, partitions: int = 1, urls: bool = True):
    blocks = [
        block
        for part in range(len(store.paths))
        for number, partition, block in band_blocks(store, part, partitions, urls, ALL)
        if number == band
    ]
    return link(band, blocks, store, threshold)


def by_id(store, edges) -> set[tuple[str, str, int, float]]:
    left, right = (store.columns(edges[end], ["id"])["id"].to_pylist() for end in ("a", "b"))
    pairs = map(sorted, zip(left, right, strict=True))
    kinds, jaccard = edges["kind"].tolist(), edges["jaccard"].astype(float).round(3).tolist()
    return {(*pair, kind, j) for pair, kind, j in zip(pairs, kinds, jaccard, strict=True)}


def test_band_hashes_depend_on_their_eight_rows_and_their_band_only() -> None:
    signatures = np.tile(np.arange(8, dtype=np.uint32), (2, 14))
    signatures[1, 17] += 1
    hashes = band_hashes(signatures)
    assert hashes.shape == (2, 14)
    assert len(set(hashes[0].tolist())) == 14
    assert np.flatnonzero(hashes[0] != hashes[1]).tolist() == [2]


def test_band_hashes_never_change() -> None:
    hashes = band_hashes(np.arange(PERMUTATIONS, dtype=np.uint32).reshape(1, -1))
    assert hashes[0, [0, 13]].tolist() == [5561489667621904810, 1540838827529869761]


@given(st.integers(1, 2**31 - 1))
def test_partitions_cover_the_hashes_in_order(partitions: int) -> None:
    ends = partition_of(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64), partitions)
    assert ends[0] == 0
    assert ends[1] == partitions // 2
    assert ends[2] == partitions - 1


def test_every_band_of_every_document_is_in_one_block(make_store, make_row) -> None:
    store = make_store([make_row(id=f"{i}", url=i) for i in range(20)])
    rows = [
        (band, *column)
        for band, _, block in band_blocks(store, 0, 3, True, ALL)
        for column in block.T.tolist()
    ]
    assert len(rows) == len(set(rows)) == 20 * 15 + 19
    assert {band for band, _, _ in band_blocks(store, 0, 3, False, ALL)} == set(range(15))


def test_texts_without_words_are_not_alike(make_store, make_row) -> None:
    empty = np.full(PERMUTATIONS, EMPTY)
    rows = [make_row(id=name, signature=empty, url=7) for name in "ab"]
    store = make_store(rows)
    assert found(store, 0).edges.size == found(store, URL_BAND).edges.size == 0
    worded = make_row(id="c")["signature"]
    worded[-1] = EMPTY  # by chance
    store = make_store([make_row(id="d", signature=worded), make_row(id="e", signature=worded)])
    assert found(store, 0).edges.size == 1


def test_a_near_edge_needs_the_threshold(make_store, make_row) -> None:
    base = make_row(id="a", bytes=9000)
    close = make_row(id="b", signature=like(base["signature"], 84, 1))
    apart = make_row(id="c", signature=like(base["signature"], 83, 2))
    far = make_row(id="d", signature=like(base["signature"], 60, 3))
    store = make_store([base, close, apart, far])
    edges = found(store, 0).edges
    verified = edges[edges["jaccard"] >= 0.75]
    assert by_id(store, verified) == {("a", "b", NEAR, 0.75)}
    # What comes near the threshold is kept for the report, what does not is no edge at all.
    assert by_id(store, edges) - by_id(store, verified) == {("a", "c", NEAR, 0.741)}


def test_members_that_match_no_leader_lead_others(make_store, make_row) -> None:
    first, second = make_row(id="a"), make_row(id="b")
    second["signature"] = like(first["signature"], 8, 9)
    rows = [first, second]
    rows += [make_row(id=f"a{i}", bytes=500, signature=like(first["signature"], 100, i)) for i in range(3)]
    rows += [make_row(id=f"b{i}", bytes=500, signature=like(second["signature"], 100, i)) for i in range(3)]
    store = make_store(rows)
    links = found(store, 0)
    assert by_id(store, links.edges) == {(f"{x}", f"{x}{i}", NEAR, 0.893) for x in "ab" for i in range(3)}
    assert (links.buckets, links.largest_bucket, links.unlinked) == (1, 8, 0)


def test_a_bucket_of_strangers_is_bounded_and_counted(make_store, make_row) -> None:
    base = make_row(id="base")["signature"]
    rows = [make_row(id=f"{i:03d}", signature=like(base, 8, i)) for i in range(LEADERS + 10)]
    links = found(make_store(rows), 0)
    assert links.edges.size == 0
    assert links.unlinked == 10


def test_slices_change_nothing(make_store, make_row, monkeypatch) -> None:
    bases = [make_row(id=f"base{i}")["signature"] for i in range(4)]
    rows = [make_row(id=f"{i}", signature=like(bases[i % 4], 84 + i % 20, i)) for i in range(60)]
    store = make_store(rows)
    whole = found(store, 0, 0.8)
    monkeypatch.setattr(bands, "_SLICE", 7)
    assert np.array_equal(found(store, 0, 0.8).edges, whole.edges)
    assert whole.edges.size > 30


def test_edges_do_not_depend_on_where_documents_are(make_store, make_row) -> None:
    bases = [make_row(id=f"base{i}")["signature"] for i in range(5)]
    rows = [
        make_row(id=f"{i}", bytes=100 + i % 3, signature=like(bases[i % 5], 60 + i % 50, i))
        for i in range(80)
    ]
    store = make_store(rows)
    expected = by_id(store, found(store, 0, 0.7).edges)
    for seed in range(3):
        mixed = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
        other = make_store(mixed[:10], mixed[10:45], mixed[45:])
        assert by_id(other, found(other, 0, 0.7).edges) == expected


def test_exact_copies_are_joined_by_the_whole_hash(make_store, make_row) -> None:
    half = b"12345678"
    rows = [
        make_row(id="a", exact=half + b"aaaaaaaa"),
        make_row(id="b", exact=half + b"bbbbbbbb"),
        make_row(id="c", exact=half + b"aaaaaaaa"),
    ]
    store = make_store(rows)
    assert by_id(store, found(store, EXACT_BAND).edges) == {("a", "c", EXACT, 1.0)}


def test_texts_of_one_url_are_linked_from_the_threshold_on(make_store, make_row) -> None:
    base = make_row(id="a", url=7, bytes=9000)
    rows = [
        base,
        make_row(id="b", url=7, signature=like(base["signature"], 84, 1)),
        make_row(id="c", url=7, signature=like(base["signature"], 83, 2)),
        make_row(id="d", url=0),
        make_row(id="e", url=0),
    ]
    store = make_store(rows)
    assert by_id(store, found(store, URL_BAND).edges) == {("a", "b", URL, 0.75)}


def test_different_texts_of_one_url_lead_their_own_versions(make_store, make_row) -> None:
    first, second = make_row(id="a", url=7, bytes=9000), make_row(id="b", url=7, bytes=9000)
    rows = [first, second]
    rows += [make_row(id=f"a{i}", url=7, signature=like(first["signature"], 100, i)) for i in range(3)]
    rows += [make_row(id=f"b{i}", url=7, signature=like(second["signature"], 100, 9 + i)) for i in range(3)]
    store = make_store(rows)
    expected = {(x, f"{x}{i}", URL, 0.893) for x in "ab" for i in range(3)}
    assert by_id(store, found(store, URL_BAND).edges) == expected


def test_a_later_pass_has_the_buckets_asked_for_without_the_removed_documents(make_store, make_row) -> None:
    store = make_store([make_row(id=f"{i}", url=1 + i // 2) for i in range(6)], [make_row(id="x", url=1)])
    docs = np.arange(6, dtype=np.uint64)
    buckets = dict(buckets_of(docs[:1], store, True))
    assert buckets[URL_BAND].tolist() == [1]
    assert len(buckets) == 15
    again = Compared(docs[1:2], buckets.__getitem__)
    blocks = [(band, block.tolist()) for band, _, block in band_blocks(store, 0, 1, True, again)]
    assert [band for band, _ in blocks] == [*range(14), URL_BAND]
    assert all(block[1] == [0] for _, block in blocks)


def test_a_pair_linked_in_two_ways_keeps_the_stronger_kind_and_the_larger_similarity() -> None:
    a, b = np.array([1, 5], np.uint64), np.array([2, 3], np.uint64)
    near = make_edges(a, b, NEAR, np.array([0.8, 0.9], np.float32))
    url = make_edges(b[:1], a[:1], URL, np.array([0.1], np.float32))
    merged = merge_edges([near, url])
    assert merged["a"].tolist() == [1, 3]
    assert merged["b"].tolist() == [2, 5]
    assert merged["kind"].tolist() == [URL, NEAR]
    assert merged["jaccard"].tolist() == pytest.approx([0.8, 0.9])
    assert merge_edges([]).dtype == EDGE


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_hashes_are_looked_up_among_others(some: list[int], others: list[int]) -> None:
    hashes = np.array([*some, *others, *(one ^ 1 for one in others)], dtype=np.uint64)
    found = bands.among(hashes, np.unique(np.array(others, dtype=np.uint64)))
    assert found.tolist() == [one in others for one in hashes.tolist()]
