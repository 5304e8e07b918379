"""What a build took is read from its units' records, and what a larger one takes follows from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import command, write_input

from corpus import chain, dataset, prices
from corpus.dedup.bands import ALL_BANDS
from corpus.errors import ConfigError, DatasetError
from corpus.inspect.build import open_build
from pipelines import cost

PRICES = prices.load()
SMALL = ("--set", "tokenizer.vocabulary=600")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    command("build", write_input(folder), "--workers", "1", "--until", "tokenize", *SMALL)
    return folder / "corpus"


@pytest.fixture
def timed(built: Path, tmp_path: Path) -> Path:
    """A build each of whose units took 100 seconds, 60 of them in one step."""
    folder = tmp_path / "corpus"
    shutil.copytree(built, folder)
    for path in folder.glob("*/units/*.json"):
        record = json.loads(path.read_text())
        if "wall_s" in record:
            path.write_text(
                json.dumps({**record, "wall_s": 300.0, "processor_s": 100.0, "seconds": {"slow": 60.0}})
            )
    return folder


def estimated(folder: Path, documents: int | None = None, slower: float = 1.0) -> cost.Estimate:
    measured = cost.measure(open_build(str(folder)))
    return cost.estimate(measured, documents, PRICES.worker("dataflow"), PRICES.storage, slower)


def test_seconds_are_those_of_the_records(timed: Path) -> None:
    measured = cost.measure(open_build(str(timed)))
    assert [each.stage for each in measured] == list(chain.names())
    for each in measured:
        manifest = dataset.load(str(timed / chain.find(each.stage).folder))
        assert each.units == len(manifest.units)
        assert each.work.seconds == 100.0 * each.units
        assert each.steps == {"slow": 60.0 * each.units}
        assert (each.longest, each.lasted) == (300.0, 300.0 * each.units)
        assert each.work.bytes == sum(file.bytes for unit in manifest.units for file in unit.files)


def test_only_the_stage_that_links_documents_shuffles(timed: Path) -> None:
    measured = {each.stage: each for each in cost.measure(open_build(str(timed)))}
    shuffled = {name: each.work.shuffled for name, each in measured.items() if each.work.shuffled}
    assert shuffled == {"dedupe": measured["dedupe"].documents * ALL_BANDS * 16}


def test_the_same_build_takes_what_it_took(timed: Path) -> None:
    found = estimated(timed)
    units = sum(row.measured.units for row in found.rows)
    assert found.factor == 1
    assert found.total.vcpu_hours == pytest.approx(units * 100 / 3600)
    assert found.seconds == units * 100


def test_ten_times_the_documents_take_ten_times_of_all(timed: Path) -> None:
    once, found = estimated(timed), estimated(timed, 10 * cost.measure(open_build(str(timed)))[0].documents)
    assert found.factor == 10
    for before, after in zip(once.rows, found.rows, strict=True):
        assert after.documents == 10 * before.documents
        assert after.price.vcpu_hours == pytest.approx(10 * before.price.vcpu_hours)
        assert after.price.work == pytest.approx(10 * before.price.work, rel=1e-3)
        assert after.price.gb_months == pytest.approx(10 * before.price.gb_months)


def test_slower_processors_take_longer_but_store_no_more(timed: Path) -> None:
    once, found = estimated(timed), estimated(timed, slower=2.0)
    assert found.total.vcpu_hours == pytest.approx(2 * once.total.vcpu_hours)
    assert found.total.storage == once.total.storage


def test_processor_time_is_that_of_the_unit_and_below_the_clocks(built: Path) -> None:
    """One process does a unit of these, so that it cannot take more than the clock says."""
    for path in built.glob("*/units/*.json"):
        record = json.loads(path.read_text())
        if "wall_s" in record and path.parts[-3] != "dedupe":
            assert 0 < record["processor_s"] < record["wall_s"] + 0.5


def test_a_record_of_an_earlier_version_has_the_clocks_time(timed: Path) -> None:
    for path in timed.glob("*/units/*.json"):
        record = json.loads(path.read_text())
        if record.pop("processor_s", None):
            path.write_text(json.dumps(record))
    found = estimated(timed)
    assert found.seconds == found.lasted


def test_a_record_that_is_absent_is_named(timed: Path) -> None:
    (unit, *_) = dataset.load(str(timed / "filter")).units
    (timed / "filter" / "units" / f"{unit.fingerprint}.json").unlink()
    with pytest.raises(DatasetError, match=f"{unit.fingerprint}.json: no record"):
        estimated(timed)


def test_nothing_follows_from_no_documents(timed: Path) -> None:
    (first, *rest) = cost.measure(open_build(str(timed)))
    empty = cost.Measured(first.stage, 1, 0, {}, 1.0, 1.0, 1.0, first.work)
    with pytest.raises(ConfigError, match="no document"):
        cost.estimate([empty, *rest], 10, PRICES.worker("spot"), PRICES.storage)


def test_the_command_prints_every_stage_and_the_age_of_the_prices(timed: Path) -> None:
    said = command("cost", timed, "--documents", "1000000000", "--on", "spot").stdout
    for word in ("extract", "filter", "dedupe", "shard", "vCPU hours", "USD"):
        assert word in said
    assert str(PRICES.worker("spot").noted) in said
    assert "mostly imports" not in said


def test_the_command_warns_of_few_seconds(timed: Path) -> None:
    for path in timed.glob("*/units/*.json"):
        record = json.loads(path.read_text())
        if "wall_s" in record:
            path.write_text(json.dumps({**record, "processor_s": 0.5}))
    assert "mostly imports" in command("cost", timed).stdout


def test_the_command_writes_json(timed: Path) -> None:
    found = json.loads(command("cost", timed, "--json", "--months", "12").stdout)
    assert found["currency"] == "USD"
    assert found["build"]["total"]["gb_months"] == pytest.approx(12 * estimated(timed).total.gb_months)
    assert "training" not in found


def test_the_command_adds_a_training_run(timed: Path) -> None:
    words = ("cost", timed, "--train", "tiny", "--gpu", "L4", "--gpus", "2")
    found = json.loads(command(*words, "--json").stdout)["training"]
    assert found["wall_hours"] == pytest.approx(found["hours"] / 2)
    assert found["price"] == pytest.approx(found["hours"] * PRICES.gpu("L4").hour)
    assert "hours of L4" in command(*words).stdout


def test_a_training_run_needs_the_vocabulary(timed: Path) -> None:
    shutil.rmtree(timed / "tokens")
    refused = command("cost", timed, "--train", "tiny", check=False)
    assert refused.returncode != 0
    assert "derlem build --until tokenize" in refused.stderr
