"""An exported encoder-decoder is T5Gemma in `transformers`, with our logits and our generated text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import texts
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from corpus.tokenizer import Tokenizer
from corpus.tokenizer.train import fit
from trainer.attention import Documents, Pair
from trainer.config import Model
from trainer.encoder_decoder import EncoderDecoder
from trainer.export import export
from trainer.generate import complete, controls, generate
from trainer.marked import Marked
from trainer.model import build
from trainer.rope import Rope
from trainer.sampling import Sampling
from trainer.shape import shape


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    return Tokenizer(fit((text for _, text in texts()[:20]), "unigram", 400))


def made(pieces: Tokenizer, *, tied: bool = False) -> EncoderDecoder:
    sizes = Model(
        kind="encoder-decoder", depth=2, width=48, head=12, kv_heads=2, hidden=40, qk_norm=False, tied=tied
    )
    model = build(shape(sizes, pieces.vocabulary), 0, "cpu", torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(float(parameter.ndim == 1), 0.2, generator=generator)
    assert isinstance(model, EncoderDecoder)
    model.start = pieces.bos
    return model


def write(model: EncoderDecoder, pieces: Tokenizer, folder: Path) -> Path:
    export(model, pieces, folder / "model", length=64, dtype="float32", card={}, bos=True)
    return folder / "model"


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("rope", [Rope(10_000.0), Rope(50.0, 4.0, 16)])
def test_logits_are_ours(pieces: Tokenizer, tmp_path: Path, tied: bool, rope: Rope) -> None:
    model = made(pieces, tied=tied)
    model.rope = rope
    loaded, report = AutoModelForSeq2SeqLM.from_pretrained(
        write(model, pieces, tmp_path), output_loading_info=True
    )
    assert type(loaded).__name__ == "T5GemmaForConditionalGeneration"
    assert not any(report.values()), report
    generator = torch.Generator().manual_seed(1)
    read, written = (torch.randint(1, pieces.vocabulary, (3, size), generator=generator) for size in (40, 24))
    bounds = [torch.arange(0, 4 * size, size, dtype=torch.int32) for size in (40, 24)]
    pair = Pair(Documents.of(bounds[0], 3, 40, causal=False), Documents.of(bounds[1], 3, 24))
    with torch.inference_mode():
        expected = model.logits(model.hidden(torch.cat([read, written], 1), pair))[..., : pieces.vocabulary]
        found = loaded(input_ids=read, decoder_input_ids=written).logits
    assert found.shape == expected.shape
    assert expected.std() > 0.5
    assert (found - expected).abs().max() < 1e-4


def test_transformers_generates_what_we_do(pieces: Tokenizer, tmp_path: Path) -> None:
    model, marked = made(pieces), Marked(pieces.model)
    folder = write(model, pieces, tmp_path)
    loaded, theirs = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = "Bir <|reserved_0|> gün <|reserved_1|>"
    ids = theirs(text, return_tensors="pt").input_ids
    assert ids[0].tolist() == [pieces.bos, *marked.encode(text)]
    assert set(loaded.generation_config.suppress_tokens) == set(controls(marked))
    assert set(marked.written) & set(controls(pieces)) == set(marked.written)
    found = loaded.generate(ids, do_sample=False, max_new_tokens=20)[0].tolist()
    sampling = Sampling(method="greedy", tokens=20)
    (expected,) = generate(model, [ids[0].tolist()], sampling, eos=pieces.eos, never=controls(marked))
    assert found == [pieces.bos, *expected.ids, *[pieces.eos] * expected.finished]
    assert complete(model, marked, [text], sampling, bos=True) == [marked.decode(list(expected.ids))]
    assert "AutoModelForSeq2SeqLM" in (folder / "README.md").read_text()
    assert theirs.chat_template is None
