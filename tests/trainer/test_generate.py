"""What is generated is what the model says, however it is batched, cached and searched."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from support import texts
from torch import Tensor
from torch.nn import functional

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import RESERVED
from corpus.tokenizer.train import fit
from trainer.attention import Documents
from trainer.generate import Generated, complete, controls, generate, stream
from trainer.model import Transformer, build
from trainer.sampling import Sampling
from trainer.shape import Shape

EOS = 2
NEVER = (0, 1)
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [5, 6]]


def model(vocabulary: int = 40, seed: int = 0, sharp: float = 0.3) -> Transformer:
    shape = Shape(
        layers=2,
        width=32,
        heads=4,
        kv_heads=2,
        head=8,
        hidden=48,
        vocabulary=vocabulary,
        rows=-(-vocabulary // 128) * 128,
        activation="swiglu",
        tied=False,
        qk_norm=True,
        rope_base=10_000.0,
        soft_cap=0.0,
    )
    made = build(shape, seed, "cpu", torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # a new model's logits are all nearly 0
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, sharp, generator=generator)
    return made


@torch.no_grad()
def states(model: Transformer, ids: Sequence[int]) -> Tensor:
    return model.hidden(torch.tensor([ids]), Documents.whole(1, len(ids), "cpu"))[0]


def logits(model: Transformer, ids: Sequence[int]) -> Tensor:
    """Compute the next token's logits from nothing, without what cannot come."""
    found = model.logits(states(model, ids)[-1]).detach()
    found[list(NEVER)] = -torch.inf
    return found


def every_text(model: Transformer, prompt: Sequence[int], most: int) -> dict[tuple[int, ...], float]:
    """Return the log-probability of each text of at most `most` tokens that ends with EOS or at the limit."""
    found: dict[tuple[int, ...], float] = {}
    going: dict[tuple[int, ...], float] = {(): 0.0}
    for length in range(1, most + 1):
        longer: dict[tuple[int, ...], float] = {}
        for ids, so_far in going.items():
            coming = logits(model, [*prompt, *ids]).double().log_softmax(-1).tolist()
            for id in range(2, model.shape.vocabulary):
                over = id == EOS or length == most
                (found if over else longer)[(*ids, id)] = so_far + coming[id]
        going = longer
    return found


def run(model: Transformer, prompts: Sequence[Sequence[int]], **settings: object) -> list[Generated]:
    return generate(model, prompts, Sampling(**settings), eos=EOS, never=NEVER)  # type: ignore[arg-type]


def test_cached_greedy_generation_is_the_argmax_computed_from_nothing() -> None:
    tiny = model()
    for prompt, made in zip(PROMPTS, run(tiny, PROMPTS, method="greedy", tokens=24), strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 24 and ids[-1] != EOS:
            ids.append(int(logits(tiny, ids).argmax()))
        assert [*prompt, *made.ids, *[EOS] * made.finished] == ids


def test_a_text_ends_with_eos_or_at_the_limit() -> None:
    tiny = model()
    ended = run(tiny, PROMPTS, method="greedy", tokens=20, bias={EOS: 1e6})
    assert ended == [Generated((), True)] * len(PROMPTS)
    limited = run(tiny, PROMPTS, method="greedy", tokens=20, bias={EOS: -1e6})
    assert [(len(made.ids), made.finished) for made in limited] == [(20, False)] * len(PROMPTS)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 4},
        {"seed": 4, "temperature": 0.8, "top_k": 12, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.3},
        {"method": "beam", "beams": 3},
        {"method": "contrastive"},
    ],
    ids=["sample", "truncated", "beam", "contrastive"],
)
def test_a_text_does_not_hang_on_the_others_of_its_batch(settings: dict[str, object]) -> None:
    tiny = model(sharp=0.2)
    together = run(tiny, PROMPTS, tokens=16, **settings)
    assert len({made.finished for made in together} | {len(made.ids) for made in together}) > 1
    assert together == [run(tiny, [prompt], tokens=16, **settings)[0] for prompt in PROMPTS]
    assert together[::-1] == run(tiny, PROMPTS[::-1], tokens=16, **settings)


def test_equal_prompts_give_different_samples_and_a_seed_gives_them_again() -> None:
    tiny = model(sharp=0.15)
    some = run(tiny, [[5, 6]] * 4, tokens=8, seed=1)
    assert len(set(some)) == 4
    assert some == run(tiny, [[5, 6]] * 4, tokens=8, seed=1)
    assert some != run(tiny, [[5, 6]] * 4, tokens=8, seed=2)


def test_a_longer_limit_goes_on_from_the_same_text() -> None:
    tiny = model()
    short, long = (run(tiny, [[5, 6]], tokens=n, bias={EOS: -1e6})[0].ids for n in (5, 15))
    assert long[:5] == short


def test_padding_and_control_ids_are_never_made() -> None:
    tiny = model(sharp=0.05)  # nearly equal logits: of 128 rows, 40 are a vocabulary
    made = run(tiny, [[5, 6]] * 50, tokens=40, bias={EOS: -1e6, 0: 50.0})
    found = {id for text in made for id in text.ids}
    assert found == set(range(40)) - {0, 1, EOS}


