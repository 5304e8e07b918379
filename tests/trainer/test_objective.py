"""Objectives rewrite batches by a key alone: no count changes, and masks are as published."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from token_shards import tokenizer, write
from torch import Tensor

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import RESERVED
from trainer import config, spans, tokens, words
from trainer.loader import Batch, Loader
from trainer.loss import IGNORED
from trainer.objective import CAUSAL, Objective, objective, unpack
from trainer.order import Order, Phase

CPU = torch.device("cpu")
PRE, SUF, MID, MASK, BOS, EOS = 1001, 1002, 1003, 1004, 1, 2
FIM = Objective("fill-in-the-middle", 1.0, (PRE, SUF, MID), BOS, EOS, 1000)
MASKED = Objective("masked", 0.3, (MASK,), BOS, EOS, 1000)


def batch_of(documents: list[int], length: int, lengths: int, key: int, bos: bool) -> Batch:
    """Make a row of documents of these sizes, of numbered tokens, with at most `lengths` real targets."""
    row, starts = [], [0]
    for size in documents:
        text = [3 + (len(row) + place) % 900 for place in range(size)]
        text[-1] = EOS
        if bos and size > 1:
            text[0] = BOS
        row += text
        starts.append(len(row))
    lengths, ends = min(lengths, len(row) - 1), min(lengths, len(row) - 1) in starts
    row = (row + [0] * (length + 1))[: length + 1]
    row[lengths + 1 :] = [0] * (length - lengths)
    starts = sorted(
        {start for start in starts if start < lengths} | ({lengths} if lengths < length else set())
    )
    starts += [length] * (length + 1 - len(starts))
    inside = [start for start in starts if 0 < start < lengths]
    sizes = torch.tensor([0, *inside, lengths]).diff()
    return Batch(
        torch.tensor([row], dtype=torch.int32),
        torch.tensor(starts, dtype=torch.int32),
        torch.tensor([lengths], dtype=torch.int32),
        torch.tensor([ends]),
        torch.tensor([key]),
        targets=lengths - len(inside) - ends,
        attended=int((sizes * (sizes + 1) // 2).sum()),
        documents=len(sizes),
    )


def example(learned: Objective, made: Batch) -> tuple[list[int], list[int]]:
    inputs, targets, _ = unpack(made, CPU, learned)
    assert int((targets != IGNORED).sum()) == learned.count(made).targets
    return inputs[0].tolist(), targets[0].tolist()


rows = st.builds(
    batch_of,
    st.lists(st.integers(2, 40), min_size=1, max_size=6),
    st.just(48),
    st.integers(1, 48),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)


@given(rows)
@settings(max_examples=60)
def test_filling_in_moves_tokens_inside_documents_and_changes_no_count(made: Batch) -> None:
    before, expected = example(CAUSAL, made)
    inputs, targets = example(FIM, made)
    assert [t == IGNORED for t in targets] == [t == IGNORED for t in expected]
    places = [place for place, start in enumerate(made.cu_seqlens.tolist()) if start < 48][: made.documents]
    bounds = [int(made.cu_seqlens[place]) for place in places] + [int(made.lengths)]
    for begin, end in pairwise(bounds):
        whole = before[begin:end] + ([expected[end - 1]] if expected[end - 1] != IGNORED else [])
        found = inputs[begin:end] + ([targets[end - 1]] if expected[end - 1] != IGNORED else [])
        text = [token for token in whole if token not in (BOS, EOS)]
        if PRE not in found:
            assert found == whole
            assert len(text) < 8 or len(whole) - len(text) > 2
            continue
        assert (found[0] == BOS) == (whole[0] == BOS)
        assert (found[-1] == EOS) == (whole[-1] == EOS)
        body = [token for token in found if token not in (BOS, EOS)]
        one, two, three = (body.index(piece) for piece in (PRE, SUF, MID))
        assert one == 0
        prefix, suffix, middle = body[1:two], body[two + 1 : three], body[three + 1 :]
        assert prefix + middle + suffix == text[:-3]
    for place, target in enumerate(targets[: int(made.lengths) - 1]):
        assert target in (IGNORED, inputs[place + 1])


def test_documents_are_cut_at_a_rate_and_everywhere() -> None:
    half = Objective("fill-in-the-middle", 0.5, (PRE, SUF, MID), BOS, EOS, 1000)
    cut, lengths = 0, set()
    for key in range(400):
        inputs, _ = example(half, batch_of([30, 2], 48, 30, key, bos=True))
        if PRE in inputs:
            cut += 1
            assert inputs[:2] == [BOS, PRE]
            lengths.add(inputs.index(SUF) - 2)
    assert 160 < cut < 240
    assert set(range(15)) <= lengths <= set(range(26))  # the first of two cuts


@given(rows)
@settings(max_examples=40)
def test_a_fixed_number_of_tokens_is_masked_in_each_row(made: Batch) -> None:
    inputs, targets = example(MASKED, made)
    original = made.tokens[0, :48].tolist()
    assert [t for t in targets[int(made.lengths) :] if t != IGNORED] == []
    for place, target in enumerate(targets):
        if target == IGNORED:
            assert inputs[place] == original[place]
        else:
            assert target == original[place]
    text = sum(token not in (BOS, EOS) for token in original[: int(made.lengths)])
    chosen = [target for target in targets if target != IGNORED]
    assert sum(target in (BOS, EOS) for target in chosen) == max(0, len(chosen) - text)


def test_of_the_masked_most_are_hidden_some_are_other_tokens_and_some_stay() -> None:
    kinds = {"mask": 0, "same": 0, "other": 0}
    for key in range(300):
        inputs, targets = example(MASKED, batch_of([60], 48, 47, key, bos=False))
        for found, target in zip(inputs, targets, strict=True):
            if target != IGNORED:
                kinds["mask" if found == MASK else "same" if found == target else "other"] += 1
    total = sum(kinds.values())
    assert total == 300 * 14
    assert kinds["mask"] / total == pytest.approx(0.8, abs=0.03)
    assert kinds["other"] / total == pytest.approx(0.1, abs=0.03)


@given(rows, st.integers(0, 3), st.floats(0.05, 1.0))
@settings(max_examples=80)
def test_whole_words_are_masked_and_the_share_is_kept_to_half_a_word(
    made: Batch, seed: int, share: float
) -> None:
    kinds = torch.randint(0, 3, (1005,), generator=torch.Generator().manual_seed(seed), dtype=torch.int8)
    kinds[[BOS, EOS]] = words.ALONE
    learned = Objective("masked", share, (MASK,), BOS, EOS, 1000, words=kinds)
    inputs, targets = example(learned, made)
    assert example(learned, made) == (inputs, targets)
    count, starts = int(made.lengths), set(made.cu_seqlens.tolist())
    original = made.tokens[0, :count].tolist()
    kind = [int(kinds[token]) for token in original]
    heads = [
        place for place in range(count) if place in starts or kind[place] or kind[place - 1] == words.ALONE
    ]
    chosen = [target != IGNORED for target in targets]
    assert not any(chosen[count:])
    sizes = []
    for begin, end in pairwise([*heads, count]):
        assert len(set(chosen[begin:end])) == 1
        sizes.append(end - begin)
    wanted = max(1, round(count * share))
    first_alone = any(chosen[begin] and size == sum(chosen) for begin, size in zip(heads, sizes, strict=True))
    assert 2 * abs(sum(chosen) - wanted) <= max(sizes) or first_alone


def test_words_are_masked_as_often_as_tokens() -> None:
    made = Tokenizer(tokenizer())
    learned = objective(config.Objective(name="masked", words=True, share=0.2), made)
    ids = made.encode("Türkiye'nin en kalabalık kenti İstanbul'dur. Başkenti Ankara, üçüncüsü İzmir.\n")
    total = 0
    for key in range(300):
        batch = batch_of([480], 480, 479, key, bos=False)
        batch.tokens[0] = torch.tensor((ids * 9)[:481], dtype=torch.int32)
        total += learned.count(batch).targets
    assert total / 300 / 479 == pytest.approx(0.2, abs=0.01)


def test_a_word_starts_at_the_mark_of_a_blank_and_signs_are_alone() -> None:
    made = Tokenizer(tokenizer())
    kinds = words.kinds(made)
    assert len(kinds) == made.vocabulary
    ids = [made.bos, *made.encode("Bir ev: 2 bin lira\nama sonra (belki) bir başka")]
    first = torch.zeros(1, len(ids), dtype=torch.bool)
    first[0, 0] = True
    begins = words.starts(torch.tensor([ids]), first, kinds)[0].tolist()
    cut: list[list[int]] = []
    for id, start in zip(ids, begins, strict=True):
        cut = [*cut, [id]] if start else [*cut[:-1], [*cut[-1], id]]
    found = [made.decode(word) for word in cut]
    assert found[:2] == ["", "Bir"]
    assert "".join(found) == "Bir ev: 2 bin lira\nama sonra (belki) bir başka"
    assert {" ev", ":", " 2", " bin", " lira", "\n", "ama", " sonra", " başka"} <= set(found)


SPANS = Objective("span-corruption", 0.3, tuple(range(1010, 1014)), BOS, EOS, 1000, span=2.0)

MIXED = replace(SPANS, share=0.0, pieces=tuple(range(1010, 1017)), mixed=True)
MODES = MIXED.pieces[-3:]


@given(rows, st.sampled_from([SPANS, MIXED]))
@settings(max_examples=200)
def test_every_token_of_a_text_is_input_or_target_once_but_those_that_make_room(
    made: Batch, learned: Objective
) -> None:
    before, expected = example(CAUSAL, made)
    inputs, targets = example(learned, made)
    assert example(learned, made) == (inputs, targets)
    _, _, documents = unpack(made, CPU, learned)
    assert documents.prefix is not None
    given_ = documents.prefix.inside[0].tolist()
    places = [place for place, start in enumerate(made.cu_seqlens.tolist()) if start < 48][: made.documents]
    bounds = [int(made.cu_seqlens[place]) for place in places] + [int(made.lengths)]
    pairs = 0
    for begin, end in pairwise(bounds):
        last = [expected[end - 1]] if expected[end - 1] != IGNORED else []
        whole, found = before[begin:end] + last, inputs[begin:end] + ([targets[end - 1]] if last else [])
        text = [token for token in whole if token not in (BOS, EOS)]
        prefix = sum(given_[begin:end])
        assert given_[begin:end] == [True] * prefix + [False] * (end - begin - prefix)
        pairs += sum(max(prefix, place + 1) for place in range(end - begin))
        wanted = [*found[1:], IGNORED][: end - begin] if not last else found[1:]
        if not prefix:
            assert len(text) < 16
            assert found == whole
            assert targets[begin:end] == wanted
            continue
        assert targets[begin:end] == [IGNORED] * (prefix - 1) + wanted[prefix - 1 :]
        assert (found[0] == BOS) == (whole[0] == BOS)
        assert (found[-1] == EOS) == (whole[-1] == EOS)
        source, rest = ([t for t in part if t not in (BOS, EOS)] for part in (found[:prefix], found[prefix:]))
        room = 0
        if learned.mixed:
            assert source.pop(0) in MODES
            room = 1
        spans_: dict[int, list[int]] = {}
        for token in rest:
            if token in learned.pieces:
                spans_[token] = []
            else:
                spans_[list(spans_)[-1]].append(token)
        count = len(spans_)
        assert tuple(spans_) == learned.pieces[:count] == tuple(t for t in source if t in learned.pieces)
        assert all(spans_.values())
        filled = [each for token in source for each in spans_.get(token, [token])]
        assert filled == text[: len(text) - 2 * count - room]  # in order, and each of them once
        assert source[0] not in learned.pieces
        assert not any(one in learned.pieces and two in learned.pieces for one, two in pairwise(source))
    counted = learned.count(made)
    assert (counted.attended, counted.targets) == (pairs, sum(target != IGNORED for target in targets))


@pytest.mark.parametrize("paired", [False, True])
def test_a_mixture_draws_each_denoiser_as_often_as_another_and_names_its_mode(*, paired: bool) -> None:
    learned, size = replace(MIXED, pieces=tuple(range(1010, 1033)), paired=paired), 120
    found: Counter[tuple[int, int, int]] = Counter()
    for key in range(700):
        made = batch_of([size + 1], size, size, key, bos=False)
        inputs, targets = (each[0].tolist() for each in unpack(made, CPU, learned)[:2])
        wanted = [target for target in targets if target not in (IGNORED, EOS)]
        count = sum(token >= 1010 for token in wanted)
        found[inputs[0], count, len(wanted) - count] += 1
        if inputs[0] == 1031:  # S writes the last quarter
            text = size if paired else size - 3
            assert wanted[1:] == list(range(3 + text - round(text / 4), 3 + text))
    drawn = {
        (rule.mode, int(rule.spans(torch.tensor(size))), int(written - rule.spans(torch.tensor(size))))
        for rule in learned.rules
        for _, written in [spans.lengths(rule, torch.tensor(size), room=not paired)]
    }
    assert set(found) == drawn
    assert len(drawn) == 7
    assert all(70 < times < 130 for times in found.values())


def test_spans_are_of_the_stated_share_and_length_and_anywhere() -> None:
    learned = replace(SPANS, share=0.15, span=3.0, pieces=tuple(range(1010, 1033)))
    taken, places, sizes = 0, set(), set()
    for key in range(200):
        inputs, targets = example(learned, batch_of([402], 400, 400, key, bos=False))
        wanted = [target for target in targets if target != IGNORED]
        starts = [place for place, token in enumerate(wanted) if token >= 1010]
        assert len(starts) == 20
        sizes |= {end - begin - 1 for begin, end in pairwise([*starts, len(wanted)])}
        taken += len(wanted) - 20
        places |= {place for place, token in enumerate(inputs[:300]) if token >= 1010}
    assert taken / 200 / 361 == pytest.approx(0.15, abs=0.001)
    assert {1, 2, 3, 4, 5, 6, 7, 8} <= sizes
    assert len(places) > 280


def test_an_encoder_sees_its_document_in_both_directions() -> None:
    made = batch_of([10, 30], 48, 30, 0, bos=False)
    _, _, documents = unpack(made, CPU, MASKED)
    assert not documents.causal
    assert MASKED.count(made).attended == 10 * 10 + 20 * 20
    assert CAUSAL.count(made).attended == 55 + 210


def keys_of(corpus: tokens.Tokens, micro_batch: int, world: int) -> Tensor:
    order = Order(tokens.streams(corpus), [Phase(16 * 6 * 5, {"tur_Latn/web": 1.0}, 16, 6)], 5)
    found = []
    for rank in range(world):
        with Loader(corpus, order, rank=rank, world=world, micro_batch=micro_batch) as loader:
            found.append([torch.cat([b.keys.clone() for b in batches]) for batches in loader.steps(2, 5)])
    return torch.cat([torch.cat(step) for step in zip(*found, strict=True)])


def test_a_window_has_its_key_on_any_rank_and_other_windows_have_others(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/web": [[[5] * 30 + [2]] * 40]})
    opened = tokens.open(str(tmp_path))
    keys = keys_of(opened, 0, 1)
    assert torch.equal(keys, keys_of(opened, 32, 2))
    assert len(set(keys.tolist())) == len(keys)


def test_the_pieces_are_those_that_the_tokenizer_reserves() -> None:
    made = Tokenizer(tokenizer())
    ids = [made.control(name) for name in RESERVED]
    assert len(RESERVED) == len(set(ids)) == 32
    assert None not in ids
    found = objective(config.Objective(name="masked"), made)
    assert found.pieces == (made.control("<|mask|>"),)
    assert made.control("bir") is None
    assert made.encode("<|mask|>")[:1] != [found.pieces[0]]  # no text gets the id of a control piece
    assert objective(config.Objective(), made) == CAUSAL


def test_a_tokenizer_without_these_pieces_is_refused() -> None:
    class Bare:
        def control(self, name: str) -> None:
            return None

    with pytest.raises(ConfigError, match=r"objective\.name = \"masked\": the tokenizer has no <\|mask\|>"):
        objective(config.Objective(name="masked"), Bare())  # type: ignore[arg-type]
