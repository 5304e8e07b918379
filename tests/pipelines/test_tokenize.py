"""Every document of a shard is one row of tokens, and every batch of them is read by its place alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pytest
import sentencepiece as spm
from support import texts, write_shards

from corpus import dataset, files
from corpus.config import Config, parse
from corpus.config import Tokenizer as Settings
from corpus.dedup.rehydrate import repeats
from corpus.errors import ConfigError, DatasetError, StageError
from corpus.inspect.build import open_build
from corpus.schema import TOKENS16
from corpus.teller import SILENT
from corpus.tokenizer import MODEL, Tokenizer, padded
from corpus.tokenizer.lost import lost
from corpus.tokenizer.train import fit
from corpus.verify import find_faults
from pipelines import build, tokenize
from pipelines.options import Runner
from pipelines.stage import Context

KEPT = [text for _, text in texts()][:30]
SHARDS = {
    "tur_Latn/train": KEPT[:18],
    "eng_Latn/train": KEPT[18:25],
    "tur_Latn/validation": [*KEPT[25:], "  ▁ <|endoftext|>\n"],
}


@pytest.fixture(scope="module")
def model() -> bytes:
    return fit(KEPT, "unigram", 600)


@pytest.fixture
def config(tmp_path: Path, model: bytes) -> Config:
    write_shards(tmp_path / "shards", SHARDS)
    files.write_bytes(str(tmp_path / "tokenizer"), MODEL, model)
    source = {"name": "a", "format": "text", "paths": ["none"]}
    return parse({"output": str(tmp_path), "source": [source], "tokenizer": {"bos": False}}, "test")


def run(config: Config, **tokenizer: object) -> dataset.Manifest:
    changed = config.model_copy(update={"tokenizer": config.tokenizer.model_copy(update=tokenizer)})
    folder = build.run_tokenize(changed, Path("/nowhere"), Runner(), SILENT)
    return dataset.load(folder)


def rows(folder: Path, manifest: dataset.Manifest) -> dict[str, list[dict[str, object]]]:
    """Return the rows of all token shards by "LANGUAGE/SPLIT/SOURCE"."""
    found: dict[str, list[dict[str, object]]] = {}
    for unit in manifest.units:
        for file in unit.files:
            name = f"{file.language}/{file.split}/{file.source}"
            found.setdefault(name, []).extend(dataset.table(str(folder), file.path).to_pylist())
    return found


def test_rows_are_the_documents_of_a_shard_and_source_in_their_order_and_end_with_eos(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    manifest = run(config)
    tokenizer = Tokenizer(model)
    found = rows(tmp_path / "tokens", manifest)
    assert set(found) == {f"{name}/{source}" for name in SHARDS for source in ("web", "books")}
    for unit in dataset.load(str(tmp_path / "shards")).units:
        documents = dataset.table(str(tmp_path / "shards"), unit.files[0].path).to_pylist()
        for source in ("web", "books"):
            kept = [document for document in documents if document["source"] == source]
            for document, row in zip(kept, found[f"{unit.name}/{source}"], strict=True):
                *ids, last = row.pop("tokens")  # type: ignore[misc]
                assert last == tokenizer.eos
                assert tokenizer.eos not in ids
                assert tokenizer.decode(ids) == document["text"]
                assert row == {key: document[key] for key in row}


def test_the_manifest_counts_documents_tokens_and_bytes_and_names_the_model(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    manifest = run(config)
    assert find_faults(str(tmp_path / "tokens")) == []
    counts = manifest.counts()
    assert counts.seen == counts.kept == 31
    found = rows(tmp_path / "tokens", manifest)
    assert counts.noted["train tokens"] == {
        language: sum(
            len(row["tokens"])  # type: ignore[arg-type]
            for source in ("web", "books")
            for row in found[f"{language}/train/{source}"]
        )
        for language in ("tur_Latn", "eng_Latn")
    }
    assert counts.noted["validation bytes"] == {
        "tur_Latn": sum(len(text.encode()) for text in SHARDS["tur_Latn/validation"])
    }
    tokenizer = Tokenizer(model)
    assert manifest.facts == {
        "tokenizer": tokenizer.sha256,
        "vocabulary": 600,
        "padded_vocabulary": padded(600),
        "eos": tokenizer.eos,
        "bos": None,
    }
    assert (tmp_path / "tokens" / MODEL).read_bytes() == model


def test_a_batch_is_read_by_its_place_without_the_footer(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenize, "BATCH_TOKENS", 500)
    manifest = run(config)
    for file in manifest.files("tokens16"):
        path, index = tmp_path / "tokens" / file.path, file.batches
        assert index is not None
        with pa.memory_map(str(path)) as source:
            reader = ipc.open_file(source)
            assert reader.num_record_batches == len(index.offset)
            for number in range(reader.num_record_batches):
                batch = dataset.read_batch(str(tmp_path / "tokens"), file, number)
                assert batch.equals(reader.get_batch(number))
                assert batch.num_rows == index.documents[number]
                assert len(batch["tokens"].flatten()) == index.tokens[number]
                batch.validate(full=True)
    assert any(len(file.batches.offset) > 2 for file in manifest.files("tokens16") if file.batches)


def test_tokens_lie_uncompressed_and_aligned_in_the_file(config: Config, tmp_path: Path) -> None:
    (file, *_) = run(config).files("tokens16")
    path = tmp_path / "tokens" / file.path
    raw = path.read_bytes()
    with pa.memory_map(str(path)) as source:
        batch = ipc.open_file(source).get_batch(0)
        tokens = batch["tokens"].flatten().to_numpy(zero_copy_only=True)
        assert tokens.dtype == np.uint16
        at = raw.find(tokens.tobytes())
    assert at > 0
    assert at % 8 == 0


@pytest.mark.parametrize("full", [1, 300, 5_000, 1 << 21])
def test_a_batch_ends_with_the_document_that_fills_it(
    full: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tokenize, "BATCH_TOKENS", full)
    lengths = np.random.default_rng(1).integers(1, 400, 300).tolist()
    rows = [{"tokens": [n % 7] * n, "bytes": n, "id": "", "language": "", "source": ""} for n in lengths]
    whole = pa.RecordBatch.from_pylist(rows, TOKENS16.schema())
    with dataset.create(str(tmp_path), "a.arrow", TOKENS16, "", compression=None) as slot:
        filler = tokenize.Filler(slot.arrow)
        for at in range(0, 300, 40):
            filler.add(whole.slice(at, 40))
        filler.end()
    batches = list(dataset.batches(str(tmp_path), "a.arrow"))
    assert pa.Table.from_batches(batches).equals(pa.Table.from_batches([whole]))
    for batch in batches[:-1]:
        sizes = [len(row) for row in batch["tokens"].to_pylist()]
        assert sum(sizes[:-1]) < full <= sum(sizes)


def test_bos_begins_every_document_unless_the_configuration_forbids_it(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    before = rows(tmp_path / "tokens", run(config))
    begun = run(config, bos=Settings().bos)
    after = rows(tmp_path / "tokens", begun)
    bos = Tokenizer(model).bos
    assert begun.facts["bos"] == bos
    for name in before:
        assert [[bos, *row["tokens"]] for row in before[name]] == [row["tokens"] for row in after[name]]  # type: ignore[misc]


def test_only_shards_that_changed_are_done_again_and_a_new_model_does_all(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    first = run(config)
    write_shards(tmp_path / "shards", {**SHARDS, "eng_Latn/train": KEPT[:3]})
    second = run(config)
    report = json.loads((tmp_path / "tokens" / dataset.REPORT).read_text())
    assert report["units_done_before"] == 2
    assert sum(file.rows for file in second.files("tokens16")) == 27
    (tmp_path / "tokenizer" / MODEL).write_bytes(fit(KEPT, "bpe", 600))
    third = run(config)
    fingerprints = [{unit.fingerprint for unit in made.units} for made in (first, second, third)]
    assert len(fingerprints[0] & fingerprints[1]) == 2
    assert not fingerprints[1] & fingerprints[2]
    shards = [path for path in (tmp_path / "tokens").rglob("*.arrow") if path.parent.name != "units"]
    assert len(shards) == 6


def test_documents_lie_apart_by_how_often_to_read_them_where_asked_for(
    config: Config, tmp_path: Path
) -> None:
    together = rows(tmp_path / "tokens", run(config))
    manifest = run(config, by_copies=True)
    assert find_faults(str(tmp_path / "tokens")) == []
    assert rows(tmp_path / "tokens", manifest).keys() == together.keys()
    for file in manifest.files("tokens16"):
        copies = dataset.table(str(tmp_path / "tokens"), file.path)["copies"].to_numpy()
        if file.split == "train":
            assert set(repeats(copies).tolist()) == {file.repeats}
            assert f"train-{file.source}-x{file.repeats}-" in file.path
        else:
            assert file.repeats == 0
    assert {file.repeats for file in manifest.files("tokens16")} == {0, 1, 2, 3}
    for name, apart in rows(tmp_path / "tokens", manifest).items():
        ids = [row["id"] for row in apart]
        kept = [row["id"] for row in sorted(together[name], key=lambda row: row["copies"])]  # type: ignore[arg-type,return-value]
        assert ids == (kept if "train" in name else [row["id"] for row in together[name]])


def test_documents_lie_apart_by_a_score_that_the_shards_keep(config: Config, tmp_path: Path) -> None:
    together = rows(tmp_path / "tokens", run(config))
    shards = open_build(str(tmp_path)).table("shard").to_pylist()
    words = {row["id"]: row["words"] for row in shards}  # a number that these shards keep as well
    low, high = np.quantile(list(words.values()), [0.3, 0.7]).tolist()
    curve = ((low, 2), (high, 5))
    manifest = run(config, by_score="words", score_repeats=curve)
    for file in manifest.files("tokens16"):
        ids = dataset.table(str(tmp_path / "tokens"), file.path)["id"].to_pylist()
        times = {1 if words[id] < low else 2 if words[id] < high else 5 for id in ids}
        assert (times == {file.repeats}) if file.split == "train" else (file.repeats == 0)
    assert rows(tmp_path / "tokens", manifest).keys() == together.keys()
    with pytest.raises(StageError, match=r"by_score = 'quality.edu': .* has no such column"):
        run(config, by_score="quality.edu", score_repeats=curve)


def test_a_model_that_is_gone_is_put_back_beside_tokens_that_are_done(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    first = run(config)
    beside = tmp_path / "tokens" / MODEL
    beside.unlink()
    assert find_faults(str(tmp_path / "tokens")) == [f"{MODEL}: missing"]
    assert run(config) == first
    assert beside.read_bytes() == model
    beside.write_bytes(b"another")
    (fault,) = find_faults(str(tmp_path / "tokens"))
    assert fault.startswith(f"{MODEL}: content has SHA-256")
    run(config)
    assert beside.read_bytes() == model


def test_a_resumed_run_ends_in_the_same_bytes(config: Config, tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in (tmp_path / "tokens").rglob("*")
            if path.is_file() and "units" not in path.parts and path.name != dataset.REPORT
        }

    manifest = run(config)
    whole = contents()
    (tmp_path / "tokens" / manifest.units[1].files[0].path).unlink()
    (tmp_path / "tokens" / dataset.MANIFEST).unlink()
    run(config)
    assert contents() == whole


def test_a_vocabulary_beyond_16_bits_takes_32(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = rows(tmp_path / "tokens", run(config))
    monkeypatch.setattr("corpus.tokenizer._UINT16", 100)
    (tmp_path / "tokens" / dataset.MANIFEST).unlink()
    wide = run(config, bos=True)
    assert wide.files("tokens16") == []
    assert find_faults(str(tmp_path / "tokens")) == []
    found = rows(tmp_path / "tokens", wide)
    assert [row["tokens"][1:] for row in found["eng_Latn/train/web"]] == [  # type: ignore[index]
        row["tokens"] for row in narrow["eng_Latn/train/web"]
    ]
    assert (
        dataset.table(str(tmp_path / "tokens"), wide.files("tokens32")[0].path)
        .schema.field("tokens")
        .type.value_type
        == pa.uint32()
    )


def test_a_damaged_batch_is_named(config: Config, tmp_path: Path) -> None:
    (file, *_) = run(config).files("tokens16")
    path = tmp_path / "tokens" / file.path
    data = bytearray(path.read_bytes())
    assert file.batches is not None
    data[file.batches.offset[0] + file.batches.length[0] - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"batch 0 .* has XXH3 .* manifest of"):
        dataset.read_batch(str(tmp_path / "tokens"), file, 0)
    assert any("SHA-256" in fault for fault in find_faults(str(tmp_path / "tokens")))


def test_verify_compares_the_places_of_batches_with_what_lies_there(config: Config, tmp_path: Path) -> None:
    manifest = run(config)
    unit = manifest.units[0]
    file = unit.files[0]
    assert file.batches is not None
    wrong = file.batches.model_copy(update={"tokens": (1,), "documents": (2,)})
    lying = unit.model_copy(update={"files": (file.model_copy(update={"batches": wrong}), *unit.files[1:])})
    dataset.save(str(tmp_path / "tokens"), manifest.model_copy(update={"units": (lying,)}))
    faults = find_faults(str(tmp_path / "tokens"))
    assert len(faults) == 2
    assert "the manifest says 2 and 1" in faults[0]
    assert f"2 rows in its batches, {file.rows} in the manifest" in faults[1]


def test_a_missing_model_says_how_to_get_one(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tokenizer" / MODEL).unlink()
    with pytest.raises(DatasetError, match="`derlem tokenizer train` makes one"):
        run(config)
    with pytest.raises(ConfigError, match=r"tokenizer\.model = '/\S+/other\.model': no such file"):
        run(config, model="other.model")


def test_a_named_model_is_found_from_the_configurations_folder(
    config: Config, tmp_path: Path, model: bytes
) -> None:
    (tmp_path / "tokenizer" / MODEL).unlink()
    (tmp_path / "mine.model").write_bytes(model)
    changed = config.model_copy(
        update={"tokenizer": config.tokenizer.model_copy(update={"model": "mine.model"})}
    )
    planned = tokenize.plan(Context(changed, tmp_path))
    assert [unit.inputs[1].checksum for unit in planned.units] == [Tokenizer(model).sha256] * 3


def test_a_folder_of_other_things_is_left_as_it_was(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "mine.txt").write_text("mine")
    with pytest.raises(StageError, match="holds files but no derlem stage"):
        run(config)
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["mine.txt"]


def test_the_schema_names_what_the_design_names() -> None:
    assert TOKENS16.schema().names == ["tokens", "bytes", "id", "language", "source", "copies"]


def own(texts: list[str], **settings: object) -> bytes:
    """Return a SentencePiece model as its own trainer makes it."""
    written = io.BytesIO()
    spm.SentencePieceTrainer.Train(
        sentence_iterator=iter(texts), model_writer=written, minloglevel=2, **settings
    )
    return written.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "word", "vocab_size": 100},
        {"vocab_size": 120},
        {"model_type": "char", "vocab_size": 40},
    ],
)
def test_documents_that_do_not_come_back_and_unknown_tokens_are_counted_and_told(
    config: Config, tmp_path: Path, settings: dict[str, object]
) -> None:
    model = own([line for text in KEPT for line in text.splitlines()], **settings)
    files.write_bytes(str(tmp_path / "tokenizer"), MODEL, model)
    pieces = Tokenizer(model)
    encoded = {name: [pieces.encode(text) for text in held] for name, held in SHARDS.items()}
    changed = {
        name: sum(pieces.decode(ids) != text for ids, text in zip(encoded[name], held, strict=True))
        for name, held in SHARDS.items()
    }
    unknown = {name: sum(ids.count(pieces.unknown) for ids in found) for name, found in encoded.items()}
    manifest = run(config)
    noted = manifest.counts().noted
    assert sum(changed.values()) > 0
    assert noted["train documents that do not come back"] == {
        language: changed[f"{language}/train"] for language in ("tur_Latn", "eng_Latn")
    }
    assert noted["validation documents that do not come back"] == {"tur_Latn": changed["tur_Latn/validation"]}
    found = lost(manifest.counts())
    assert (found.documents, found.changed, found.unknown) == (
        31,
        sum(changed.values()),
        sum(unknown.values()),
    )
    told = tokenize.warning(str(tmp_path / "tokens"))
    assert told is not None
    assert f"{found.changed} of 31 documents do not come back from their tokens" in told
    assert f"{found.unknown:,} of {found.tokens:,} tokens are <unk>" in told


def test_a_model_that_loses_nothing_is_not_warned_of(config: Config, tmp_path: Path) -> None:
    manifest = run(config)
    assert lost(manifest.counts()).nothing
    assert tokenize.warning(str(tmp_path / "tokens")) is None
