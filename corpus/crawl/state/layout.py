"""The files of a crawl: its start, the frontier of each round, the rounds."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from corpus import dataset, files
from corpus.errors import DatasetError

START = "crawl.json"
FRONTIER = "frontier"
ROUNDS = "rounds"
UNITS = "units"
WARC = "warc"

RESTORE = "restore it, or start a new crawl in another folder with --again and this folder"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Start(_Stored):
    """The start of a crawl: normalized seeds, the folder of an earlier crawl ("" for none), and the time."""

    seeds: tuple[str, ...]
    earlier: str = ""
    began: str


class Bucket(_Stored):
    """A unit of a round: its number of due URLs, and its files of FRONTIER and ORIGINS."""

    name: str
    due: int
    frontier: dataset.Input
    origins: dataset.Input


class Plan(_Stored):
    """The plan of a round: due and waiting URLs, origins of those due, pages fetched before it, its units."""

    due: int
    waiting: int
    origins: int
    pages: int
    buckets: tuple[Bucket, ...] = ()


_Model = TypeVar("_Model", bound=_Stored)


def round_folder(folder: str, number: int) -> str:
    """Return the stage folder of a round, counted from 1."""
    return files.join(folder, ROUNDS, f"{number:04}")


def rounds(folder: str) -> int:
    """Return the number of finished rounds, even if files of them are lost."""
    number = 0
    while files.size(round_folder(folder, number + 1), dataset.MANIFEST) is not None:
        number += 1
    return number


def finished_rounds(folder: str, known: int = 0) -> int:
    """Return the number of complete rounds: up to the first that is unfinished or has lost a file.

    The first `known` rounds are not checked.
    """
    number = known
    while files.size(round_folder(folder, number + 1), dataset.MANIFEST) is not None:
        if gap(folder, number + 1):
            break
        number += 1
    return number


def gap(folder: str, number: int) -> str:
    """Return what a finished round has lost, by the sizes of its files; "" if nothing."""
    home = round_folder(folder, number)
    if files.size(home, dataset.MANIFEST) is None:
        return ""
    for unit in dataset.load(home).units:
        for file in unit.files:
            size = files.size(home, file.path)
            if size is None:
                return f"{files.join(home, file.path)} is gone"
            if size != file.bytes:
                return f"{files.join(home, file.path)} has {size:,} bytes, {file.bytes:,} were written"
    return ""


def start(folder: str) -> Start | None:
    """Read the start of a crawl; None if there is no crawl."""
    return _read(Start, folder, START, "remove it and run the crawl's command again, with its seeds")


def plan_name(number: int) -> str:
    """Return the name of a round's plan in the frontier's folder; its stem starts the names of unit files."""
    return f"r{number:04}.json"


def plan(folder: str, number: int) -> Plan | None:
    """Read the plan of a round; None if there is none yet."""
    return _read(Plan, files.join(folder, FRONTIER), plan_name(number), RESTORE)


def _read(model: type[_Model], folder: str, name: str, advice: str) -> _Model | None:
    try:
        found = files.read_json(folder, name)
        return None if found is None else model.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        cause = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        cause = str(error)
    raise DatasetError(f"{folder}/{name} is damaged ({cause}): {advice}")


def home(folder: str, fingerprint: str) -> str:
    """Return the working folder of a unit, in a round's stage folder: journal and open archive."""
    return files.join(folder, UNITS, f"{fingerprint}.work")
