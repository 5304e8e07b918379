"""Spans: how many, and a model that learns them writes what was taken out."""

from __future__ import annotations

import pytest
import torch
from span_batches import EOS, SENTINELS, batch_of

from trainer import spans
from trainer.attention import Documents
from trainer.config import Model
from trainer.generate import generate
from trainer.loss import IGNORED
from trainer.model import build
from trainer.objective import Objective, unpack
from trainer.sampling import Sampling
from trainer.shape import shape


def test_a_text_has_no_more_spans_than_there_are_sentinels() -> None:
    rule = spans.Rule(0.15, 3.0, tuple(range(23)))
    size = torch.arange(0, 5000)
    count = rule.spans(size)
    inputs, targets = spans.lengths(rule, size, room=True)
    whole = count == 0
    assert torch.equal(whole, size < 16)
    assert count.max() == 23
    assert torch.equal((inputs + targets)[~whole], size[~whole])
    assert ((targets - 3 * count)[~whole] >= 0).all()  # each a sentinel and two tokens or more
    inputs, targets = spans.lengths(rule, size, room=False)
    assert torch.equal((inputs + targets)[~whole], (size + 2 * count)[~whole])


@pytest.mark.parametrize("room", [False, True])
def test_denoisers_of_a_mixture_take_the_published_shares_in_spans_of_the_published_lengths(
    *, room: bool
) -> None:
    rules = spans.mixture(tuple(range(23)), room=room)
    published = ((20, 0.15, 3), (20, 0.15, 8), (21, 0.25, None), (22, 0.5, 3), (22, 0.5, 8))
    for rule, (mode, share, span) in zip(rules, (*published, (22, 0.15, 64), (22, 0.5, 64)), strict=True):
        size = torch.arange(100, 3000)
        count = rule.spans(size)
        inputs, targets = spans.lengths(rule, size, room=room)
        taken = targets - count
        text = inputs - count - 1 + taken
        assert torch.equal(text, size - 2 * count - 1 if room else size)
        assert ((taken - share * text.double()).abs() <= 0.5 + 1e-9).all()
        assert (rule.mode, len(rule.sentinels)) == (mode, 20)
        if span is None:
            assert (count == 1).all()
            continue
        free = (count > 1) & (count < 20)
        assert free.any()
        # The number of spans is rounded, so their mean length is that of half a span more or less.
        assert ((text.double() * share / span - count)[free].abs() <= 0.51 + share).all()


@pytest.mark.parametrize("paired", [False, True])
def test_only_the_first_batch_copies_constants_to_the_device(
    *, paired: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a copy waits for a GPU."""
    pieces = tuple(range(80, 93))
    learned = Objective("span-corruption", 0.3, pieces, 1, EOS, vocabulary=93, paired=paired, mixed=True)
    made = batch_of([[1, *range(3, 43), EOS]] * 8, 48)
    first = unpack(made, "cpu", learned)
    monkeypatch.delattr(torch, "tensor")
    again = unpack(made, "cpu", learned)
    assert torch.equal(first[0], again[0])


@pytest.mark.parametrize("mixed", [False, True])
def test_a_decoder_that_has_learned_a_text_writes_the_spans_taken_out_of_it(*, mixed: bool) -> None:
    torch.manual_seed(0)
    text = [*torch.randint(3, 80, (29,)).tolist(), EOS]
    pieces = (*range(80, 90), *SENTINELS) if mixed else SENTINELS
    learned = Objective("span-corruption", 0.3, pieces, eos=EOS, vocabulary=93, mixed=mixed)
    made = batch_of([text] * 8, 32)
    model = build(shape(Model(depth=2, width=32, head=8, kv_heads=2), 93), 0, "cpu", torch.float32)
    inputs, targets, documents = unpack(made, "cpu", learned)
    count = learned.count(made).targets
    assert int((targets != IGNORED).sum()) == count
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(150):
        loss, _ = model(inputs, documents, targets)
        (loss / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.detach()) / count < 0.05
    model.whole_prompts = True
    assert documents.prefix is not None
    prompts, wanted = [], []
    for row in range(8):
        prefix = int(documents.prefix.inside[row].sum())
        prompts.append(inputs[row, :prefix].tolist())
        wanted.append([each for each in targets[row].tolist() if each != IGNORED])
    found = generate(model, prompts, Sampling(method="greedy", tokens=24), eos=EOS)
    assert [[*each.ids, EOS] for each in found] == wanted


def test_a_prompt_is_seen_in_both_directions_where_a_model_learned_it_so() -> None:
    model = build(shape(Model(depth=2, width=32, head=8), 93), 0, "cpu", torch.float32)
    model.whole_prompts = True
    ids = torch.randint(3, 93, (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
        made = generate(model, [ids[0].tolist()], Sampling(method="greedy", tokens=8), eos=92)[0].ids
        for place in range(8):
            whole = torch.cat([ids, torch.tensor([made[:place]], dtype=torch.int64)], dim=1)
            inside = (torch.arange(whole.shape[1]) < 20)[None]
            documents = Documents.whole(1, whole.shape[1]).with_prefix(inside)
            assert int(model.logits(model.hidden(whole, documents))[0, -1].argmax()) == made[place]
