"""Batches are the windows of the order, whatever the ranks, the step resumed at and the tokens' storage."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from token_shards import Batches, write

from corpus.errors import DatasetError
from corpus.schema import TOKENS32
from trainer import maps, tokens
from trainer.config import Config, Data
from trainer.loader import Batch, Loader
from trainer.loss import IGNORED
from trainer.objective import unpack
from trainer.order import Order, Phase

EOS = 2
Target = tuple[str, int, int]
"""A target's stream, batch of the stream and place in the batch."""


def documents(seed: int, batches: int = 3, longest: int = 30) -> list[list[list[int]]]:
    """Draw batches of documents of random tokens, EOS at their end."""
    random = np.random.default_rng(seed)
    return [
        [[*random.integers(3, 300, random.integers(0, longest)).tolist(), EOS] for _ in range(12)]
        for _ in range(batches)
    ]


SHARDS: dict[str, Batches] = {
    "tur_Latn/web": documents(1),
    "tur_Latn/books": documents(2, 1, 90),
    "aze_Latn/web": documents(3, 2, 9),
}
WEIGHTS = {"tur_Latn/web": 3.0, "tur_Latn/books": 2.0, "aze_Latn/web": 1.0}
PHASES = [Phase(16 * 6 * 5, WEIGHTS, 16, 6), Phase(16 * 5 * 3, WEIGHTS, 32, 5)]


@pytest.fixture
def opened(tmp_path: Path) -> tokens.Tokens:
    write(tmp_path / "tokens", SHARDS)
    return tokens.open(str(tmp_path))


def ordered(opened: tokens.Tokens, phases: list[Phase] | None = None, seed: int = 5) -> Order:
    return Order(tokens.streams(opened), phases or PHASES, seed)


def kept(batches: tuple[Batch, ...]) -> list[tuple[object, ...]]:
    """Copy what a step holds, so that it may be compared after the memory was used again."""
    return [
        (
            b.tokens.tolist(),
            sorted(set(b.cu_seqlens.tolist())),
            b.lengths.tolist(),
            b.ends.tolist(),
            b.targets,
        )
        for b in batches
    ]


def rows(batches: tuple[Batch, ...]) -> list[tuple[object, ...]]:
    """Return inputs, targets and document numbers of each row, wherever micro-batches are cut."""
    found: list[tuple[object, ...]] = []
    for batch in batches:
        inputs, targets, held = unpack(batch, "cpu")
        first = held.ids[:, :1]
        found += zip(inputs.tolist(), targets.tolist(), (held.ids - first).tolist(), strict=True)
    return found


def expected(order: Order, shards: Mapping[str, Batches], step: int) -> list[tuple[object, ...]]:
    """Read a step's windows slowly, from the documents."""
    length = order.phases[order.locate(step)[0]].length
    found: list[tuple[object, ...]] = []
    for window in order.windows(step):
        held = [d for batch in shards[order.streams[window["stream"]].name] for d in batch]
        stream = [token for document in held for token in document]
        heads = {0, *np.cumsum([len(d) for d in held]).tolist()}
        begin, count = int(window["start"]), int(window["length"])
        inputs = [*stream[begin : begin + count + 1], *[0] * length][
            :length
        ]  # the padding's first does not matter
        targets = [
            IGNORED if place in heads else stream[place] for place in range(begin + 1, begin + count + 1)
        ] + [IGNORED] * (length - count)
        numbers: list[int] = np.cumsum([0, *(begin + p in heads for p in range(1, count))]).tolist()
        found.append((inputs, targets, numbers + [numbers[-1] + 1] * (length - count)))
    return found


