"""Token shards open by their manifest; streams are named and sorted; what was read has a fingerprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from token_shards import tokenizer, write

from corpus import dataset
from corpus.errors import ConfigError, DatasetError
from corpus.settings import parse
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.train import fit
from trainer import tokens
from trainer.config import Config
from trainer.loader import Loader
from trainer.tokens import Tokens

WEB = [[[5, 6, 7, 2], [8, 2]], [[9, 9, 2]]]
SHARDS = {
    "tur_Latn/web": WEB,
    "aze_Latn/web": [[[5, 2], [6, 6, 6, 2]]],
    "tur_Latn/books": [[[4] * 9 + [2]]],
}


def config(**data: object) -> Config:
    return parse(Config, {"seed": 3, "data": {"length": 4, "batch": 2, "tokens": 64, **data}}, "test")


def test_a_folder_of_shards_or_of_a_build_is_opened(tmp_path: Path) -> None:
    write(tmp_path / "tokens", SHARDS)
    for folder in (tmp_path, tmp_path / "tokens"):
        opened = tokens.open(str(folder))
        assert opened.folder == str(tmp_path / "tokens")
        assert (opened.eos, opened.bos, opened.vocabulary, opened.rows) == (2, None, 300, 384)
        assert opened.tokenizer == "ab" * 32


def test_a_folder_without_shards_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no finished token shards.*`derlem tokenize`"):
        tokens.open(str(tmp_path))
    manifest = dataset.Manifest(stage="shard", version=1, settings={}, units=())
    dataset.save(str(tmp_path), manifest)
    with pytest.raises(DatasetError, match="the stage 'shard', not token shards"):
        tokens.open(str(tmp_path))


@pytest.mark.parametrize("fact", ["eos", "bos", "vocabulary", "padded_vocabulary"])
def test_a_manifest_that_says_too_little_of_its_tokenizer_is_told(fact: str, tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    manifest = dataset.load(str(tmp_path))
    facts = {name: value for name, value in manifest.facts.items() if name != fact}
    dataset.save(str(tmp_path), manifest.model_copy(update={"facts": facts}))
    with pytest.raises(DatasetError, match=f"has no {fact}: it is damaged"):
        tokens.open(str(tmp_path))


def test_streams_are_sorted_by_name_and_hold_their_batches_in_order(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    found = tokens.streams(opened)
    assert [s.name for s in found] == ["aze_Latn/web", "tur_Latn/books", "tur_Latn/web"]
    assert [s.tokens.tolist() for s in found] == [[6], [10], [6, 3]]
    for stream, batches in zip(found, tokens.places(opened), strict=True):
        assert len(batches) == len(stream.tokens)
        for (file, number), count in zip(batches, stream.tokens, strict=True):
            read = dataset.read_batch(opened.folder, file, number)
            assert len(read["tokens"].flatten()) == count
            assert f"{file.language}/{file.source}" == stream.name


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SHARDS, split="validation")
    opened = tokens.open(str(tmp_path))
    assert len(tokens.streams(opened, "validation")) == 3
    with pytest.raises(DatasetError, match="no token shards of split 'train'; existing splits: validation"):
        tokens.streams(opened)


def test_a_shard_without_rows_is_a_stream_without_batches(tmp_path: Path) -> None:
    write(tmp_path, {**SHARDS, "kaz_Cyrl/web": []})
    opened = tokens.open(str(tmp_path))
    empty = tokens.streams(opened)[1]
    assert (empty.name, empty.tokens.tolist()) == ("kaz_Cyrl/web", [])
    made = tokens.order(config(), opened)
    assert "kaz_Cyrl/web" not in made.phases[0].weights


def test_an_order_takes_phases_from_the_configuration(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    (only,) = tokens.order(config(), opened).phases
    assert only.weights == {"aze_Latn/web": 6.0, "tur_Latn/books": 10.0, "tur_Latn/web": 9.0}
    assert (only.tokens, only.length, only.batch) == (64, 4, 2)
    weights = {"tur_Latn/web": 2.0}
    phases = [{"tokens": 16, "length": 2, "weights": {"aze_Latn/web": 1}}, {"tokens": 8, "batch": 4}]
    with pytest.raises(
        ConfigError, match=r"data\.phases = .*: they use 24 tokens, .* tokens = 24: raise tokens"
    ):
        config(phases=phases, tokens=24)
    first, second, last = tokens.order(config(weights=weights, phases=phases), opened).phases
    assert (first.tokens, first.length, first.batch, first.weights) == (16, 2, 2, {"aze_Latn/web": 1.0})
    assert (second.tokens, second.length, second.batch, second.weights) == (8, 4, 4, weights)
    assert (last.tokens, last.length, last.batch, last.weights) == (40, 4, 2, weights)
    with pytest.raises(ValueError, match="no stream 'tur_Latn/wbe'; there are aze_Latn/web"):
        tokens.order(config(weights={"tur_Latn/wbe": 1}), opened)


def by_copies(folder: Path) -> Tokens:
    """Write shards that separate documents by their number of repeats: one and three."""
    write(folder, {"tur_Latn/once": WEB, "tur_Latn/thrice": [[[4] * 8 + [2]]]})
    manifest = dataset.load(str(folder))
    units = [
        unit.model_copy(
            update={
                "files": tuple(
                    file.model_copy(update={"source": "web", "repeats": 3 if file.source == "thrice" else 1})
                    for file in unit.files
                )
            }
        )
        for unit in manifest.units
    ]
    dataset.save(str(folder), manifest.model_copy(update={"units": tuple(units)}))
    return tokens.open(str(folder))


def test_documents_are_read_as_often_as_their_shards_say_where_asked_for(tmp_path: Path) -> None:
    opened = by_copies(tmp_path)
    assert [stream.name for stream in tokens.streams(opened)] == ["tur_Latn/web x1", "tur_Latn/web x3"]
    (plain,) = tokens.order(config(), opened).phases
    assert plain.weights == {"tur_Latn/web x1": 9.0, "tur_Latn/web x3": 9.0}
    (repeated,) = tokens.order(config(rehydrate=True), opened).phases
    assert repeated.weights == {"tur_Latn/web x1": 9.0, "tur_Latn/web x3": 27.0}
    order = tokens.order(config(rehydrate=True, length=2, batch=16), opened)  # (8 + 3 × 8) / 2 windows
    assert order.progress(1_000).epochs.tolist() == pytest.approx([1_000, 3_000], abs=1)


def test_shards_that_do_not_lie_apart_by_copies_cannot_be_rehydrated(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    with pytest.raises(DatasetError, match=r"set tokenizer\.by_copies = true"):
        tokens.order(config(rehydrate=True), tokens.open(str(tmp_path)))
    with pytest.raises(ConfigError, match=r"leave weights empty"):
        config(rehydrate=True, weights={"tur_Latn/web": 1})


def test_a_stream_too_small_for_the_mixture_is_read_by_the_least_share(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/large": [[[3] * 1_000_000]], "tur_Latn/small": [[[4] * 3]]})
    (phase,) = tokens.order(config(), tokens.open(str(tmp_path))).phases
    assert phase.weights["tur_Latn/small"] == pytest.approx(1_000_003 / 32_768)


def test_the_same_data_and_configuration_have_the_same_fingerprint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, SHARDS)
    one, two = (tokens.open(str(tmp_path / name)) for name in ("a", "b"))
    names = [tokens.fingerprint(o, tokens.order(config(), o), 5) for o in (one, two)]
    assert names[0] == names[1]
    tokens.check(*names)


@pytest.mark.parametrize(
    ("shards", "facts", "data", "seed", "what"),
    [
        ({**SHARDS, "tur_Latn/web": [[[5, 6, 6, 2], [8, 2]], WEB[1]]}, {}, {}, 3, "the tokens themselves"),
        ({**SHARDS, "tur_Latn/new": WEB}, {}, {}, 3, "the streams' names"),
        ({**SHARDS, "tur_Latn/web": WEB[::-1]}, {}, {}, 3, "the token counts of their batches"),
        (SHARDS, {"tokenizer": "cd" * 32}, {}, 3, "the tokenizer"),
        (SHARDS, {}, {}, 4, "the seed"),
        (SHARDS, {}, {"length": 8}, 3, "the longest window"),
        (SHARDS, {}, {"permute": "documents"}, 3, "what is permuted for each epoch"),
        (SHARDS, {}, {"batch": 4}, 3, "batch of a phase that has already been read"),
        (SHARDS, {}, {"weights": {"tur_Latn/web": 1}}, 3, "weights, window length or batch of a phase"),
    ],
)
def test_what_changed_is_named(
    tmp_path: Path,
    shards: dict[str, list[list[list[int]]]],
    facts: dict[str, object],
    data: dict[str, object],
    seed: int,
    what: str,
) -> None:
    write(tmp_path / "a", SHARDS)
    write(tmp_path / "b", shards, facts=facts)
    one, two = (tokens.open(str(tmp_path / name)) for name in ("a", "b"))
    was = tokens.fingerprint(one, tokens.order(config(), one), 5)
    changed = config(**data).model_copy(update={"seed": seed})
    now = tokens.fingerprint(two, tokens.order(changed, two), 5)
    with pytest.raises(DatasetError, match=f"changed: .*{what}.* was .*, is "):
        tokens.check(was, now)


def test_a_branch_may_change_what_comes_after_the_step(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    trunk = tokens.order(config(), opened)
    cooldown = config(
        tokens=80,
        weights={"tur_Latn/books": 1},
        phases=[{"tokens": 40, "weights": dict(trunk.phases[0].weights)}],
    )
    branch = tokens.order(cooldown, opened)
    for step in range(6):
        assert np.array_equal(trunk.windows(step)[: step < 5], branch.windows(step)[: step < 5])
        tokens.check(tokens.fingerprint(opened, trunk, step), tokens.fingerprint(opened, branch, step))
    with pytest.raises(DatasetError, match="a phase that has already been read"):
        tokens.check(tokens.fingerprint(opened, trunk, 6), tokens.fingerprint(opened, branch, 6))


def test_a_subset_is_the_first_tokens_of_every_stream_by_its_share(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    half = tokens.order(config(unique=13), opened)
    assert [stream.tokens.tolist() for stream in half.streams] == [[3], [5], [5, 0]]
    assert half.phases == tokens.order(config(), opened).phases  # the mixture stays
    smaller = tokens.order(config(unique=7), opened)
    for less, more in zip(smaller.streams, half.streams, strict=True):
        assert (less.tokens <= more.tokens).all()


def test_a_run_on_a_subset_reads_nothing_beyond_it_and_all_of_it(tmp_path: Path) -> None:
    write(tmp_path, {"tur_Latn/web": [[[*range(10, 30)]], [[*range(30, 50)]]]})
    opened = tokens.open(str(tmp_path))
    order = tokens.order(config(unique=25), opened)
    seen: set[int] = set()
    with Loader(opened, order) as loader:
        for (batch,) in loader.steps(0, order.steps):
            for row, length in zip(batch.tokens, batch.lengths, strict=True):
                seen |= set(row[: int(length) + 1].tolist())
    assert seen == set(range(10, 35))


def test_a_subset_of_more_tokens_than_there_are_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    with pytest.raises(
        ValueError, match=r"data\.unique = 26, but the streams that are read have only 25 tokens"
    ):
        tokens.order(config(unique=26), opened)
    only = config(unique=11, weights={"tur_Latn/books": 1.0})
    with pytest.raises(ValueError, match="have only 10 tokens"):
        tokens.order(only, opened)


def test_a_checkpoint_of_a_subset_is_not_one_of_the_whole(tmp_path: Path) -> None:
    write(tmp_path, SHARDS)
    opened = tokens.open(str(tmp_path))
    whole, part = (
        tokens.fingerprint(opened, tokens.order(config(**data), opened), 4) for data in ({}, {"unique": 13})
    )
    with pytest.raises(DatasetError, match="token counts of their batches"):
        tokens.check(whole, part)


def test_corpora_that_are_trained_together_have_one_tokenizer_and_it_is_beside_their_shards(
    tmp_path: Path,
) -> None:
    """Studies, comparisons and mixes ask this before any model is trained."""
    other = fit(["on bir on iki on üç on dört on beş on altı"] * 9, "unigram", 330)
    for name, model in (("a", tokenizer()), ("b", tokenizer()), ("c", other)):
        write(tmp_path / name, {"tur_Latn/web": [[[1, 2]]]}, model=model)
    opened = {name: tokens.open(str(tmp_path / name)) for name in "abc"}
    tokens.one_tokenizer({name: opened[name] for name in "ab"})
    pieces = [Tokenizer(model).vocabulary for model in (other, tokenizer())]
    made = rf"c was made with another tokenizer \({pieces[0]} pieces, \w+\) than a \({pieces[1]} pieces"
    with pytest.raises(ConfigError, match=made):
        tokens.one_tokenizer(opened)
    (tmp_path / "b" / MODEL).write_bytes(other)
    beside = rf"b/{MODEL} has {pieces[0]} pieces .* made with a tokenizer of {pieces[1]} pieces"
    with pytest.raises(DatasetError, match=beside):
        tokens.one_tokenizer({name: opened[name] for name in "ab"})
