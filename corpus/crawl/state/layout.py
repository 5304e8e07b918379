"""Where a crawl keeps what: its beginning, the frontier of each round, the rounds."""

from __future__ import annotations

from typing import Any

from corpus import dataset, files
from corpus.errors import DatasetError

BEGUN = "crawl.json"
FRONTIER = "frontier"
ROUNDS = "rounds"
UNITS = "units"
WARC = "warc"

RESTORE = "restore it, or crawl into another folder with --again, which takes on from what this one has"

Plan = dict[str, Any]
"""A round's plan, as its JSON holds it: what is due and what waits, hosts, pages before, files by bucket."""


def round_folder(folder: str, number: int) -> str:
    """Return the stage folder of a round, counted from 1."""
    return files.join(folder, ROUNDS, f"{number:04}")


def rounds(folder: str) -> int:
    """Return the number of rounds that were finished, whatever became of their files since."""
    number = 0
    while files.size(round_folder(folder, number + 1), dataset.MANIFEST) is not None:
        number += 1
    return number


def finished_rounds(folder: str, known: int = 0) -> int:
    """Return the number of rounds that are whole: up to the first that is not, or that has lost a file.

    The first `known` of them are taken for whole.
    """
    number = known
    while files.size(round_folder(folder, number + 1), dataset.MANIFEST) is not None:
        if gap(folder, number + 1):
            break
        number += 1
    return number


def gap(folder: str, number: int) -> str:
    """Return what a finished round has lost, by the sizes of its files; "" where that is nothing."""
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


def begun(folder: str) -> dict[str, Any] | None:
    """Read what a crawl began with: seeds, an earlier crawl, when; None where there is no crawl."""
    advice = "remove it and run the crawl's command again, with its seeds"
    found = _read(folder, BEGUN, advice)
    if found is not None and "seeds" not in found:
        raise DatasetError(f"{folder}/{BEGUN} is damaged (no seeds): {advice}")
    return found


def plan_name(number: int) -> str:
    """Give the name, in the frontier's folder, of a round's plan; its buckets' files begin with its stem."""
    return f"r{number:04}.json"


def plan(folder: str, number: int) -> Plan | None:
    """Read the plan of a round; None where it is not made yet."""
    return _read(files.join(folder, FRONTIER), plan_name(number), RESTORE)


def _read(folder: str, name: str, advice: str) -> dict[str, Any] | None:
    try:
        found = files.read_json(folder, name)
        if found is not None and not isinstance(found, dict):
            raise ValueError("not a table of keys")
    except ValueError as error:
        raise DatasetError(f"{folder}/{name} is damaged ({error}): {advice}") from None
    return found


def home(folder: str, fingerprint: str) -> str:
    """Return the working folder of a unit of a round's stage folder: journal and open archive."""
    return files.join(folder, UNITS, f"{fingerprint}.work")
