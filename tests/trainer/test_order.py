"""Every target is read once an epoch, whatever the phases, and any step is the same however it is reached."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.order import Order, Phase, Stream, fingerprint, rank_rows

ROOT = Path(__file__).parents[2]
LENGTHS = (1, 2, 4, 8, 16)
THIRD = [(0, 0, 864, 16), (0, 0, 880, 16), (0, 0, 672, 16), (1, 1, 0, 16)]
SIXTH = [(0, 0, 64, 32), (0, 0, 512, 32), (0, 0, 768, 32), (1, 2, 32, 17)]
FINGERPRINT = "387a52247a78fd6bc39dedf2f53075f1"


def stream(name: str, *tokens: int) -> Stream:
    return Stream(name, np.array(tokens, np.int64))


def in_documents(made: Stream, longest: int = 7) -> Stream:
    """Return a stream whose documents, of up to this many tokens, are known; none crosses a batch."""
    chance = np.random.default_rng(int(made.tokens.sum()))
    lengths: list[int] = []
    for left in made.tokens.tolist():
        while left > 0:
            lengths.append(min(left, int(chance.integers(1, longest + 1))))
            left -= lengths[-1]
    return Stream(made.name, made.tokens, np.array(lengths, np.int64))


def one(tokens: Sequence[int], length: int, seed: int = 0, chunk: int | None = None) -> Order:
    """The order of a single stream in steps of one window."""
    return Order([stream("tr", *tokens)], [Phase(1, {"tr": 1.0}, length, 1)], seed, chunk)


def read(windows: NDArray[np.void]) -> list[tuple[int, int, int]]:
    """Return every target that windows read, as (stream, epoch, position), in order."""
    return [
        (int(w["stream"]), int(w["epoch"]), position)
        for w in windows
        for position in range(w["start"] + 1, w["start"] + w["length"] + 1)
    ]


batches = st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(lambda tokens: sum(tokens) > 1)
seeds = st.integers(0, 2**31)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Stream], list[Phase], int]:
    """Draw streams, of which some know their documents, phases over them and a seed."""
    streams = [stream(name, *draw(batches)) for name in "abc"[: draw(st.integers(1, 3))]]
    streams = [in_documents(each) if draw(st.booleans()) else each for each in streams]
    weights = st.fixed_dictionaries({s.name: st.just(0.0) | st.floats(0.05, 1) for s in streams})
    phases = draw(
        st.lists(
            st.builds(
                Phase,
                st.integers(1, 300),
                weights.filter(lambda given: any(given.values())),
                st.sampled_from(LENGTHS),
                st.integers(1, 9),
            ),
            min_size=1,
            max_size=3,
        )
    )
    return streams, phases, draw(seeds)


def steps(phases: Sequence[Phase]) -> int:
    return sum(phase.steps for phase in phases)


@settings(deadline=None)
@given(batches, st.integers(1, 70), seeds)
def test_every_target_is_read_once_an_epoch(tokens: list[int], length: int, seed: int) -> None:
    order, targets = one(tokens, length, seed), sum(tokens) - 1
    windows = order.samples(0, 0, 3 * -(-targets // length))
    every = [(0, epoch, position) for epoch in range(3) for position in range(1, targets + 1)]
    assert sorted(read(windows)) == every
    short = windows[windows["length"] < length]
    assert len(short) == (3 if targets % length else 0)


@settings(deadline=None, max_examples=50)
@given(runs())
def test_no_phase_loses_or_doubles_a_target(run: tuple[list[Stream], list[Phase], int]) -> None:
    streams, phases, _ = run
    order, total = Order(*run), steps(phases)
    seen = sorted(read(np.concatenate([order.windows(step) for step in range(total)])))
    assert len(set(seen)) == len(seen)
    progress = order.progress(total)
    for number, made in enumerate(streams):
        targets = int(made.tokens.sum()) - 1
        mine = [where for where in seen if where[0] == number]
        assert len(mine) == progress.epochs[number] * targets + progress.targets[number]
        whole = [where for where in mine if where[1] < progress.epochs[number]]
        assert len(whole) == progress.epochs[number] * targets
        assert all(epoch <= progress.epochs[number] for _, epoch, _ in mine)


@settings(deadline=None, max_examples=50)
@given(runs())
def test_a_stream_is_read_in_one_order_whatever_cuts_it(run: tuple[list[Stream], list[Phase], int]) -> None:
    streams, phases, seed = run
    seen = read(np.concatenate([Order(*run).windows(step) for step in range(steps(phases))]))
    chunk = max(phase.length for phase in phases)
    for number, made in enumerate(streams):
        mine = [(epoch, position) for s, epoch, position in seen if s == number]
        alone = Order([made], [Phase(1, {made.name: 1}, chunk, 1)], seed)
        epochs = mine[-1][0] + 1 if mine else 0  # each has a short window at most
        expected = read(alone.samples(0, 0, len(mine) // chunk + epochs + 1))
        assert mine == [(epoch, position) for _, epoch, position in expected[: len(mine)]]


@settings(deadline=None, max_examples=50)
@given(runs())
def test_the_global_batch_is_the_same_for_any_number_of_ranks(
    run: tuple[list[Stream], list[Phase], int],
) -> None:
    order = Order(*run)
    for step in (0, steps(run[1]) - 1, steps(run[1]) + 5):
        whole = order.windows(step)
        assert len(whole) == run[1][order.locate(step)[0]].batch
        for world in (1, 2, 3, 4, 8):
            parts = [order.windows(step, rank, world) for rank in range(world)]
            assert np.array_equal(np.concatenate(parts), whole)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(deadline=None, max_examples=50)
@given(runs(), st.integers(0, 3), st.integers(1, 4))
def test_windows_of_several_steps_are_those_of_each(
    run: tuple[list[Stream], list[Phase], int], step: int, world: int
) -> None:
    order = Order(*run)
    last = steps(run[1]) - len(run[1]) + step  # of the phase that never ends, or of the one before
    first = next(s for s in range(last + 1) if order.locate(s)[0] == order.locate(last)[0])
    for rank in range(world):
        each = [order.windows(s, rank, world) for s in range(first, last + 1)]
        assert np.array_equal(order.windows(first, rank, world, last + 1 - first), np.concatenate(each))


@settings(deadline=None, max_examples=50)
@given(runs(), st.integers(0, 10**9))
def test_resuming_at_a_step_equals_running_through(
    run: tuple[list[Stream], list[Phase], int], where: int
) -> None:
    through = Order(*run)
    last = steps(run[1]) + 3
    ran = [through.windows(step) for step in range(last)]
    assert np.array_equal(Order(*run).windows(where % last), ran[where % last])


@settings(deadline=None, max_examples=50)
@given(runs(), st.integers(0, 10**9))
def test_a_branch_changes_nothing_before_it(run: tuple[list[Stream], list[Phase], int], where: int) -> None:
    streams, phases, seed = run
    cut = 1 + where % phases[0].steps
    first = Phase(
        cut * phases[0].batch * phases[0].length, phases[0].weights, phases[0].length, phases[0].batch
    )
    cooldown = Phase(100, dict.fromkeys((s.name for s in streams), 1.0), 16, 4)
    trunk, branch = Order(streams, phases, seed, 16), Order(streams, [first, cooldown], seed)
    for step in range(cut):
        assert np.array_equal(trunk.windows(step), branch.windows(step))
    seen = read(np.concatenate([branch.windows(step) for step in range(cut + 5)]))
    assert len(set(seen)) == len(seen)


@settings(deadline=None)
@given(st.lists(batches, min_size=1, max_size=3), st.integers(1, 70), st.integers(1, 40))
def test_segments_are_the_tokens_of_the_window(counts: list[list[int]], length: int, count: int) -> None:
    streams = [stream(f"s{number}", *tokens) for number, tokens in enumerate(counts)]
    order = Order(streams, [Phase(1, {s.name: 1 for s in streams}, length, count)], 3)
    data = [[np.arange(n) + 1000 * i for i, n in enumerate(tokens)] for tokens in counts]
    windows = order.windows(7)
    segments = order.segments(windows)
    assert (segments["length"] > 0).all()
    for row, window in enumerate(windows):
        parts = [
            data[s["stream"]][s["batch"]][s["offset"] : s["offset"] + s["length"]]
            for s in segments[segments["row"] == row]
        ]
        tokens = np.concatenate(data[window["stream"]])
        expected = tokens[window["start"] : window["start"] + window["length"] + 1]
        assert np.array_equal(np.concatenate(parts), expected)
        assert len(expected) == window["length"] + 1


@settings(deadline=None)
@given(batches, st.integers(1, 70), seeds, st.integers(1, 30))
def test_each_epoch_joins_whole_documents_in_an_order_of_its_own(
    tokens: list[int], length: int, seed: int, longest: int
) -> None:
    made = in_documents(stream("tr", *tokens), longest)
    assert made.documents is not None
    order, total = Order([made], [Phase(1, {"tr": 1.0}, length, 1)], seed), sum(tokens)
    per_epoch = -(-(total - 1) // length)
    places = np.cumsum(made.documents) - made.documents
    documents = {tuple(range(at, at + size)) for at, size in zip(places, made.documents, strict=True)}
    for epoch in range(3):
        windows = np.sort(order.samples(0, epoch * per_epoch, per_epoch), order="start")
        read: list[int] = []
        for number, window in enumerate(windows):
            spans = order.spans(windows)
            parts = [range(s["start"], s["start"] + s["length"]) for s in spans[spans["row"] == number]]
            found = [place for part in parts for place in part]
            assert len(found) == window["length"] + 1
            assert not read or found[0] == read[-1]  # the last target of one is the first input of the next
            read += found[1:] if read else found
        cuts = np.flatnonzero(np.isin(read, places)).tolist()
        assert {tuple(read[a:b]) for a, b in itertools.pairwise([*cuts, total])} == documents
        assert sorted(read) == list(range(total))


def test_epochs_and_seeds_permute_documents_anew_and_ranks_share_them() -> None:
    made = in_documents(stream("tr", 4_000, 6_001))
    orders = [Order([made], [Phase(1, {"tr": 1.0}, 16, 25)], seed) for seed in (0, 0, 1)]
    first, same, other = (order.spans(order.windows(0))["start"].tolist() for order in orders)
    assert first == same != other
    assert first != orders[0].spans(orders[0].windows(25))["start"].tolist()  # the next epoch's first step
    windows = [orders[1].windows(24, rank, 5) for rank in range(5)]
    shared = np.concatenate([orders[1].segments(each)[["batch", "offset", "length"]] for each in windows])
    whole = orders[0].segments(orders[0].windows(24))[["batch", "offset", "length"]]
    assert np.array_equal(shared, whole)


def test_a_batch_has_windows_of_many_documents_although_documents_are_permuted() -> None:
    made = Stream("tr", np.array([64 * 160]), np.full(64, 160))
    order = Order([made], [Phase(1, {"tr": 1.0}, 16, 8)], 0)
    read = [set((order.spans(order.windows(step))["start"] // 160).tolist()) for step in range(80)]
    assert np.mean([len(documents) for documents in read]) > 7


def test_a_part_of_a_stream_cuts_its_documents_too() -> None:
    part = Stream("tr", np.array([10, 10]), np.array([4, 6, 7, 3])).first(13)
    assert part.documents is not None
    assert (part.tokens.tolist(), part.documents.tolist()) == ([10, 3], [4, 6, 3, 0])
    order = Order([part], [Phase(1, {"tr": 1.0}, 4, 3)], 0)
    spans = order.spans(order.windows(0))
    assert set().union(*(range(s["start"], s["start"] + s["length"]) for s in spans)) == set(range(13))
    with pytest.raises(ValueError, match="'tr' has 10 tokens and documents of 9"):
        Order([Stream("tr", np.array([10]), np.array([9]))], [Phase(1, {"tr": 1.0}, 4, 1)], 0)


def test_a_window_ends_with_the_token_that_the_next_begins_with() -> None:
    windows = np.sort(one([10, 15], 6).samples(0, 0, 4), order="start")
    assert windows["start"].tolist() == [0, 6, 12, 18]
    assert windows["length"].tolist() == [6, 6, 6, 6]  # 24 targets; the first of 25 tokens is none


def test_the_short_window_closes_the_epoch() -> None:
    windows = one([60], 8).samples(0, 0, 16)
    assert [(int(w["start"]), int(w["length"])) for w in windows[7::8]] == [(56, 3), (56, 3)]


def test_a_window_after_a_change_of_length_reads_what_the_shorter_ones_left() -> None:
    phases = [Phase(6, {"tr": 1}, 2, 1), Phase(1, {"tr": 1}, 8, 1)]
    windows = np.concatenate([Order([stream("tr", 17)], phases, 0).windows(s) for s in range(5)])
    assert windows["length"].tolist() == [2, 2, 2, 2, 8]
    assert (windows["start"] - windows["start"][0])[:4].tolist() == [0, 2, 4, 6]


def test_epochs_of_a_stream_have_orders_of_their_own() -> None:
    starts = one([80_001], 8).samples(0, 0, 20_000)["start"].reshape(2, -1)
    assert np.count_nonzero(starts[0] == starts[1]) < 12
    assert np.array_equal(np.sort(starts[0]), np.sort(starts[1]))


def test_each_stream_counts_its_own_epochs() -> None:
    streams = [stream("tr", 10_001), stream("az", 1_001)]
    order = Order(streams, [Phase(1, {"tr": 0.5, "az": 0.5}, 10, 32)], 1)
    progress = order.progress(64)  # 2,048 windows, half of each
    assert progress.epochs.tolist() == [1, 10]
    assert progress.targets.tolist() == [240, 240]


def test_another_seed_or_name_is_another_order() -> None:
    windows = one([80_001], 8).samples(0, 0, 10_000)
    assert np.count_nonzero(windows == one([80_001], 8, seed=1).samples(0, 0, 10_000)) < 12
    named = Order([stream("az", 80_001)], [Phase(1, {"az": 1}, 8, 1)], 0).samples(0, 0, 10_000)
    assert np.count_nonzero(windows["start"] == named["start"]) < 12


def test_a_stream_is_read_in_the_same_order_beside_others() -> None:
    beside = Order([stream("az", 500), stream("tr", 801)], [Phase(1, {"az": 1, "tr": 1}, 8, 100)], 0).windows(
        0
    )
    mine = beside[beside["stream"] == 1]["start"]
    assert np.array_equal(mine, one([801], 8).samples(0, 0, mine.size)["start"])


def test_a_curriculum_changes_weights_length_and_batch_at_its_tokens() -> None:
    streams = [stream("tr", 100_000), stream("code", 100_000)]
    phases = [
        Phase(10_000, {"tr": 1}, 10, 100),
        Phase(5_001, {"tr": 1, "code": 3}, 20, 50),
        Phase(1, {"code": 1}, 40, 8),
    ]
    order = Order(streams, phases, 0)
    assert [order.locate(step) for step in (0, 9, 10, 15, 16, 1_000)] == [
        *((0, 0), (0, 900), (1, 0), (1, 250), (2, 0), (2, 984 * 8))
    ]
    assert set(order.windows(9)["stream"].tolist()) == {0}
    assert set(order.windows(10)["stream"].tolist()) == {0, 1}
    assert set(order.windows(16)["stream"].tolist()) == {1}
    assert [len(order.windows(step)) for step in (9, 10, 16)] == [100, 50, 8]
    assert [int(order.windows(step)["length"].max()) for step in (9, 10, 16)] == [10, 20, 40]


def test_the_values_of_an_order_never_change() -> None:
    """A change here reorders the data of every run that was ever started: then raise VERSION."""
    streams = [stream("tr", 700, 0, 300), stream("az", 50)]
    order = Order(streams, [Phase(640, {"tr": 3, "az": 1}, 16, 8), Phase(1, {"tr": 1, "az": 1}, 32, 4)], 42)
    assert [tuple(map(int, window)) for window in order.windows(3)[:4]] == THIRD
    assert [tuple(map(int, window)) for window in order.windows(6)] == SIXTH


def test_changed_numbers_change_the_fingerprint() -> None:
    base = [stream("tr", 10, 20), stream("az", 5)]
    others = [
        [stream("tr", 20, 10), stream("az", 5)],
        [stream("tr", 10, 20, 0), stream("az", 5)],
        [stream("tr", 10), stream("az", 20, 5)],
        [stream("tur", 10, 20), stream("az", 5)],
        [stream("az", 5), stream("tr", 10, 20)],
        [stream("tr", 10, 20)],
    ]
    assert fingerprint(base) == fingerprint([stream("tr", 10, 20), stream("az", 5)])
    assert fingerprint(base) == FINGERPRINT
    others += [[in_documents(each, longest) for each in base] for longest in (1, 3)]
    assert len({fingerprint(streams) for streams in [base, *others]}) == 9


def test_a_slice_for_a_rank_that_is_none_is_refused() -> None:
    assert [list(rank_rows(5, rank, 2)) for rank in range(2)] == [[0, 1], [2, 3, 4]]
    for rank in (-1, 2):
        with pytest.raises(ValueError, match=f"rank {rank} of 2"):
            rank_rows(8, rank, 2)


@pytest.mark.parametrize(
    ("streams", "phases", "chunk", "message"),
    [
        ([stream("tr", 9)], [], None, "no phase"),
        ([stream("tr", 9), stream("tr", 9)], [Phase(1, {"tr": 1}, 4, 1)], None, "have the same name"),
        ([stream("tr", 9, -1)], [Phase(1, {"tr": 1}, 4, 1)], None, "a batch of -1 tokens"),
        ([stream("tr", 1)], [Phase(1, {"tr": 1}, 4, 1)], None, "'tr' has 1 tokens"),
        ([stream("tr", 9)], [Phase(1, {"az": 1}, 4, 1)], None, "no stream 'az'; there are tr"),
        ([stream("tr", 9)], [Phase(1, {"tr": 1}, 0, 1)], 4, "must be at least 1"),
        ([stream("tr", 9)], [Phase(1, {"tr": 1}, 4, 0)], None, "must be at least 1"),
        ([stream("tr", 9)], [Phase(1, {"tr": 1}, 4, 1)], 6, "windows of 4 tokens do not divide a chunk of 6"),
        ([stream("tr", 9)], [Phase(1, {"tr": 0}, 4, 1)], None, "at least one above 0"),
    ],
)
def test_what_cannot_be_ordered_is_refused(
    streams: list[Stream], phases: list[Phase], chunk: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Order(streams, phases, 0, chunk)


def test_the_order_needs_numpy_alone() -> None:
    wanted = set()
    for module in ("order", "mixture", "permutation"):
        for node in ast.walk(ast.parse((ROOT / f"trainer/{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                wanted.add(node.module.split(".")[0])
    assert wanted - sys.stdlib_module_names == {"numpy", "trainer"}


def test_a_step_before_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="step -1: steps count from 0"):
        one([9], 4).windows(-1)


def test_an_unread_stream_may_be_empty() -> None:
    order = Order([stream("az"), stream("tr", 9)], [Phase(1, {"tr": 1}, 4, 2)], 0)
    assert set(order.windows(3)["stream"].tolist()) == {1}
    assert order.progress(3).epochs.tolist() == [0, 3]


@settings(deadline=None, max_examples=50)
@given(runs())
def test_tokens_before_a_step_are_those_of_its_windows_short_ones_whole(
    run: tuple[list[Stream], list[Phase], int],
) -> None:
    streams, phases, seed = run
    order = Order(streams, phases, seed)
    assert order.steps == steps(phases)
    sizes = [phase.batch * phase.length for phase in phases for _ in range(phase.steps)]
    assert [order.tokens(step) for step in range(order.steps + 1)] == list(
        itertools.accumulate(sizes, initial=0)
    )
