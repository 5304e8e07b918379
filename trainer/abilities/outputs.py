"""A table of models' answers: one row for each model and item, from our checkpoints or from any program.

Columns (JSONL, Parquet, or CSV with lists as JSON); those with a star are required:

    model*           its name; models of one scale and size with different seeds need different names
    scale*           the quantity that orders models, above 0: parameters, tokens or FLOPs
    task*            items of one task are scored together
    id*              the item; a model answers an item once
    target           the right answer, or a list of all right ones
    prediction       what the model wrote, cut where the answer ends, without surrounding blanks
    options          answers to choose from
    gold             number of the right one, from 0
    option_nats      ln p(option | prompt) of each, over the whole vocabulary
    target_nats      ln p(target | prompt) of each right answer, in the order of `target`
    target_tokens    number of tokens of the first right answer, those of its target_nats
    target_bytes     number of its UTF-8 bytes; by default those of `target`
    digit_nats       ln p of each digit of the first right answer after the right ones before it, as written
    digit_right      whether each of these digits was the likeliest token at its place
    end_nats         ln p that no further digit follows the first right answer
    carry            for each of these digits: a carry comes into it (1), none (0), it is only the carry (2)
    chance           probability of an exact match by guessing

A metric is not computed for rows in which a column it needs is missing or empty; nothing is guessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from corpus.errors import OutputsError

_TINY = 1e-4  # how far rounding in half precision may lift a probability above 1


@dataclass(frozen=True, slots=True)
class Output:
    """A model's answer to an item; see the module's columns. None: not known."""

    model: str
    scale: float
    task: str
    id: str
    target: tuple[str, ...] = ()
    prediction: str | None = None
    options: tuple[str, ...] = ()
    gold: int | None = None
    option_nats: tuple[float, ...] = ()
    target_nats: tuple[float, ...] = ()
    target_tokens: int | None = None
    target_bytes: int | None = None
    digit_nats: tuple[float, ...] = ()
    digit_right: tuple[bool, ...] = ()
    end_nats: float | None = None
    carry: tuple[int, ...] = ()
    chance: float | None = None

    def __post_init__(self) -> None:
        """Raise OutputsError if columns contradict each other."""
        if not (self.scale > 0 and math.isfinite(self.scale)):
            self._wrong(f"scale {self.scale!r}: expected a number above 0")
        for name in ("option_nats", "target_nats", "digit_nats"):
            for value in getattr(self, name):
                self._logarithm(name, value)
        if self.end_nats is not None:
            self._logarithm("end_nats", self.end_nats)
        if self.option_nats:
            if not self.options:
                self._wrong("option_nats without options")
            if len(self.option_nats) != len(self.options):
                self._wrong(f"{len(self.option_nats)} option_nats for {len(self.options)} options")
            if self.gold is None or not 0 <= self.gold < len(self.options):
                self._wrong(f"gold {self.gold!r}: expected the number of one of {len(self.options)} options")
            if max(self.option_nats) == -math.inf:
                self._wrong("option_nats: every option has probability 0, so none can be chosen")
        if self.target_nats and len(self.target_nats) != len(self.target):
            self._wrong(f"{len(self.target_nats)} target_nats for {len(self.target)} targets")
        for name in ("digit_nats", "digit_right", "carry"):
            digits = sum(each in "0123456789" for each in self.target[0]) if self.target else 0
            held = getattr(self, name)
            if held and len(held) != digits:
                self._wrong(f"{len(held)} {name} for a target of {digits} digits")

    def _logarithm(self, name: str, value: float) -> None:
        if math.isnan(value) or value > _TINY:
            self._wrong(f"{name} has {value!r}: expected the natural logarithm of a probability, at most 0")

    def _wrong(self, what: str) -> None:
        raise OutputsError(f"{self.model}, {self.task}, item {self.id}: {what}")


_COLUMNS = {field.name: field for field in fields(Output)}
_NEEDED = ("model", "scale", "task", "id")
_LISTS = (
    "target",
    "options",
    "option_nats",
    "target_nats",
    "digit_nats",
    "digit_right",
    "carry",
)


def read(path: Path) -> list[Output]:
    """Read a table; other columns are ignored. Raises OutputsError that names what is wrong with it."""
    rows = _rows(path)
    found = set().union(*rows) if rows else set()
    if missing := [name for name in _NEEDED if name not in found]:
        raise OutputsError(
            f"{path}: no column {', '.join(missing)}; a table of outputs needs {', '.join(_NEEDED)} and may "
            f"have {', '.join(name for name in _COLUMNS if name not in _NEEDED)}"
        )
    outputs = [_output(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]
    check(outputs)
    return outputs


def write(outputs: Iterable[Output], path: Path) -> None:
    """Write JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for output in outputs:
            held = {name: value for name, value in asdict(output).items() if value not in (None, ())}
            file.write(json.dumps(held, ensure_ascii=False) + "\n")


def check(outputs: Sequence[Output]) -> None:
    """Raise OutputsError for an item answered twice by a model, and for a model of two scales."""
    scales: dict[str, float] = {}
    seen: set[tuple[str, str, str]] = set()
    for output in outputs:
        if scales.setdefault(output.model, output.scale) != output.scale:
            raise OutputsError(
                f"{output.model} has scale {scales[output.model]:g} and scale {output.scale:g}: give each "
                "checkpoint its own name"
            )
        key = (output.model, output.task, output.id)
        if key in seen:
            raise OutputsError(f"{output.model} answers item {output.id} of {output.task} twice")
        seen.add(key)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            return list(pyarrow.parquet.read_table(path).to_pylist())
        if path.suffix == ".csv":
            # An answer "007" is text, and so is "": types follow from the column's name, not from the value.
            names = pyarrow.csv.open_csv(path).schema.names
            convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
            return list(pyarrow.csv.read_csv(path, convert_options=convert).to_pylist())
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OutputsError(f"{path}: cannot be read as .jsonl, .parquet or .csv: {error}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise OutputsError(f"{path}: expected one JSON object per line")
    return rows


def _output(row: Mapping[str, Any], where: str) -> Output:
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        value = row.get(name)
        if value is None or (value == "" and name != "prediction"):
            continue
        try:
            values[name] = _value(name, value)
        except (TypeError, ValueError):
            raise OutputsError(f"{where}: {name} = {value!r} has the wrong type for this column") from None
    if missing := [name for name in _NEEDED if name not in values]:
        raise OutputsError(f"{where}: {', '.join(missing)} is empty")
    return Output(**values)


def _value(name: str, value: Any) -> Any:
    """Return a value of the column's type; lists may be written as JSON."""
    if name in _LISTS:
        if isinstance(value, str) and value.startswith("["):
            value = json.loads(value)
        held = value if isinstance(value, list) else [value]
        if name in ("target", "options"):
            return tuple(str(each) for each in held)
        if name == "digit_right":
            return tuple(_truth(each) for each in held)
        if name == "carry":
            return tuple(int(each) for each in held)
        return tuple(float(each) for each in held)
    if name in ("gold", "target_tokens", "target_bytes"):
        return int(value)
    if name in ("scale", "end_nats", "chance"):
        return float(value)
    return str(value)


def _truth(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise ValueError(value)
