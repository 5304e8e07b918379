"""From a built corpus to token shards by the commands: train, compare, tokenize, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Command, final_files, write_input

from corpus import dataset
from corpus.tokenizer import load

SMALL = ("--set", "tokenizer.vocabulary=700")


@pytest.fixture(scope="module")
def tokenized(tmp_path_factory: pytest.TempPathFactory, derlem: Command) -> Path:
    """The configuration of a corpus that was built and tokenized."""
    path = write_input(tmp_path_factory.mktemp("tokenized"))
    derlem("build", path)
    told = derlem("tokenizer", "train", path, *SMALL)
    assert "tokenizer.model: 700 pieces\n" in told.stderr
    derlem("tokenize", path)
    return path


def test_every_document_of_the_shards_comes_back_from_its_tokens(tokenized: Path, derlem: Command) -> None:
    corpus = tokenized.parent / "corpus"
    tokenizer = load(str(corpus / "tokens" / "tokenizer.model"))
    texts: dict[str, str] = {}
    for file in dataset.load(str(corpus / "shards")).files("shard"):
        table = dataset.table(str(corpus / "shards"), file.path, ["id", "text"])
        texts |= zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    found = {}
    for file in dataset.load(str(corpus / "tokens")).files("tokens16"):
        for row in dataset.table(str(corpus / "tokens"), file.path).to_pylist():
            found[row["id"]] = tokenizer.decode(row["tokens"])
    assert found == texts
    assert "the counts of" in derlem("verify", corpus).stderr


def test_two_workers_give_the_same_token_shards(tokenized: Path, derlem: Command) -> None:
    tokens = tokenized.parent / "corpus" / "tokens"
    once = final_files(tokens)
    for path in [*tokens.rglob("*.arrow"), tokens / "manifest.json"]:
        path.unlink()
    derlem("tokenize", tokenized, "--workers", "2")
    assert final_files(tokens) == once


def test_models_are_compared_by_language(tokenized: Path, derlem: Command) -> None:
    corpus = tokenized.parent / "corpus"
    model = corpus / "tokenizer" / "tokenizer.model"
    (found, *_) = json.loads(derlem("tokenizer", "compare", corpus, model, "--json").stdout)
    assert found["model"] == str(model)
    assert found["exact"] == found["documents"] > 0
    assert found["bytes_per_token"] == pytest.approx(found["bytes"] / found["tokens"], abs=1e-4)
    shown = derlem("tokenizer", "compare", corpus, model, model).stdout
    assert f"{found['bytes_per_token']:.3f}" in shown
    assert "come back changed" not in shown


def test_what_is_missing_is_said(tokenized: Path, derlem: Command) -> None:
    corpus = tokenized.parent / "corpus"
    wrong = derlem("tokenizer", "compare", corpus, corpus / "shards" / "manifest.json", check=False)
    assert wrong.returncode == 1
    assert "is no SentencePiece model" in wrong.stderr
    absent = derlem("tokenizer", "compare", corpus, "tiktoken:none", check=False)
    assert absent.returncode == 1
    assert "tiktoken" in absent.stderr


def test_shards_that_change_unfinish_their_tokens(tokenized: Path, derlem: Command) -> None:
    tokens = tokenized.parent / "corpus" / "tokens"
    assert (tokens / "manifest.json").exists()
    derlem("build", tokenized, "--set", "shard.seed=7")
    assert not (tokens / "manifest.json").exists()
    derlem("build", tokenized)
    derlem("tokenize", tokenized)
    assert dataset.verify(str(tokens)) == []
