"""What rented machines and storage cost: a TOML file of list prices with their dates, and sums over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.resources import files as packaged
from pathlib import Path

from pydantic import Field

from corpus import settings
from corpus.errors import ConfigError
from corpus.settings import Section

FILE = "prices.toml"
_GB = 1e9


class Listed(Section):
    """A price from a list: for what and where, on which day, on which page."""

    where: str
    noted: date
    page: str


class Worker(Listed):
    """A processor that does the work of units, with its share of its machine's memory and disk."""

    vcpu_hour: float = Field(ge=0)
    memory_gb: float = Field(ge=0)
    memory_gb_hour: float = Field(ge=0)
    disk_gb: float = Field(ge=0)
    disk_gb_hour: float = Field(ge=0)
    shuffle_gb: float = Field(ge=0)

    @property
    def hour(self) -> float:
        """Return the price of an hour of one processor with its memory and disk."""
        return self.vcpu_hour + self.memory_gb * self.memory_gb_hour + self.disk_gb * self.disk_gb_hour


class Storage(Listed):
    """A bucket."""

    gb_month: float = Field(ge=0)


class Gpu(Listed):
    """One GPU with its share of its machine."""

    hour: float = Field(ge=0)
    spot_hour: float = Field(ge=0)


class Prices(Section):
    """All prices, in one currency."""

    currency: str
    workers: dict[str, Worker]
    storage: Storage
    gpus: dict[str, Gpu]

    def worker(self, name: str) -> Worker:
        """Return the processor called `name`; ConfigError where there is none."""
        if name not in self.workers:
            raise ConfigError(f"--on {name}: no such workers; the prices have {', '.join(self.workers)}")
        return self.workers[name]

    def gpu(self, name: str) -> Gpu:
        """Return the GPU called `name`; ConfigError where there is none."""
        if name not in self.gpus:
            raise ConfigError(f"--gpu {name}: no such GPU; the prices have {', '.join(self.gpus)}")
        return self.gpus[name]


def load(path: Path | None = None) -> Prices:
    """Read prices: those of a file, else the packaged ones; ConfigError for a file that cannot be used."""
    where = path if path is not None else Path(str(packaged("corpus") / FILE))
    try:
        return settings.parse(Prices, settings.read(where), str(where))
    except FileNotFoundError:
        raise ConfigError(f"--prices {where}: no such file") from None


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage needs: seconds of one processor, bytes that it leaves, bytes that are shuffled."""

    seconds: float
    bytes: int
    shuffled: int = 0

    def times(self, factor: float) -> Work:
        """Return the need of `factor` times as much input."""
        return Work(self.seconds * factor, round(self.bytes * factor), round(self.shuffled * factor))


@dataclass(frozen=True, slots=True)
class Price:
    """The hours of processors that work takes, the GB-months of what it leaves, and the price of both."""

    vcpu_hours: float
    gb_months: float
    work: float
    storage: float


def price(work: Work, worker: Worker, storage: Storage, slower: float = 1.0, months: float = 1.0) -> Price:
    """Return the price of work on processors that are `slower` times as slow as those it was measured on."""
    hours = work.seconds * slower / 3600
    kept = work.bytes / _GB * months
    shuffle = work.shuffled / _GB * worker.shuffle_gb
    return Price(hours, kept, hours * worker.hour + shuffle, kept * storage.gb_month)
