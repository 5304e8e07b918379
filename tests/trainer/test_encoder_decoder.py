"""An encoder-decoder keeps documents apart, is counted right, learns a text, and generates what it says."""

from __future__ import annotations

from typing import Any

import packed_attention
import pytest
import torch
from span_batches import EOS, SENTINELS, batch_of
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from trainer import config, optim, parallel
from trainer.attention import Documents, Pair, mask
from trainer.encoder_decoder import EncoderDecoder
from trainer.generate import generate
from trainer.guard import Guard
from trainer.loop import Loop
from trainer.loss import IGNORED
from trainer.model import build
from trainer.objective import Objective, unpack
from trainer.sampling import Sampling
from trainer.shape import flops, shape
from trainer.world import World

BOS = 1
LEARNED = Objective("span-corruption", 0.3, SENTINELS, BOS, EOS, 93, span=2.0, paired=True)


def made(vocabulary: int = 93, **settings: Any) -> EncoderDecoder:
    sizes = {"kind": "encoder-decoder", "depth": 2, "width": 32, "head": 8, "kv_heads": 2, "qk_norm": False}
    model = build(shape(config.Model(**sizes | settings), vocabulary), 0, "cpu", torch.float32)
    assert isinstance(model, EncoderDecoder)
    model.start = BOS
    return model


