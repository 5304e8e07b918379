"""Prices: the packaged file is whole and dated, a file of one's own is checked, and sums are right."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from corpus import prices
from corpus.errors import ConfigError
from corpus.prices import Storage, Work, Worker

ROOT = Path(__file__).parents[2]
WORKER = Worker.model_validate_json(
    '{"where": "here", "noted": "2025-01-02", "page": "x", "vcpu_hour": 0.05, "memory_gb": 4, '
    '"memory_gb_hour": 0.005, "disk_gb": 10, "disk_gb_hour": 0.001, "shuffle_gb": 0.5}'
)
STORAGE = Storage.model_validate_json(
    '{"where": "here", "noted": "2025-01-02", "page": "x", "gb_month": 0.02}'
)


def test_the_packaged_prices_are_dated_and_have_a_page() -> None:
    found = prices.load()
    listed = [*found.workers.values(), found.storage, *found.gpus.values()]
    assert len(listed) >= 5
    for each in listed:
        assert date(2024, 1, 1) < each.noted <= date.today()
        assert each.page.startswith("https://")


def test_infra_has_the_packaged_file() -> None:
    assert (ROOT / "infra" / "prices.toml").resolve() == (ROOT / "corpus" / "prices.toml").resolve()


def test_a_file_of_ones_own_takes_their_place(tmp_path: Path) -> None:
    text = (ROOT / "corpus" / "prices.toml").read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace('currency = "USD"', 'currency = "EUR"'), encoding="utf-8")
    assert prices.load(own).currency == "EUR"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("vcpu_hour = 0.056", "vcpu_hour = -1"), "workers.dataflow.vcpu_hour = -1"),
        (("noted = 2025-06-01", 'noted = "soon"'), "workers.dataflow.noted"),
        (("vcpu_hour", "cpu_hour"), "cpu_hour: unknown key"),
    ],
)
def test_a_wrong_price_is_named(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    text = (ROOT / "corpus" / "prices.toml").read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        prices.load(own)


def test_a_file_that_is_absent_and_names_that_are_unknown_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        prices.load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="dataflow, spot"):
        prices.load().worker("abacus")
    with pytest.raises(ConfigError, match="H100"):
        prices.load().gpu("abacus")


def test_the_price_of_work_by_hand() -> None:
    found = prices.price(Work(7200.0, 3_000_000_000, 2_000_000_000), WORKER, STORAGE, slower=1.5, months=2)
    assert found.vcpu_hours == pytest.approx(3.0)
    assert found.gb_months == pytest.approx(6.0)
    assert found.work == pytest.approx(3 * (0.05 + 4 * 0.005 + 10 * 0.001) + 2 * 0.5)
    assert found.storage == pytest.approx(6 * 0.02)


def test_work_grows_in_all_its_parts() -> None:
    assert Work(1.5, 10, 4).times(3) == Work(4.5, 30, 12)


def test_every_price_of_a_gpu_has_a_known_peak() -> None:
    from trainer.throughput import peak

    assert [name for name in prices.load().gpus if peak(name, "bfloat16") is None] == []
