"""From a built corpus to token shards by the commands: train, compare, tokenize, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Command, copy_of, final_files, write_input

from corpus import dataset
from corpus.tokenizer import load
from corpus.verify import find_faults


@pytest.fixture(scope="module")
def tokenized(tmp_path_factory: pytest.TempPathFactory, derlem: Command) -> Path:
    """The configuration of a corpus that was built and tokenized by one command."""
    path = write_input(tmp_path_factory.mktemp("tokenized"))
    path.write_text(path.read_text() + "[tokenizer]\nvocabulary = 700\n")
    told = derlem("build", path, "--until", "tokenize")
    assert "tokenizer.model: 700 pieces\n" in told.stderr
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


def test_a_build_until_tokenize_does_what_the_single_commands_do(
    built: Path, tokenized: Path, derlem: Command, tmp_path: Path
) -> None:
    path = copy_of(built, tmp_path)
    path.write_text(path.read_text() + "[tokenizer]\nvocabulary = 700\n")
    assert not (tmp_path / "corpus" / "tokenizer").exists()
    assert "700 pieces" in derlem("tokenizer", "train", path).stderr
    derlem("tokenize", path)
    both = final_files(tmp_path / "corpus"), final_files(tokenized.parent / "corpus")
    assert both[0] == both[1]
    again = derlem("tokenizer", "train", path).stderr
    assert "was made from these shards and settings: nothing to do" in again
    done = derlem("build", path, "--until", "tokenize").stderr
    assert "0 done before" not in done
    assert "pieces" not in done


def test_a_model_of_ones_own_is_looked_for_before_any_work(tmp_path: Path, derlem: Command) -> None:
    own = "tokenizer.model=mine.model"
    told = derlem("build", write_input(tmp_path), "--until", "tokenize", "--set", own, check=False)
    assert told.returncode == 2
    looked_for = f"{tmp_path}/mine.model"  # beside the configuration, wherever the user stands
    assert f"tokenizer.model = {looked_for!r}: no such file" in told.stderr
    assert not (tmp_path / "corpus").exists()


def test_token_shards_are_shown_and_counted(tokenized: Path, derlem: Command) -> None:
    corpus = tokenized.parent / "corpus"
    lines = derlem("show", corpus, "--ids", "--random", "2", "--json").stdout.splitlines()
    shown = [json.loads(line) for line in lines]
    model = load(str(corpus / "tokens" / "tokenizer.model"))
    for entry in shown:
        assert entry["kind"] == "tokens"
        assert model.decode(entry["ids"]) == entry["text"]
    again = json.loads(derlem("show", corpus / "tokens", "--id", shown[0]["id"], "--json").stdout)
    assert again["text"] == shown[0]["text"]
    assert "ids" not in again
    tokens = json.loads(derlem("inspect", corpus, "--json").stdout)["tokens"]
    manifest = dataset.load(str(corpus / "tokens"))
    assert sum(total["documents"] for total in tokens) == manifest.counts().kept
    assert json.loads(derlem("inspect", corpus / "tokens", "--json").stdout)["tokens"] == tokens
    wrong = derlem("show", corpus, "--tokens", "--parts", check=False)
    assert (wrong.returncode, "cannot be combined" in wrong.stderr) == (2, True)


def test_the_documents_of_a_step_are_printed(tokenized: Path, derlem: Command) -> None:
    corpus = tokenized.parent / "corpus"
    run = ("data", "order", corpus, "--step", "3", "--set", "data.length=64", "--set", "data.batch=4")
    rows = [json.loads(line) for line in derlem(*run, "--json").stdout.splitlines()]
    assert [row["row"] for row in rows] == [0, 1, 2, 3]
    assert all(sum(p["last"] - p["first"] + 1 for p in row["passages"]) == row["length"] + 1 for row in rows)
    mine = derlem(*run, "--json", "--rank", "1", "--world", "2").stdout.splitlines()
    assert [json.loads(line) for line in mine] == rows[2:]
    shown = derlem(*run).stdout
    assert all(passage["id"][:16] in shown for row in rows for passage in row["passages"])
    derlem("show", corpus, "--id", rows[0]["passages"][0]["id"][:16])
    for more, status in (("--rank=2", 2), ('--set=data.weights={"a/b"=1}', 2), ("--preset=none", 2)):
        wrong = derlem(*run, more, check=False)
        assert wrong.returncode == status, wrong.stderr
        assert "Traceback" not in wrong.stderr


@pytest.mark.usefixtures("eager_workers")
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
    assert wrong.returncode == 2
    assert "is not a SentencePiece model" in wrong.stderr
    absent = derlem("tokenizer", "compare", corpus, "tiktoken:none", check=False)
    assert absent.returncode == 2
    assert "tiktoken" in absent.stderr


def test_shards_that_change_unfinish_their_tokens(tokenized: Path, derlem: Command) -> None:
    tokens = tokenized.parent / "corpus" / "tokens"
    assert (tokens / "manifest.json").exists()
    derlem("build", tokenized, "--set", "shard.seed=7")
    assert not (tokens / "manifest.json").exists()
    derlem("build", tokenized)
    derlem("tokenize", tokenized)
    assert find_faults(str(tokens)) == []