def texts(*sizes: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [[*torch.randint(3, 80, (size,), generator=generator).tolist(), EOS] for size in sizes]


def pair_of(inputs: list[int], outputs: list[int], read: int, written: int) -> Pair:
    """Return one row of documents that start at these places."""
    return Pair(
        Documents.of(torch.tensor([*inputs, read], dtype=torch.int32), 1, read, causal=False),
        Documents.of(torch.tensor([*outputs, written], dtype=torch.int32), 1, written),
    )


def test_a_document_is_written_from_its_own_input_alone_wherever_it_is() -> None:
    model = made()
    draw(model)
    generator = torch.Generator().manual_seed(1)
    read, written = (torch.randint(3, 80, (1, size), generator=generator) for size in (20, 12))
    tokens = torch.cat([read, written], 1)
    pair = pair_of([0, 8, 15], [0, 5, 9], 20, 12)
    with torch.no_grad():
        whole = model.hidden(tokens, pair)[0]
        for number, (begin, end, first, last) in enumerate([(0, 8, 0, 5), (8, 15, 5, 9), (15, 20, 9, 12)]):
            alone = torch.cat([read[:, begin:end], written[:, first:last]], 1)
            own = model.hidden(alone, pair_of([0], [0], end - begin, last - first))[0]
            torch.testing.assert_close(whole[first:last], own, atol=1e-5, rtol=1e-4)
            changed = tokens.clone()
            changed[:, begin:end] = 5
            changed[:, 20 + first : 20 + last] = 6
            others = torch.ones(12, dtype=torch.bool)
            others[first:last] = False
            found = model.hidden(changed, pair)[0]
            assert torch.equal(found[others], whole[others]), number
            assert not torch.equal(found[~others], whole[~others])


def test_the_decoder_sees_all_of_the_input_and_nothing_that_it_has_yet_to_write() -> None:
    model = made()
    draw(model)
    tokens = torch.randint(3, 80, (1, 20), generator=torch.Generator().manual_seed(1))
    pair = pair_of([0], [0], 12, 8)
    with torch.no_grad():
        before = model.hidden(tokens, pair)[0]
        for place in range(20):
            changed = tokens.clone()
            changed[0, place] = 81
            same = (model.hidden(changed, pair)[0] == before).all(1)
            assert same.tolist() == [place >= 12 and place - 12 > at for at in range(8)]


def draw(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(float(parameter.ndim == 1), 0.2, generator=generator)


@pytest.mark.parametrize("tied", [False, True])
def test_parameters_and_products_are_counted(tied: bool) -> None:
    model = made(tied=tied, kv_heads=1)
    sizes = model.shape
    assert sizes.parameters == sum(parameter.numel() for parameter in model.parameters())
    matrices = {n: p.numel() for n, p in model.named_parameters() if p.ndim == 2 and n.startswith("blocks")}
    assert sizes.non_embedding_parameters == sum(matrices.values())
    encoder = sum(
        size for name, size in matrices.items() if int(name.split(".")[1]) < 2 or "cross.kv" in name
    )
    assert sizes.encoder_parameters == encoder
    assert sizes.matmul_parameters == sum(matrices.values()) - encoder + sizes.rows * sizes.width
    # Three tokens are read and one is written: the weights that each is multiplied by, and the pairs.
    work = 3 * 6 * encoder + 6 * sizes.matmul_parameters + 12 * 2 * sizes.heads * sizes.head * 20
    assert 4 * flops(sizes, 20 / 4, 3 / 4) == pytest.approx(work)


def test_muon_has_the_matrices_of_both_sides_and_their_fused_parts() -> None:
    model = made()
    found = {group.name: group for group in optim.groups(model, config.Optimizer())}
    assert set(found) == {
        *("embedding", "head", "norms", "attention.qkv", "attention.out", "feed.gate_up", "feed.down"),
        *("cross.query", "cross.kv", "cross.out"),
    }
    assert {name for name, group in found.items() if group.rule == "muon"} == {n for n in found if "." in n}
    assert found["cross.kv"].rows == (16, 16)
    assert len(found["attention.qkv"].parameters) == 4
    assert len(found["norms"].parameters) == 2 * 10 + 2


def losses(model: EncoderDecoder, tokens: Tensor, documents: Pair, targets: Tensor) -> list[Tensor]:
    wrapped = parallel.wrap(model, World(0, 1, 0, torch.device("cpu")), "alone", recompute=True)
    loss, _ = wrapped(tokens, documents, targets)
    loss.backward()
    gradients = [p.grad for p in model.parameters()]
    assert all(gradient is not None for gradient in gradients)
    return [loss.detach(), *(gradient for gradient in gradients if gradient is not None)]


def test_it_learns_the_same_by_the_packed_path(monkeypatch: pytest.MonkeyPatch) -> None:
    packed_attention.install()
    tokens, targets, documents = unpack(batch_of(texts(30, 8, 25), 32), "cpu", LEARNED)
    assert isinstance(documents, Pair)
    found = []
    for path in (lambda documents, dtype: documents, mask):
        monkeypatch.setattr("trainer.encoder_decoder.mask", path)
        found.append(losses(made(), tokens, documents, targets))
    for ours, expected in zip(*found, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_a_step_of_texts_too_short_for_spans_learns_nothing() -> None:
    model, world = made(), World(0, 1, 0, torch.device("cpu"))
    settings = config.Optimizer(name="adamw", weight_decay=0.0)
    before = [parameter.clone() for parameter in model.parameters()]
    loop = Loop(model, optim.build(model, settings, world.device), Guard(1.0, 6.0, 5), None, world, LEARNED)
    done = loop.step([batch_of(texts(5, 14), 32)], 1.0)
    assert (done.decision.loss, done.decision.norm, done.decision.skip) == (0.0, 0.0, "")
    assert all(torch.equal(*each) for each in zip(before, model.parameters(), strict=True))


def test_its_blocks_compile_whole_and_once_for_all_documents() -> None:
    model, counter = made(), CompileCounter()
    batches = [unpack(batch_of(texts(*sizes), 32), "cpu", LEARNED) for sizes in ((30, 20), (25, 8))]
    plain = [model(tokens, documents, targets)[0] for tokens, targets, documents in batches]
    for block in model.blocks:
        block.compile(backend=counter, fullgraph=True, dynamic=False)
    compiled = [model(tokens, documents, targets)[0] for tokens, targets, documents in batches]
    torch.testing.assert_close(compiled, plain)
    assert counter.frame_count == 2  # of the encoder and of the decoder


def test_one_that_has_learned_a_text_writes_the_spans_taken_out_of_it() -> None:
    torch.manual_seed(0)
    batch, model = batch_of(texts(29) * 8, 32), made()
    tokens, targets, documents = unpack(batch, "cpu", LEARNED)
    assert isinstance(documents, Pair)
    count = LEARNED.count(batch).targets
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(150):
        loss, nll = model(tokens, documents, targets)
        assert nll.shape == targets.shape
        (loss / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.detach()) / count < 0.05
    prompts, wanted = [], []
    for row in range(8):
        first = documents.inputs.ids[row] == documents.inputs.ids[row, 0]
        prompts.append(tokens[row, :32][first].tolist())
        wanted.append([target for target in targets[row].tolist() if target != IGNORED])
    for settings in ({"method": "greedy"}, {"method": "beam", "beams": 2}):
        found = generate(model, prompts, Sampling(tokens=24, **settings), eos=EOS)  # type: ignore[arg-type]
        assert [[*each.ids, EOS] for each in found] == wanted


def test_cached_generation_is_the_argmax_computed_from_nothing() -> None:
    model = made()
    draw(model)
    prompts = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14]]
    found = generate(model, prompts, Sampling(method="greedy", tokens=10), eos=EOS)
    with torch.no_grad():
        for prompt, text in zip(prompts, found, strict=True):
            written = [BOS]
            while len(written) <= 10 and written[-1] != EOS:
                tokens = torch.tensor([[*prompt, *written]])
                states = model.hidden(tokens, pair_of([0], [0], len(prompt), len(written)))
                written.append(int(model.logits(states)[0, -1].argmax()))
            assert [BOS, *text.ids, *[EOS] * text.finished] == written


def test_what_does_not_fit_is_refused() -> None:
    good = {"model": {"kind": "encoder-decoder", "qk_norm": False}, "objective": {"name": "span-corruption"}}
    config.Config.model_validate(good)
    for part, change, message in (
        ("objective", {"name": "causal"}, 'expected "decoder" for objective.name = "causal"'),
        ("model", {"qk_norm": True}, "as T5Gemma has them"),
        ("model", {"kind": "encoder"}, 'expected "decoder" or "encoder-decoder"'),
        ("model", {"experts": {"count": 4}}, "T5Gemma, the format in which such models are exported, has no"),
    ):
        with pytest.raises(ValueError, match=message):
            config.Config.model_validate({**good, part: {**good[part], **change}})  # type: ignore[dict-item]