def test_batches_are_the_windows_of_the_order(opened: tokens.Tokens) -> None:
    order = ordered(opened)
    with Loader(opened, order) as loader:
        for step, batches in enumerate(loader.steps(0, 12)):
            assert rows(batches) == expected(order, SHARDS, step)
            (batch,) = batches
            _, targets, held = unpack(batch, "cpu")
            assert batch.targets == int((targets != IGNORED).sum())
            valid = held.positions[torch.arange(held.length) < batch.lengths[:, None]]
            assert batch.attended == int((valid + 1).sum())
            assert batch.documents == int((valid == 0).sum())
    assert step == 11


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(0, 100),
)
def test_every_token_is_a_target_once_an_epoch_but_for_those_that_begin_documents(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], length: int, batch: int, seed: int
) -> None:
    count = itertools.count(1)
    shards = {"tur_Latn/web": [[[next(count) for _ in range(size)] for size in held] for held in sizes]}
    every = [document for held in shards["tur_Latn/web"] for document in held]
    total = sum(map(len, every))
    if total < 2:
        return
    folder = tmp_path_factory.mktemp("property")
    write(folder, shards)
    opened = tokens.open(str(folder))
    order = ordered(opened, [Phase(1, {"tur_Latn/web": 1}, length, batch)], seed)
    windows = -(-(total - 1) // length)
    epochs = batch  # then the steps hold whole epochs
    with Loader(opened, order) as loader:
        seen: Counter[int] = Counter()
        for (made,) in loader.steps(0, windows):
            _, targets, _ = unpack(made, "cpu")
            seen.update(targets[targets != IGNORED].tolist())
    assert seen == {token: epochs for document in every for token in document[1:]}


def test_permuted_documents_are_read_whole_from_any_step_and_by_any_number_of_ranks(
    opened: tokens.Tokens,
) -> None:
    data = Data(length=16, batch=4, tokens=10_000, permute="documents", weights={"tur_Latn/web": 1.0})
    order = tokens.order(Config(data=data), opened)
    every = [document for held in SHARDS["tur_Latn/web"] for document in held]
    windows = -(-(sum(map(len, every)) - 1) // 16)
    with Loader(opened, order) as loader:
        through = [rows(batches) for batches in loader.steps(0, windows)]  # four epochs
    first: list[int] = []
    read = [row for step in through for row in step]
    for number in np.argsort(order.samples(0, 0, windows)["start"]):  # windows are permuted too
        first += read[number][0]  # type: ignore[arg-type]
    text = ",".join(map(str, first[: sum(map(len, every)) - 1]))  # the last target is not read as an input
    assert sum(",".join(map(str, document)) in text for document in every) >= len(every) - 1
    with Loader(opened, tokens.order(Config(data=data), opened)) as loader:
        assert [rows(batches) for batches in loader.steps(7, windows)] == through[7:]
    ranks = []
    for rank in range(2):
        with Loader(opened, order, rank=rank, world=2) as loader:
            ranks.append([rows(batches) for batches in loader.steps(0, windows)])
    assert [a + b for a, b in zip(*ranks, strict=True)] == through


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("micro_batch", [0, 16, 50, 64])  # tokens: a phase has windows of 16, then 32
def test_the_global_batch_is_the_same_for_any_number_of_ranks_and_micro_batches(
    opened: tokens.Tokens, world: int, micro_batch: int
) -> None:
    order = ordered(opened)
    ranks: list[list[list[tuple[object, ...]]]] = []
    for rank in range(world):
        with Loader(opened, order, rank=rank, world=world, micro_batch=micro_batch) as loader:
            made = []
            for batches in loader.steps(3, 7):
                for batch in batches:
                    most = max(1, micro_batch // (batch.tokens.shape[1] - 1)) if micro_batch else 6
                    assert len(batch.tokens) <= most
                made.append(rows(batches))
            ranks.append(made)
    for number, step in enumerate(range(3, 7)):
        whole = [row for rank in range(world) for row in ranks[rank][number]]
        assert whole == expected(order, SHARDS, step)


def test_resuming_at_any_step_gives_what_the_uninterrupted_run_gave(opened: tokens.Tokens) -> None:
    order = ordered(opened)
    with Loader(opened, order, micro_batch=64) as loader:
        through = [kept(batches) for batches in loader.steps(0, 15)]
    for step in (0, 4, 5, 14):
        with Loader(opened, ordered(opened), micro_batch=64) as loader:
            assert [kept(batches) for batches in loader.steps(step, 15)] == through[step:]
            assert list(loader.steps(5, 5)) == []


def test_a_steps_memory_is_not_used_again_before_the_next_is_asked_for(opened: tokens.Tokens) -> None:
    order = ordered(opened)
    with Loader(opened, order, ahead=2) as loader:
        places: list[int] = []
        for step, batches in enumerate(loader.steps(0, 9)):
            before = kept(batches)
            time.sleep(0.02)  # the readers have long done all that they may
            assert kept(batches) == before
            assert rows(batches) == expected(order, SHARDS, step)
            places.append(batches[0].tokens.data_ptr())
        unpacked = unpack(batches[0], "cpu")
        own = [*unpacked[:2], unpacked[2].cu_seqlens, unpacked[2].ids, unpacked[2].positions]
        ring = {t.untyped_storage().data_ptr() for b in batches for t in (b.tokens, b.cu_seqlens, b.lengths)}
        assert not ring & {tensor.untyped_storage().data_ptr() for tensor in own}
    assert len(set(places[:5])) == 3  # a ring of three, of one shape as long as the phase lasts


def test_documents_shorter_than_was_expected_make_room(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/web": [[[7, EOS]] * 400]})
    opened = tokens.open(str(tmp_path))
    order = ordered(opened, [Phase(1, {"tur_Latn/web": 1}, 64, 3)])
    with Loader(opened, order) as loader:
        (first,), (second,) = (batches for batches in loader.steps(0, 2))
        assert first.cu_seqlens.numel() == second.cu_seqlens.numel() == 128 + 1
        assert second.documents >= 3 * 32
        _, targets, held = unpack(second, "cpu")
    assert set(targets.flatten().tolist()) == {IGNORED, EOS}
    assert int(held.positions.max()) == 1


def test_tokens_of_32_bits_are_int32(tmp_path: Path) -> None:
    shards = {"tur_Latn/web": [[[70_000, 200_000, EOS], [131_072, EOS]]]}
    write(tmp_path, shards, kind=TOKENS32)
    opened = tokens.open(str(tmp_path))
    order = ordered(opened, [Phase(1, {"tur_Latn/web": 1}, 4, 1)])
    with Loader(opened, order) as loader:
        ((batch,),) = loader.steps(0, 1)
        assert batch.tokens.dtype == torch.int32
        assert rows((batch,)) == expected(order, shards, 0)


def test_an_order_of_other_tokens_is_refused(opened: tokens.Tokens, tmp_path: Path) -> None:
    write(tmp_path / "other", {**SHARDS, "aze_Latn/web": documents(3, 3, 9)})
    other = tokens.open(str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"the order was not made from .*other"):
        Loader(other, ordered(opened))
    with pytest.raises(ValueError, match="rank 2 of 2"):
        Loader(opened, ordered(opened), rank=2, world=2)


def test_a_missing_or_cut_file_is_named_where_the_batches_are_asked_for(opened: tokens.Tokens) -> None:
    paths = sorted(Path(opened.folder).rglob("*.arrow"))
    path = next(path for path in paths if "books" in path.name)
    data = path.read_bytes()
    for damage, message in (
        (path.unlink, rf"{path.name}: No such file or directory: the manifest names it"),
        (lambda: path.write_bytes(data[:-8]), rf"{path.name}: {len(data) - 8} bytes, the manifest says"),
        (
            lambda: path.write_bytes(data[:64].ljust(len(data), b"\0")),
            rf"{path.name}: batch 0: .*; remove the file",
        ),
    ):
        damage()
        with (
            Loader(opened, ordered(opened)) as loader,
            pytest.raises(DatasetError, match=message),
        ):
            list(loader.steps(0, 5))
    path.write_bytes(data)
    with Loader(opened, ordered(opened)) as loader:
        assert len(list(loader.steps(0, 5))) == 5


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_one_changed_bit_of_a_batch_is_found_before_a_window_of_it_is_given(
    opened: tokens.Tokens, bit: int
) -> None:
    batches = [
        (Path(opened.folder) / file.path, number, index.offset[number], index.length[number])
        for stream in tokens.places(opened)
        for file, number in stream
        if (index := file.batches) is not None
    ]
    assert len(batches) == 6
    for path, number, offset, size in batches:
        data = path.read_bytes()
        changed = bytearray(data)
        changed[offset + size - 9] ^= 1 << bit  # in the body, which Arrow takes as it is
        path.write_bytes(changed)
        given = []
        with (
            Loader(opened, ordered(opened)) as loader,
            pytest.raises(DatasetError, match=rf"{path.name}: batch {number}: XXH3 is .*tokenize again"),
        ):
            given.extend(rows(batches) for batches in loader.steps(0, 12))
        assert given == [expected(ordered(opened), SHARDS, step) for step in range(len(given))]
        path.write_bytes(data)
        with Loader(opened, ordered(opened)) as loader:
            assert len(list(loader.steps(0, 12))) == 12


def test_a_batch_is_compared_with_its_checksum_when_it_is_first_needed_and_then_no_more(
    opened: tokens.Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By content: two readers that open one new file at the same moment map it twice, at two addresses.
    hashed: set[int] = set()

    def noting(buffer: pa.Buffer) -> int:
        hashed.add(digest := xxhash.xxh3_64_intdigest(buffer))
        return digest

    monkeypatch.setattr(maps, "xxh3", noting)
    with Loader(opened, ordered(opened, [Phase(1, WEIGHTS, 16, 1)])) as loader:
        list(loader.steps(0, 1))
        assert 1 <= len(hashed) <= 2
        list(loader.steps(1, 60))
        assert len(hashed) == 6
        hashed.clear()
        list(loader.steps(0, 60))
        assert hashed == set()


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("read-", "fetch-"))]


def test_a_rank_without_rows_has_steps_without_batches(opened: tokens.Tokens) -> None:
    order = ordered(opened)
    with Loader(opened, order, rank=0, world=12) as loader:
        assert list(loader.steps(0, 3)) == [(), (), ()]


def test_leaving_in_the_middle_ends_the_threads(opened: tokens.Tokens) -> None:
    with pytest.raises(KeyboardInterrupt), Loader(opened, ordered(opened)) as loader:  # noqa: PT012
        for _ in loader.steps(0, 1_000_000):
            assert alive() == ["read-0", "read-1"]
            raise KeyboardInterrupt
    assert alive() == []
    with pytest.raises(RuntimeError, match="closed"):
        next(loader.steps(0, 1))


def test_a_consumer_may_leave_one_run_of_steps_and_begin_another(opened: tokens.Tokens) -> None:
    order = ordered(opened)
    with Loader(opened, order) as loader:
        for first in range(20):
            ((batch,),) = itertools.islice(loader.steps(first, 1_000_000), 1)
            assert rows((batch,)) == expected(order, SHARDS, first)


def test_reading_waits_for_the_copies_that_the_consumer_began(
    opened: tokens.Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pinned memory a step's place is reused only after the event that follows its copies."""
    done = [threading.Event() for _ in range(12)]
    recorded = iter(done)

    class Event:
        def __init__(self, blocking: bool) -> None:
            assert blocking

        def record(self) -> None:
            self.done = next(recorded)

        def synchronize(self) -> None:
            assert self.done.wait(10)

    devices: list[int] = []
    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    monkeypatch.setattr(torch, "empty", lambda *shape, **kind: empty(*shape, **{**kind, "pin_memory": False}))
    with Loader(opened, ordered(opened), ahead=2, pin=True) as loader:
        steps = loader.steps(0, 12)
        held = next(steps)
        before = kept(held)
        for number in range(12 - 1):
            following = next(steps)
            time.sleep(0.02)
            assert kept(held) == before  # its copies are still on their way
            done[number].set()
            held, before = following, kept(following)
    assert set(devices) == {3}
