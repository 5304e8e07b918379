"""Bits-per-byte are exact, and of the same whole documents however they are stored, packed and dealt."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from token_shards import write
from torch import Tensor, nn

from corpus import dataset
from corpus.counts import Counts
from corpus.errors import DatasetError
from corpus.schema import TOKENS16
from trainer import evaluate as evaluation
from trainer import tokens
from trainer.attention import Documents
from trainer.config import Model
from trainer.evaluate import Document, Evaluation, Sample, choose, evaluate, pack, standard_error, windows
from trainer.model import build
from trainer.shape import shape

CPU = torch.device("cpu")
VOCABULARY, EOS, BOS = 300, 2, 1
LENGTH = 16


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small products are slower on many threads, and far slower where other work has the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Fake(nn.Module):
    """A model whose nats of each target are a function of the targets and of positions in documents."""

    def __init__(self, nats: Callable[[Tensor, Documents], Tensor]) -> None:
        super().__init__()
        self.nats = nats

    def forward(self, inputs: Tensor, documents: Documents, targets: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.is_grad_enabled()
        assert not self.training
        nll = torch.where(targets >= 0, self.nats(targets, documents).float(), 0.0)
        return nll.sum(), nll


def transformer(vocabulary: int = VOCABULARY) -> nn.Module:
    """Make a small one whose predictions differ from token to token."""
    torch.manual_seed(0)
    model = build(shape(Model(depth=2, width=32, head=16), vocabulary), 0, CPU, torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.3)
    return model


def sample(lengths: Sequence[int] = (3, 40, 1, 17, 16, 90, 7), bos: bool = False, seed: int = 0) -> Sample:
    """Return documents of these lengths in tokens, with EOS but without BOS."""
    random = np.random.default_rng(seed)
    documents = []
    for number, length in enumerate(lengths):
        text = random.integers(3, VOCABULARY, length - 1).tolist()
        ids = np.array([*([BOS] if bos else []), *text, EOS], np.int64)
        language, source = ("aze_Latn", "tur_Latn")[number % 2], ("books", "web")[number % 3 == 0]
        documents.append(Document(language, source, f"{number:032x}", 5 * length + number, ids))
    return Sample(tuple(documents), VOCABULARY, bos)


def write_validation(folder: Path, rows: Iterable[tuple[str, str]], per_batch: int = 3) -> tokens.Tokens:
    """Write documents given by (id, source) as token shards, a file a source; an id says what is in it."""
    units = []
    rows = list(rows)
    for number, source in enumerate(dict.fromkeys(source for _, source in rows)):
        fingerprint = f"{number:016x}"
        path = f"tur_Latn/validation-{source}-{fingerprint}.arrow"
        held = [
            {
                "tokens": [3 + int(name[:2], 16)] * (1 + int(name[2], 16)) + [EOS],
                "bytes": 4 * (1 + int(name[2], 16)),
                "id": name,
                "language": "tur_Latn",
                "source": source,
                "copies": 1,
            }
            for name, of in rows
            if of == source
        ]
        with dataset.create(
            str(folder),
            path,
            TOKENS16,
            fingerprint,
            compression=None,
            language="tur_Latn",
            split="validation",
            source=source,
        ) as slot:
            for first in range(0, len(held), per_batch):
                batch = held[first : first + per_batch]
                slot.arrow.write_tokens(pa.RecordBatch.from_pylist(batch, TOKENS16.schema()))
        assert slot.file is not None
        counts = Counts(seen=len(held), kept=len(held))
        units.append(
            dataset.Unit(name=source, fingerprint=fingerprint, inputs=(), files=(slot.file,), counts=counts)
        )
    facts: dict[str, object] = {
        "tokenizer": "ab",
        "vocabulary": VOCABULARY,
        "padded_vocabulary": 384,
        "eos": EOS,
        "bos": None,
    }
    manifest = dataset.Manifest(stage="tokenize", version=1, settings={}, units=tuple(units), facts=facts)
    dataset.save(str(folder), manifest)
    return tokens.open(str(folder))


ROWS = [
    (f"{number * 7919 % 65536:04x}{number:028x}", ("web", "books")[number % 4 == 0]) for number in range(40)
]


def ids(chosen: Sample) -> list[str]:
    return [document.id for document in chosen.documents]


# --- which documents ---


def test_the_choice_is_the_same_whatever_files_and_batches_hold_the_documents(tmp_path: Path) -> None:
    one = choose(write_validation(tmp_path / "a", ROWS), 6)
    two = choose(write_validation(tmp_path / "b", ROWS[::-1], per_batch=11), 6)
    assert ids(one) == ids(two)
    assert one.digest == two.digest
    assert [(d.language, d.source) for d in one.documents] == (
        [("tur_Latn", "books")] * 6 + [("tur_Latn", "web")] * 6
    )
    for document in one.documents:
        size = 1 + int(document.id[2], 16)
        assert document.tokens.tolist() == [3 + int(document.id[:2], 16)] * size + [EOS]
        assert document.bytes == 4 * size


def test_a_larger_choice_contains_a_smaller_one_and_seeds_differ(tmp_path: Path) -> None:
    opened = write_validation(tmp_path, ROWS)
    assert set(ids(choose(opened, 4))) < set(ids(choose(opened, 8)))
    assert len(choose(opened, 1000).documents) == len(ROWS)
    assert ids(choose(opened, 6, seed=1)) != ids(choose(opened, 6, seed=2))
    assert choose(opened, 6, seed=1).digest != choose(opened, 6, seed=2).digest


def test_the_digest_names_texts_not_tokens() -> None:
    one, two = sample(), sample(bos=True, seed=5)
    assert one.digest == two.digest
    assert sample((3, 40, 1, 17, 16, 90, 8)).digest != one.digest


def test_a_corpus_without_validation_documents_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/web": [[[5, EOS]]]}, split="train")
    with pytest.raises(DatasetError, match="split 'validation'"):
        choose(tokens.open(str(tmp_path)), 5)


# --- which windows ---


@given(st.lists(st.integers(0, 200), max_size=12), st.integers(1, 40))
def test_each_token_but_the_first_is_scored_once_with_half_a_window_before_it(
    sizes: list[int], length: int
) -> None:
    cut = windows(np.array(sizes, np.int64), length)
    scored: dict[tuple[int, int], int] = {}
    for document, start, size, first in cut.tolist():
        assert 0 < size <= length
        assert start + size < sizes[document]
        for offset in range(first, size):
            target, context = start + offset + 1, offset + 1
            assert (document, target) not in scored
            scored[document, target] = context
            assert context == target or context >= length / 2
    assert set(scored) == {(d, t) for d, size in enumerate(sizes) for t in range(1, size)}


@given(st.lists(st.integers(1, 50), max_size=60))
def test_rows_hold_every_piece_once_and_are_well_filled(lengths: list[int]) -> None:
    rows = pack(np.array(lengths, np.int64), 50)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(sum(lengths[piece] for piece in row) <= 50 for row in rows)
    # At most 11/9 of the fewest and one (Johnson 1973), which are at least all tokens by the capacity ...
    # where pieces are small; where they are large, none that fits beside another stands alone.
    loads = sorted(sum(lengths[piece] for piece in row) for row in rows)
    assert len(loads) < 2 or loads[0] + loads[1] > 50


def test_a_piece_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="51 tokens does not fit a row of 50"):
        pack(np.array([51]), 50)


def test_all_batches_have_the_same_shapes() -> None:
    planned = evaluation.plan(sample(range(1, 60)), LENGTH)
    shapes = {
        tuple(tuple(t.shape) for t in planned.batch(first, 4)[:3]) for first in range(0, len(planned.rows), 4)
    }
    assert len(shapes) == 1


# --- which numbers ---


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("length", [1, 4, 16, 1000])
def test_a_uniform_model_costs_log_vocabulary_for_every_token_and_eos(bos: bool, length: int) -> None:
    held = sample(bos=bos)
    uniform = Fake(lambda targets, _: torch.full(targets.shape, math.log(VOCABULARY)))
    total = evaluate(uniform, held, length, CPU).total
    lengths = (3, 40, 1, 17, 16, 90, 7)
    assert total.tokens == sum(lengths)  # BOS is not text, EOS is counted
    assert total.bytes == sum(5 * size + number for number, size in enumerate(lengths))
    assert total.bits_per_byte == pytest.approx(sum(lengths) * math.log2(VOCABULARY) / total.bytes, rel=1e-7)
    assert total.loss == pytest.approx(math.log(VOCABULARY), rel=1e-7)
    assert total.perplexity == pytest.approx(VOCABULARY, rel=1e-6)


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 384])
def test_rows_of_padding_in_the_vocabulary_cost_nothing(vocabulary: int) -> None:
    model = transformer(vocabulary)
    with torch.no_grad():
        model.head.weight.zero_()  # type: ignore[union-attr,operator]
    assert model.head.weight.shape[0] == 384  # type: ignore[union-attr]
    loss = evaluate(model, sample(bos=True), LENGTH, CPU).total.loss
    assert loss == pytest.approx(math.log(vocabulary), rel=1e-6)


def test_eos_is_counted_in_the_bits() -> None:
    only_eos = Fake(lambda targets, _: torch.where(targets == EOS, 3 * math.log(2), 0.0))
    held = sample(bos=True)
    assert evaluate(only_eos, held, LENGTH, CPU).nll == pytest.approx([3 * math.log(2)] * 7)


def test_bits_per_byte_are_all_bits_over_all_bytes() -> None:
    held = sample()
    nll = np.arange(1.0, 8.0) * np.log(2)
    made = Evaluation(held, nll)
    assert made.total.bits_per_byte == pytest.approx(28 / held.bytes.sum())
    assert [score.name for score in made.scores] == [
        *("all", "aze_Latn", "tur_Latn", "*/books", "*/web"),
        *("aze_Latn/books", "aze_Latn/web", "tur_Latn/books", "tur_Latn/web"),
    ]
    by_name = {score.name: score for score in made.scores}
    assert by_name["tur_Latn"].bits_per_byte == pytest.approx((2 + 4 + 6) / held.bytes[1::2].sum())
    assert by_name["*/web"].nll == pytest.approx((1 + 4 + 7) * math.log(2))
    for level in (["aze_Latn", "tur_Latn"], ["*/books", "*/web"]):
        for field in ("documents", "tokens", "bytes", "nll"):
            parts = sum(getattr(by_name[name], field) for name in level)
            assert parts == pytest.approx(getattr(made.total, field))
    assert [record["bits"] for record in made.records()] == pytest.approx(list(range(1, 8)))
    assert json.loads(json.dumps([asdict(score) for score in made.scores]))[0]["documents"] == 7


@pytest.mark.parametrize("bos", [False, True])
def test_documents_score_as_if_each_were_alone(bos: bool) -> None:
    model, held = transformer().eval(), sample(bos=bos)
    found = evaluate(model, held, LENGTH, CPU).nll
    with torch.no_grad():
        for document, nll in zip(held.documents, found, strict=True):
            ids = torch.from_numpy(document.tokens)
            alone = 0.0 if bos else math.log(VOCABULARY)
            for target in range(1, len(ids)):
                # The window's start, computed independently: half windows from where the first cannot reach.
                start = max(0, -(-(target - LENGTH) // (LENGTH // 2))) * (LENGTH // 2)
                context = ids[None, start:target]
                logits = model.logits(model.hidden(context, Documents.whole(1, context.shape[1], CPU)))
                alone -= float(torch.log_softmax(logits[0, -1, :VOCABULARY].double(), 0)[ids[target]])
            assert nll == pytest.approx(alone, rel=1e-5)


def test_the_order_of_documents_does_not_matter() -> None:
    model, held = transformer(), sample()
    turned = Sample(held.documents[::-1], VOCABULARY, False)
    one, two = (evaluate(model, s, LENGTH, CPU).nll for s in (held, turned))
    assert one == pytest.approx(two[::-1], rel=1e-6)


def test_rows_at_once_do_not_matter() -> None:
    model, held = transformer(), sample(range(1, 40, 3))
    scores = [evaluate(model, held, LENGTH, CPU, micro_batch=rows).nll for rows in (0, 1, 3, 64)]
    for other in scores[1:]:
        assert other == pytest.approx(scores[0], rel=1e-6)


class Ranks:
    """Stands for the ranks of a run, one after the other: the last one has the sums of all."""

    def __init__(self, size: int) -> None:
        self.rank, self.size = 0, size
        self.sums: list[Tensor] = []

    def of(self, rank: int) -> Any:
        self.rank = rank
        return self

    def total(self, values: Tensor) -> Tensor:
        self.sums = [*self.sums[: self.rank], values.clone()]
        return torch.stack(self.sums).sum(0)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_number_of_ranks_does_not_matter(size: int) -> None:
    model, held, ranks = transformer(), sample(range(1, 40, 3)), Ranks(size)
    for rank in range(size):
        made = evaluate(model, held, LENGTH, CPU, ranks.of(rank), micro_batch=2)
    alone = evaluate(model, held, LENGTH, CPU, micro_batch=2)
    assert np.array_equal(made.nll, alone.nll)
    assert (torch.stack(ranks.sums) != 0).sum(0).max() == 1  # so that the order of adding means nothing


def test_ranks_call_the_model_equally_often() -> None:
    """A sharded model waits for ever where one rank calls it once more than another."""
    calls = [0, 0]
    held, ranks = sample((LENGTH + 1,) * 5), Ranks(2)
    assert len(evaluation.plan(held, LENGTH).rows) == 5
    for rank in range(2):

        def count(targets: Tensor, _: Documents, rank: int = rank) -> Tensor:
            calls[rank] += 1
            return torch.zeros(targets.shape)

        evaluate(Fake(count), held, LENGTH, CPU, ranks.of(rank), micro_batch=1)
    assert calls == [3, 3]


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = transformer().train(training)
    evaluate(model, sample(), LENGTH, CPU)
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


# --- how sure ---


def drawn(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.exp(random.normal(7, 1, count)).astype(np.int64) + 1
    return sizes * random.normal(1.0, 0.2, count) + 20, sizes


def test_the_standard_error_is_nearly_the_delete_one_jackknife() -> None:
    bits, sizes = drawn(np.random.default_rng(0), 400)
    left_out = (bits.sum() - bits) / (sizes.sum() - sizes)
    jackknife = math.sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert standard_error(bits, sizes) == pytest.approx(jackknife, rel=0.05)


def test_the_standard_error_is_the_deviation_over_samples() -> None:
    random = np.random.default_rng(1)
    ratios, errors = [], []
    for _ in range(1500):
        bits, sizes = drawn(random, 300)
        ratios.append(bits.sum() / sizes.sum())
        errors.append(standard_error(bits, sizes))
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)


def test_the_standard_error_of_all_leaves_out_what_streams_differ_by() -> None:
    random = np.random.default_rng(2)
    ratios, errors, pooled = [], [], []
    strata = np.repeat([0, 1], 100)
    for _ in range(800):
        sizes = random.integers(500, 1500, 200)
        bits = sizes * (np.repeat([0.5, 1.5], 100) + random.normal(0, 0.1, 200))
        ratios.append(bits.sum() / sizes.sum())
        errors.append(standard_error(bits, sizes, strata))
        pooled.append(standard_error(bits, sizes))
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)
    assert np.mean(pooled) > 2 * np.mean(errors)


def test_documents_that_all_have_the_same_ratio_leave_no_doubt() -> None:
    sizes = np.array([10, 200, 3000])
    assert standard_error(0.7 * sizes, sizes) == pytest.approx(0, abs=1e-12)
    assert math.isnan(standard_error(np.array([3.0]), np.array([4])))
    lonely = standard_error(np.array([9.0, 10.0, 11.0]), np.array([10, 10, 10]), np.array([0, 0, 1]))
    assert math.isfinite(lonely)