def test_one_beam_is_greedy() -> None:
    for seed in range(5):
        tiny = model(seed=seed)
        for settings in ({}, {"repetition_penalty": 1.4, "bias": {7: 2.0}}):
            greedy = run(tiny, PROMPTS, method="greedy", tokens=12, **settings)
            assert run(tiny, PROMPTS, method="beam", beams=1, tokens=12, **settings) == greedy


def test_a_wide_beam_finds_the_best_text_of_all() -> None:
    for seed in range(3):
        tiny, prompt, most = model(vocabulary=7, seed=seed), [5, 6], 3
        texts = every_text(tiny, prompt, most)
        assert len(texts) == 1 + 4 + 4 * 4 * 5
        for penalty in (0.0, 0.7, 1.0, 2.0):
            best = max(texts, key=lambda ids: texts[ids] / len(ids) ** penalty)
            settings = {"method": "beam", "beams": len(texts), "tokens": most, "length_penalty": penalty}
            (made,) = run(tiny, [prompt], **settings)
            assert (*made.ids, *[EOS] * made.finished) == best


def test_a_length_penalty_makes_texts_longer() -> None:
    tiny = model(sharp=0.15)
    lengths = []
    for penalty in (0.0, 1.0, 3.0):
        settings = {"method": "beam", "tokens": 12, "length_penalty": penalty, "bias": {EOS: 1.0}}
        lengths.append(sum(len(made.ids) for made in run(tiny, PROMPTS, **settings)))
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_contrastive_search_is_its_equation() -> None:
    tiny, k, alpha = model(), 5, 0.6
    for prompt, made in zip(
        PROMPTS, run(tiny, PROMPTS, method="contrastive", candidates=k, alpha=alpha, tokens=10), strict=True
    ):
        ids = list(prompt)
        while len(ids) < len(prompt) + 10 and ids[-1] != EOS:
            likely = logits(tiny, ids).softmax(-1)
            scores = {}
            for id in likely.topk(k).indices.tolist():
                every = functional.normalize(states(tiny, [*ids, id]), dim=-1)
                scores[id] = (1 - alpha) * likely[id] - alpha * (every[:-1] @ every[-1]).max()
            ids.append(max(scores, key=lambda id: float(scores[id])))
        assert [*prompt, *made.ids, *[EOS] * made.finished] == ids


def test_a_repetition_penalty_counts_the_prompt_and_what_was_made() -> None:
    tiny = model()
    (made,) = run(tiny, [[5, 6]], method="greedy", tokens=12, repetition_penalty=1e6, bias={EOS: -1e9})
    assert len(set(made.ids)) == 12
    assert not {5, 6} & set(made.ids)


def test_bfloat16_generates() -> None:
    tiny = model()
    tiny.compute_dtype = torch.bfloat16
    for method in ("sample", "beam", "contrastive"):
        assert all(made.ids for made in run(tiny, PROMPTS, method=method, tokens=4, bias={EOS: -1e6}))


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        ([[5], []], {}, "prompt 1 is empty"),
        ([[5, 40]], {}, "a prompt: id 40 is outside the model's range, 0 to 39"),
        ([[5]], {"bias": {-3: 1.0}}, "sampling.bias: id -3"),
    ],
)
def test_what_the_model_cannot_read_is_named(
    prompts: list[list[int]], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(model(), prompts, **settings)


def test_no_prompts_give_no_texts() -> None:
    assert run(model(), []) == []


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    return Tokenizer(fit((text for _, text in texts()), "unigram", 400))


@pytest.mark.parametrize("method", ["sample", "greedy", "beam", "contrastive"])
def test_a_stream_is_the_completed_text_in_pieces_of_whole_letters(pieces: Tokenizer, method: str) -> None:
    tiny = model(pieces.vocabulary, sharp=0.1)
    settings = Sampling(method=method, tokens=60)  # type: ignore[arg-type]
    parts = list(stream(tiny, pieces, "Bir gün", settings, bos=True))
    assert "".join(parts) == complete(tiny, pieces, ["Bir gün"], settings, bos=True)[0]
    assert all(parts)


def test_letters_of_several_tokens_stream_when_they_are_whole(
    pieces: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = pieces.encode("a🜁b🜁")[:-1]  # the last sign lacks its last byte
    monkeypatch.setattr("trainer.generate.steps", lambda *_, **__: [[(0, id)] for id in ids])
    parts = list(stream(model(pieces.vocabulary), pieces, "Bir", Sampling(), bos=True))
    assert parts == ["a", "🜁", "b", "\ufffd\ufffd\ufffd"]


def test_control_pieces_are_unknown_bos_and_the_reserved(pieces: Tokenizer) -> None:
    assert controls(pieces) == (0, pieces.bos, *(pieces.control(name) for name in RESERVED))


def test_an_empty_prompt_needs_a_bos(pieces: Tokenizer) -> None:
    tiny = model(pieces.vocabulary)
    settings = Sampling(tokens=3)
    assert len(complete(tiny, pieces, ["", "Bir"], settings, bos=True)) == 2
    with pytest.raises(ConfigError, match="prompt 0 is empty"):
        complete(tiny, pieces, [""], settings, bos=False)
