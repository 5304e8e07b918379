"""Text comes back from its tokens as it was; a model is what its sample and settings make of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import texts, write_shards

from corpus import tokenizer
from corpus.config import Tokenizer as Settings
from corpus.errors import ConfigError, DatasetError
from corpus.tokenizer import Tokenizer
from corpus.tokenizer.compare import compare
from corpus.tokenizer.train import BOS, EOS, PLACEHOLDERS, balanced, chosen, ensure, fit, train

# Blanks at any end and in any number, letters that fold badly, marks, joiners, directions, what SentencePiece
# uses for itself, and texts that look like pieces.
HARD = st.sampled_from(
    [
        *" \n\t\r\0aıiİI'’7▁▅⁇\u00a0\u200d\u202e\u0307\ufeff\ufffd\ue000שع的",
        *("👨‍👩‍👧", "i\u0307", "  ", "\n\n", "<unk>", "<s>", "<0x41>", BOS, EOS, *PLACEHOLDERS),
    ]
)
TEXTS = st.lists(HARD | st.text(max_size=5), max_size=12).map("".join)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def model(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer(fit((text for _, text in texts()), request.param, 1_000))


@given(TEXTS)
@example(" ▁ ▁▁a▁ ")
@example("")
def test_every_text_comes_back_as_it_was(model: Tokenizer, text: str) -> None:
    ids = model.encode(text)
    assert model.decode(ids) == text
    assert not {0, model.bos, model.eos} & set(ids)


def test_placeholders_of_personal_data_are_one_piece_and_their_suffix_another(model: Tokenizer) -> None:
    for placeholder in PLACEHOLDERS:
        assert [model.piece(id) for id in model.encode(f"{placeholder}\n")] == [placeholder, "<0x0A>"]
    first, *_ = model.encode("<|email|>'a yazın")
    assert model.piece(first) == "<|email|>"


def test_digits_stand_alone(model: Tokenizer) -> None:
    pieces = [model.piece(id).strip("▁") for id in model.encode("1923, 29 Ekim")]
    assert [piece for piece in pieces if any(sign.isdigit() for sign in piece)] == list("192329")


def test_no_piece_mixes_letters_and_signs_but_a_suffix_and_its_apostrophe(model: Tokenizer) -> None:
    pieces = [model.piece(id) for id in range(model.vocabulary)]
    words = [piece.strip("▁") for piece in pieces if not piece.startswith("<")]
    mixed = [word for word in words if any(map(str.isalpha, word)) and not word.isalpha()]
    assert all(word[0] in "'’" and word[1:].isalpha() for word in mixed), mixed
    assert "'de" in mixed


@pytest.mark.parametrize("suffix", ["nin", "da", "dan", "ya"])
def test_an_apostrophe_costs_no_piece(suffix: str) -> None:
    # Every word occurs with and without the suffix, so that the two spellings have the same chance.
    stems = ["Türkiye", "Ankara", "Malatya", "Bursa", "Konya"]
    lines = [f"{s} ve {s}'{x} ile {s}{x}." for s in stems for x in ("nin", "da", "dan", "ya")]
    fitted = Tokenizer(fit(["\n".join(lines * 5)], "unigram", 400))
    for stem in stems:
        assert len(fitted.encode(f" {stem}'{suffix}")) <= len(fitted.encode(f" {stem} {suffix}"))
        assert len(fitted.encode(f" {stem}'{suffix}")) == 2


def test_a_frequent_word_without_variants_is_one_piece() -> None:
    # SentencePiece by itself takes no piece from a word that is the only one to begin so.
    fitted = Tokenizer(fit(["Zonguldak bir şehir. " * 50 + "abc abd xyz"], "unigram", 330))
    assert [fitted.piece(id) for id in fitted.encode(" Zonguldak")] == ["▁Zonguldak"]


def test_the_same_sample_gives_the_same_bytes(model: Tokenizer, request: pytest.FixtureRequest) -> None:
    algorithm = request.node.callspec.params["model"]
    assert fit((text for _, text in texts()), algorithm, 1_000) == model.model


def test_a_vocabulary_that_the_sample_cannot_fill_is_smaller() -> None:
    assert 256 < Tokenizer(fit(["bir iki üç " * 20], "unigram", 4_000)).vocabulary < 400


def test_a_vocabulary_too_small_for_the_letters_is_named() -> None:
    letters = "".join(chr(0x4E00 + number) for number in range(400))
    with pytest.raises(ConfigError, match=r"tokenizer\.vocabulary = 512: "):
        fit([letters], "unigram", 512)


def test_languages_give_equally_much_until_they_have_no_more(tmp_path: Path) -> None:
    many = [f"{number:03d} " + "x" * 96 for number in range(200)]
    write_shards(
        tmp_path,
        {
            "tur_Latn/train": many[:120],
            "eng_Latn/train": many[120:180],
            "azj_Latn/train": many[180:185],
            "tur_Latn/validation": ["seen by nobody"],
        },
    )
    drawn = list(balanced(str(tmp_path), 6_500, seed=1))
    given = {language: sum(1 for name, _ in drawn if name == language) for language, _ in drawn}
    assert given == {"azj_Latn": 5, "eng_Latn": 30, "tur_Latn": 30}
    assert len({text for _, text in drawn}) == 65
    assert drawn == list(balanced(str(tmp_path), 6_500, seed=1))
    assert drawn != list(balanced(str(tmp_path), 6_500, seed=2))
    everything = [text for _, text in balanced(str(tmp_path), 1 << 30, seed=1)]
    assert sorted(everything) == many[:185]


def test_the_sample_of_a_model_is_counted_by_language(tmp_path: Path) -> None:
    words = [text for _, text in texts()]
    write_shards(tmp_path, {"tur_Latn/train": words[:20], "eng_Latn/train": words[20:30]})
    trained = train(str(tmp_path), Settings(vocabulary=512))
    assert trained.sample == {
        "tur_Latn": sum(len(text.encode()) for text in words[:20]),
        "eng_Latn": sum(len(text.encode()) for text in words[20:30]),
    }
    assert Tokenizer(trained.model).vocabulary == 512


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45))
def test_more_text_never_has_fewer_pieces_and_eight_times_as_much_at_most_twice(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert 1_024 <= chosen(less) <= chosen(more) <= 32_768
    assert chosen(8 * less) == min(32_768, 2 * chosen(less)) or less < 1 << 17


def test_the_vocabulary_that_is_not_set_is_that_of_the_size() -> None:
    assert [chosen(size) for size in (0, 1 << 20, 20_000_000, 1 << 30, 1 << 32)] == [
        *(1_024, 2_048, 4_096, 16_384, 32_768)
    ]


def test_a_vocabulary_that_is_not_set_has_room_for_the_letters(tmp_path: Path) -> None:
    letters = [chr(0x4E00 + number) for number in range(1_500)]
    write_shards(tmp_path, {"cmn_Hani/train": ["".join(letters), " ".join(letters)]})
    assert train(str(tmp_path), Settings()).asked == 2_048
    with pytest.raises(ConfigError, match=r"tokenizer\.vocabulary = 1024: "):
        train(str(tmp_path), Settings(vocabulary=1_024))


def test_a_model_is_trained_again_only_when_shards_or_settings_change(tmp_path: Path) -> None:
    words = [text for _, text in texts()]
    shards = tmp_path / "shards"
    write_shards(shards, {"tur_Latn/train": words[:20], "tur_Latn/validation": words[20:22]})
    output, settings, home = str(tmp_path), Settings(vocabulary=512), tmp_path / tokenizer.FOLDER
    first = ensure(output, settings)
    assert first is not None
    assert (home / tokenizer.MODEL).read_bytes() == first.model
    assert first.summary("there").endswith("\nwrote there: 512 pieces")
    assert (
        replace(first, asked=600)
        .summary("there")
        .endswith("512 pieces of 600 asked for: the corpus is too small for more")
    )
    assert ensure(output, settings) is None
    # Neither what makes no model nor documents that it has not seen change it.
    assert ensure(output, settings.model_copy(update={"bos": True, "by_copies": True, "model": "a"})) is None
    write_shards(shards, {"tur_Latn/train": words[:20], "tur_Latn/validation": words[21:22]})
    assert ensure(output, settings) is None
    assert ensure(output, settings.model_copy(update={"seed": 2})) is not None
    write_shards(shards, {"tur_Latn/train": words[:21]})
    assert ensure(output, settings) is not None


def test_a_model_that_is_gone_or_damaged_is_made_again(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", {"tur_Latn/train": [text for _, text in texts()][:10]})
    home, settings = tmp_path / tokenizer.FOLDER, Settings(vocabulary=512)
    first = ensure(str(tmp_path), settings)
    damages = [
        (home / tokenizer.MODEL).unlink,
        lambda: (home / tokenizer.MODEL).write_bytes(b"no model"),
        lambda: (home / "report.json").write_text("{"),
        lambda: (home / "report.json").write_text("[]"),
    ]
    for damage in damages:
        damage()
        assert ensure(str(tmp_path), settings) == first
        assert ensure(str(tmp_path), settings) is None


def test_a_corpus_without_text_to_train_on_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, {"tur_Latn/validation": ["bir"]})
    with pytest.raises(DatasetError, match="no text in its train split"):
        list(balanced(str(tmp_path), 100, 1))


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.model").write_bytes(b"no model")
    with pytest.raises(DatasetError, match=r"a\.model is not a SentencePiece model"):
        tokenizer.load(str(tmp_path / "a.model"))
    with pytest.raises(DatasetError, match=r"b\.model: cannot be read: No such file"):
        tokenizer.load(str(tmp_path / "b.model"))


def test_the_embedding_has_a_multiple_of_128_rows_and_16_bits_hold_them() -> None:
    assert [tokenizer.padded(n) for n in (1, 128, 129, 32_768, 50_257)] == [128, 128, 256, 32_768, 50_304]
    assert tokenizer.fits_uint16(65_536)
    assert not tokenizer.fits_uint16(65_537)


def test_costs_are_those_of_the_validation_documents(tmp_path: Path, model: Tokenizer) -> None:
    kept = {"tur_Latn": ["Türkiye'nin başkenti", "bir iki"], "eng_Latn": ["the end"]}
    shards = {f"{language}/validation": found for language, found in kept.items()}
    write_shards(tmp_path, {**shards, "tur_Latn/train": ["not measured"]})
    (tmp_path / "a.model").write_bytes(model.model)
    costs = compare(str(tmp_path), [str(tmp_path / "a.model")] * 2)
    assert [cost.language for cost in costs] == ["eng_Latn", "eng_Latn", "tur_Latn", "tur_Latn"]
    assert costs[2] == costs[3]
    found = costs[2]
    tokens = sum(len(model.encode(text)) for text in kept["tur_Latn"])
    assert (found.documents, found.exact, found.words, found.tokens) == (2, 2, 4, tokens)
    assert found.bytes == sum(len(text.encode()) for text in kept["tur_Latn"])
    assert found.as_dict()["bytes_per_token"] == round(found.bytes / tokens, 4)
    assert found.tokens_per_word == tokens / 4


def test_without_validation_there_is_nothing_to_compare_on(tmp_path: Path) -> None:
    write_shards(tmp_path, {"tur_Latn/train": ["bir"]})
    with pytest.raises(DatasetError, match=r"raise shard\.validation"):
        compare(str(tmp_path), [])


def test_encodings_of_tiktoken_are_measured_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bytes:
        """Stands for an encoding of tiktoken: a token a byte, the last byte lost on the way back."""

        n_vocab = 256

        def encode_ordinary(self, text: str) -> list[int]:
            return list(text.encode())

        def decode(self, ids: list[int]) -> str:
            return bytes(ids[:-1]).decode()

    def get_encoding(name: str) -> Bytes:
        if name != "bytes":
            raise ValueError(f"Unknown encoding {name}")
        return Bytes()

    monkeypatch.setitem(sys.modules, "tiktoken", SimpleNamespace(get_encoding=get_encoding))
    write_shards(tmp_path, {"eng_Latn/validation": ["the end"]})
    (cost,) = compare(str(tmp_path), ["tiktoken:bytes"])
    assert (cost.tokens, cost.documents, cost.exact, cost.vocabulary) == (7, 1, 0, 256)
    with pytest.raises(DatasetError, match="tiktoken:none: Unknown encoding none"):
        compare(str(tmp_path), ["tiktoken:none"])
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(DatasetError, match="the package tiktoken is not installed"):
        compare(str(tmp_path), ["tiktoken:bytes"])
