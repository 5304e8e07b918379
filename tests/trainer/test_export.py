"""What `transformers` loads of an export is our model and our tokenizer."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import sentencepiece as spm
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from support import texts
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from corpus.errors import ConfigError, DatasetError
from corpus.privacy import KINDS
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.reserved import END, MASK, RESERVED, ROLES
from corpus.tokenizer.train import BOS, EOS, fit
from trainer import sentencepiece_file
from trainer.attention import Documents
from trainer.config import Experts, Model
from trainer.experts import Router
from trainer.export import FILES, export
from trainer.fast_tokenizer import convert, merges
from trainer.generate import controls, generate
from trainer.model import Transformer, build
from trainer.rope import Rope
from trainer.sampling import Sampling
from trainer.shape import shape

HARD = st.sampled_from(
    [
        *" \n\t\r\0aıiİI'’7▁▅⁇\u00a0\u200d\u202e\u0307\ufeff\ufffd\ue000شع的<|>",
        *(
            "👨‍👩‍👧",
            "i\u0307",
            "  ",
            "\n\n",
            " a",
            "ve ",
            " bir",
            "'nin",
            "aaaa",
            "Türkiye'nin",
            "email",
            "0x",
        ),
        *("<unk>", "<s>", "<0x41>", "<0x0A>", BOS, EOS, *(f"<|{kind}|>" for kind in KINDS)),
    ]
)
TEXTS = st.lists(HARD | st.text(max_size=5), max_size=16).map("".join)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def ours(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer(fit((text for _, text in texts()), request.param, 600))


@pytest.fixture(scope="module")
def unigram() -> Tokenizer:
    return Tokenizer(fit((text for _, text in texts()[:20]), "unigram", 400))


def model(tokenizer: Tokenizer, **settings: Any) -> Transformer:
    sizes = {"depth": 2, "width": 48, "head": 12, "kv_heads": 2, "hidden": 40, **settings}
    made = build(shape(Model(**sizes), tokenizer.vocabulary), 0, "cpu", torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a new model's logits are all nearly 0, its norms all 1
        for parameter in made.parameters():
            parameter.normal_(float(parameter.ndim == 1), 0.2, generator=generator)
    return made


def write(made: Transformer, tokenizer: Tokenizer, folder: Path, **options: Any) -> Path:
    settings = {"length": 64, "dtype": "float32", "card": {}, "bos": True, **options}
    export(made, tokenizer, folder / "model", **settings)
    return folder / "model"


MIXTURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "glm": ({"count": 6}, {}, "Glm4MoeForCausalLM"),
    "glm-plain": (
        {"count": 4, "active": 1, "shared": 2},
        {"qk_norm": False, "tied": True, "rope_base": 500.0},
        "Glm4MoeForCausalLM",
    ),
    "qwen": (
        {"count": 8, "active": 3, "shared": 0, "balance": 0.0, "scores": "softmax"},
        {},
        "Qwen3MoeForCausalLM",
    ),
}


def mixture(tokenizer: Tokenizer, name: str) -> Transformer:
    """Make a model with experts and, where it has them, biases that change most choices."""
    experts, settings, _ = MIXTURES[name]
    made = model(tokenizer, hidden=None, experts=Experts.model_validate(experts), **settings)
    for module in made.modules():
        if isinstance(module, Router) and not module.softmax:
            module.bias.copy_(torch.linspace(-0.5, 0.5, module.experts))
    return made


@pytest.fixture(scope="module")
def theirs(ours: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(write(model(ours), ours, tmp_path_factory.mktemp("hf")))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "Qwen3ForCausalLM"),
        ({"tied": True, "rope_base": 500.0}, "Qwen3ForCausalLM"),
        ({"qk_norm": False}, "LlamaForCausalLM"),
        ({"qk_norm": False, "tied": True, "kv_heads": None, "rope_base": 500_000.0}, "LlamaForCausalLM"),
    ],
    ids=["qwen3", "qwen3-tied", "llama", "llama-tied"],
)
def test_logits_are_ours(unigram: Tokenizer, tmp_path: Path, settings: dict[str, Any], kind: str) -> None:
    made = model(unigram, **settings)
    loaded, report = AutoModelForCausalLM.from_pretrained(
        write(made, unigram, tmp_path), output_loading_info=True
    )
    assert type(loaded).__name__ == kind
    assert not any(report.values()), report
    assert loaded.dtype == torch.float32
    ids = torch.randint(unigram.vocabulary, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = made.logits(made.hidden(ids, Documents.whole(3, 64)))[..., : unigram.vocabulary]
        found = loaded(ids).logits
    assert found.shape == expected.shape  # rows of padding are not exported
    assert expected.std() > 0.5
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_experts_are_loaded_with_our_logits(
    unigram: Tokenizer, tmp_path: Path, name: str, dtype: str
) -> None:
    """Of bfloat16 the biases stay exact, and the rounded weights, computed in float32, are nearly ours."""
    made = mixture(unigram, name)
    loaded, report = AutoModelForCausalLM.from_pretrained(
        write(made, unigram, tmp_path, dtype=dtype), output_loading_info=True, dtype=torch.float32
    )
    assert type(loaded).__name__ == MIXTURES[name][2]
    assert not any(report.values()), report
    ids = torch.randint(unigram.vocabulary, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        if dtype == "bfloat16":
            for parameter in made.parameters():
                parameter.copy_(parameter.bfloat16())
        expected = made.logits(made.hidden(ids, Documents.whole(3, 64)))[..., : unigram.vocabulary]
        found = loaded(ids).logits
        assert (found - expected).abs().max() < 1e-4
        assert expected.std() > 0.5
        for module in made.modules():  # the choice is by the biases, and shows
            if isinstance(module, Router) and not module.softmax:
                module.bias.zero_()
        other = made.logits(made.hidden(ids, Documents.whole(3, 64)))[..., : unigram.vocabulary]
    assert ((other - expected).abs().max() > 0.1) == (name != "qwen")


def test_the_card_names_the_experts(unigram: Tokenizer, tmp_path: Path) -> None:
    card = (write(mixture(unigram, "glm"), unigram, tmp_path) / "README.md").read_text("utf-8")
    assert "| architecture | GLM-4-MoE, 2 layers of width 48 |" in card
    assert "| experts | 6 experts of width 48 in each, 2 active and 1 shared |" in card


def test_the_base_of_the_phase_that_trained_it_last_is_exported(unigram: Tokenizer, tmp_path: Path) -> None:
    made = model(unigram)
    ids = torch.randint(unigram.vocabulary, (2, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = made.logits(made.hidden(ids, Documents.whole(2, 64)))[..., : unigram.vocabulary]
        made.rope = Rope(500_000.0)
        expected = made.logits(made.hidden(ids, Documents.whole(2, 64)))[..., : unigram.vocabulary]
        found = AutoModelForCausalLM.from_pretrained(write(made, unigram, tmp_path))(ids).logits
    assert (found - expected).abs().max() < 1e-4
    assert (before - expected).abs().max() > 0.1


@pytest.mark.parametrize("qk_norm", [False, True])
def test_positions_stretched_by_yarn_are_exported(unigram: Tokenizer, tmp_path: Path, qk_norm: bool) -> None:
    made = model(unigram, qk_norm=qk_norm)
    ids = torch.randint(unigram.vocabulary, (2, 256), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        made.rope = Rope(50.0)
        before = made.logits(made.hidden(ids, Documents.whole(2, 256)))[..., : unigram.vocabulary]
        made.rope = Rope(50.0, 4.0, 64)
        expected = made.logits(made.hidden(ids, Documents.whole(2, 256)))[..., : unigram.vocabulary]
        loaded = AutoModelForCausalLM.from_pretrained(write(made, unigram, tmp_path, length=256))
        found = loaded(ids).logits
    assert loaded.config.rope_parameters["rope_type"] == "yarn"
    assert (found - expected).abs().max() < 1e-4
    assert (before - expected).abs().max() > 0.1


@pytest.mark.parametrize("tied", [False, True])
def test_an_encoder_is_loaded_with_our_logits(unigram: Tokenizer, tmp_path: Path, tied: bool) -> None:
    made = model(unigram, qk_norm=False, tied=tied)
    folder = write(made, unigram, tmp_path, encoder=True)
    loaded, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert type(loaded).__name__ == "EuroBertForMaskedLM"
    assert not any(report.values()), report
    ids = torch.randint(unigram.vocabulary, (3, 64), generator=torch.Generator().manual_seed(1))
    starts = torch.arange(0, 4 * 64, 64, dtype=torch.int32)
    with torch.inference_mode():
        documents = Documents.of(starts, 3, 64, causal=False)
        expected = made.logits(made.hidden(ids, documents))[..., : unigram.vocabulary]
        found = loaded(ids).logits
    assert (found - expected).abs().max() < 1e-4
    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs.mask_token_id == loaded.config.mask_token_id == unigram.control(MASK)
    assert "AutoModelForMaskedLM" in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"model\.qk_norm = true: cannot be exported as an encoder"):
        write(model(unigram), unigram, tmp_path, encoder=True)


def test_a_chat_is_written_with_reserved_pieces_and_what_the_assistant_says_is_marked(
    ours: Tokenizer, theirs: Any
) -> None:
    chat = [
        {"role": "system", "content": "Kısa yanıt ver."},
        {"role": "user", "content": "Türkiye'nin başkenti?"},
        {"role": "assistant", "content": "Ankara."},
    ]
    text = theirs.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert text == (
        f"{BOS}<|system|>\nKısa yanıt ver.<|end|>\n<|user|>\nTürkiye'nin başkenti?<|end|>\n<|assistant|>\n"
    )
    found = theirs.apply_chat_template(
        chat, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = found["input_ids"], found["assistant_masks"]
    assert [ours.control("<|user|>"), ours.control("<|end|>")] == [
        id for id in ids if id in (ours.control("<|user|>"), ours.control("<|end|>"))
    ][1:3]
    said = [id for id, own in zip(ids, mask, strict=True) if own]
    assert said == [*ours.encode("Ankara."), ours.control("<|end|>")]


def test_transformers_generates_what_we_do(unigram: Tokenizer, tmp_path: Path) -> None:
    made = model(unigram)
    loaded = AutoModelForCausalLM.from_pretrained(write(made, unigram, tmp_path))
    assert loaded.generation_config.eos_token_id == [unigram.eos, unigram.control(END)]
    pieces = controls(unigram)  # some are left to models that are trained further on chats
    assert set(pieces) - set(loaded.generation_config.suppress_tokens) == {
        unigram.control(name) for name in (*ROLES, END)
    }
    prompt = [unigram.bos, *unigram.encode("Bir gün")]
    asked = {"do_sample": False, "max_new_tokens": 20, "suppress_tokens": list(pieces)}
    found = loaded.generate(torch.tensor([prompt]), **asked)[0].tolist()
    (expected,) = generate(
        made,
        [prompt],
        Sampling(method="greedy", tokens=20),
        eos=unigram.eos,
        never=pieces,
    )
    assert found == [*prompt, *expected.ids, *[unigram.eos] * expected.finished]


def test_bfloat16_is_half_the_size_and_the_same_but_for_rounding(unigram: Tokenizer, tmp_path: Path) -> None:
    made = model(unigram)
    folder = write(made, unigram, tmp_path, dtype="bfloat16")
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert loaded.dtype == torch.bfloat16
    assert torch.equal(loaded.model.norm.weight, made.norm.weight.bfloat16())
    parameters = sum(weight.numel() for weight in loaded.parameters())
    assert (folder / "model.safetensors").stat().st_size < 2 * parameters + 8_000


@given(TEXTS)
@example(" ▁ ▁▁a▁ ")
@example("")
@example("İstanbul'un ısısı; Iğdır’ın ili  \n\n\n \t İYİ ıİiI")
@example("<0x41><unk> <|endoftext|><|begintext|> x<0x0A>")
@example("<|email|>'a <|phone|><|ip|> yazın, <|email |>")
def test_ids_are_those_of_our_tokenizer_and_come_back(ours: Tokenizer, theirs: Any, text: str) -> None:
    ids = ours.encode(text)
    assert theirs.encode(text, add_special_tokens=False, split_special_tokens=True) == ids
    assert theirs.decode(ids) == text


def test_ids_of_pages_are_those_of_our_tokenizer(ours: Tokenizer, theirs: Any) -> None:
    pages = [text for _, text in texts()]
    assert theirs(pages, add_special_tokens=False)["input_ids"] == [ours.encode(text) for text in pages]


def test_a_long_text_is_cut_equally_well(ours: Tokenizer, theirs: Any) -> None:
    # SentencePiece adds up scores in 32 bits, so that in long texts it takes equal what is nearly so.
    text = "\n".join(text for _, text in texts())
    scores = [piece.score for piece in sentencepiece_file.read(ours.model).pieces]
    here, there = ours.encode(text), theirs.encode(text, add_special_tokens=False)
    assert theirs.decode(there) == text
    assert sum(a != b for a, b in zip(here, there, strict=False)) < 20
    assert sum(scores[id] for id in there) == pytest.approx(sum(scores[id] for id in here), rel=1e-6)


def test_a_name_of_a_control_piece_is_that_piece_unless_told_otherwise(ours: Tokenizer, theirs: Any) -> None:
    assert theirs.encode(f"a{EOS}", add_special_tokens=False) == [*ours.encode("a"), ours.eos]
    assert theirs.decode([*ours.encode("a"), ours.eos], skip_special_tokens=True) == "a"


@pytest.mark.parametrize("bos", [True, False])
def test_texts_begin_with_bos_where_the_model_was_trained_so(
    unigram: Tokenizer, tmp_path: Path, bos: bool
) -> None:
    loaded = AutoTokenizer.from_pretrained(write(model(unigram), unigram, tmp_path, bos=bos))
    assert loaded.encode("Bir gün") == [unigram.bos] * bos + unigram.encode("Bir gün")
    assert loaded.bos_token_id == (unigram.bos if bos else None)
    assert (loaded.eos_token_id, loaded.pad_token_id) == (unigram.eos, 0)
    batch = loaded(["Bir gün", "Bir"], padding=True)
    assert [sum(mask) for mask in batch["attention_mask"]] == [
        bos + len(unigram.encode(text)) for text in ("Bir gün", "Bir")
    ]


def test_a_sentencepiece_model_says_its_pieces_and_kinds(ours: Tokenizer) -> None:
    model = sentencepiece_file.read(ours.model)
    assert [piece.text for piece in model.pieces] == [ours.piece(id) for id in range(ours.vocabulary)]
    assert [piece.kind for piece in model.pieces[:36]] == [
        sentencepiece_file.UNKNOWN,
        *[sentencepiece_file.CONTROL] * (2 + len(RESERVED)),
        sentencepiece_file.USER,
    ]
    assert sum(piece.kind == sentencepiece_file.BYTE for piece in model.pieces) == 256
    assert model.changes == ()


def test_merges_make_the_best_piece_first_and_of_equals_the_longer_left_part() -> None:
    known = [("a", -9.0), ("aa", -1.0), ("aaa", -0.5), ("b", -9.0), ("ab", -2.0), ("xyz", 0.0)]
    assert merges(known) == [["aa", "a"], ["a", "aa"], ["a", "a"], ["a", "b"]]


def test_a_tokenizer_that_changes_text_is_named() -> None:
    written = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(["bir iki üç dört " * 9]),
        model_writer=written,
        vocab_size=300,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
    )
    with pytest.raises(ConfigError, match="its own normalisation, a leading blank, extra blanks"):
        convert(Tokenizer(written.getvalue()), bos=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "relu2"}, r'model\.activation = "relu2": cannot be exported'),
        ({"soft_cap": 15.0}, r"model\.soft_cap = 15: cannot be exported"),
        (
            {"hidden": None, "experts": Experts(count=4, shared=0)},
            r"model\.experts\.shared = 0: cannot be exported with sigmoid scores",
        ),
        (
            {
                "hidden": None,
                "qk_norm": False,
                "experts": Experts(count=4, shared=0, balance=0.0, scores="softmax"),
            },
            r"model\.qk_norm = false: cannot be exported with softmax experts",
        ),
    ],
)
def test_a_model_that_cannot_be_expressed_is_named_and_nothing_written(
    unigram: Tokenizer, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write(model(unigram, **settings), unigram, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_model_is_refused(ours: Tokenizer, unigram: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a vocabulary of 400 and the tokenizer one of 600"):
        write(model(unigram), ours, tmp_path)


def test_an_earlier_export_is_replaced_and_anything_else_is_not(unigram: Tokenizer, tmp_path: Path) -> None:
    write(model(unigram), unigram, tmp_path, card={"tokens": "1"})
    folder = write(model(unigram), unigram, tmp_path, card={"tokens": "1,000,000", "bits per byte": "1.234"})
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    card = (folder / "README.md").read_text("utf-8")
    assert "| tokens | 1,000,000 |" in card
    assert "| bits per byte | 1.234 |" in card
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"notes\.txt, which no export wrote"):
        write(model(unigram), unigram, tmp_path)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_failed_export_leaves_the_earlier_one(
    unigram: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(model(unigram), unigram, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("trainer.export._card", full)
    with pytest.raises(OSError, match="no space left"):
        write(model(unigram, tied=True), unigram, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
