"""What a run is: a record in its folder, written before the first step; every later start must match it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from corpus import dataset, files, settings, tokenizer
from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from trainer import records, tokens
from trainer.config import Config
from trainer.order import Order
from trainer.shape import Shape
from trainer.tokens import Tokens

RUN = "run.json"
RESULT = "result.json"
CHECKPOINTS = "checkpoints"

_FREE = ("evaluate.", "checkpoint.", "run.", "data.cache")
"""Keys that may change when a run resumes: they do not change its results, except for rounding."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A checkpoint of another run to start from."""

    folder: Path
    step: int


def branch(text: str) -> Branch:
    """Read RUN@STEP; raise ConfigError for anything else."""
    folder, at, step = text.rpartition("@")
    if not at or not folder or not step.isdecimal():
        raise ConfigError(f"--branch {text!r}: expected RUN@STEP, such as runs/trunk@4000")
    return Branch(Path(files.located(folder)), int(step))


def check(folder: Path, found: dict[str, Any]) -> None:
    """Compare the record of a run with what its folder holds; changes nothing.

    Raises ConfigError if the folder holds another run, or anything else, and DatasetError for other data.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name another one")
    held = read(folder)
    if held is None:
        # A process killed while it wrote the record leaves a temporary file of that name.
        if folder.exists() and not all(path.name.startswith(RUN) for path in folder.iterdir()):
            raise ConfigError(f"{folder}: holds files, but no run of derlem; name another folder")
        return
    differences = {
        name: pair
        for name, pair in _differences(completed(held["config"]), found["config"]).items()
        if not name.startswith(_FREE)
    }
    changed = [f"{name} was {was}, is {now}" for name, (was, now) in differences.items()]
    if list(differences) == ["data.tokens"] and (ended := result(folder)) is not None:
        raise ConfigError(
            f"{folder} holds a run that is finished ({changed[0]}); to train on more tokens, continue it in "
            f"a new folder: --output NEW --branch {folder}@{_last_at_peak(folder, held['config'], ended)}"
        )
    was, now = _origin(held), _origin(found)
    if was != now:
        changed.append(f"--branch was {was}, is {now}")
    if changed:
        raise ConfigError(
            f"{folder} holds a run with other settings: {'; '.join(changed)}; restore them, choose another "
            "--output, or continue it in a new folder with --branch RUN@STEP"
        )
    tokens.check(held.get("data", ""), found["data"])


def read(folder: Path) -> dict[str, Any] | None:
    """Return the record of a run, None if the folder holds none; raise ConfigError for a damaged one.

    Its corpus is where it is now: beside the run, as it was when the run started, or else where it then was.
    """
    held = records.read(folder, RUN, _Record)
    if held is not None:
        places = files.places_of(held["corpus"], held.get("beside", ""), str(folder))
        beside = len(places) > 1 and files.size(places[0], dataset.MANIFEST) is not None
        held["corpus"] = places[0] if beside else places[-1]
    return held


def config(folder: Path, record: dict[str, Any]) -> Config:
    """Return the configuration in a run's record; ConfigError if this version does not know it."""
    return settings.parse(Config, record["config"], f"{folder}/{RUN}")


def tokenizer_of(folder: Path, record: dict[str, Any]) -> Tokenizer:
    """Return the tokenizer in a run's folder; ConfigError if it is not the one that its record names."""
    found = tokenizer.load(files.join(str(folder), tokenizer.MODEL))
    named = record.get("tokenizer", found.sha256)
    if found.sha256 != named:
        raise ConfigError(
            f"{folder}/{tokenizer.MODEL} has {found.vocabulary:,} pieces ({found.sha256[:12]}), and is not "
            f"the tokenizer that the run was trained with ({named[:12]}): restore it from the token shards, "
            f"{record['corpus']}"
        )
    return found


def result(folder: Path) -> dict[str, Any] | None:
    """Return the result of a finished run, None before its end; raise ConfigError for a damaged one."""
    return records.read(folder, RESULT, _Result)


class _Origin(BaseModel):
    folder: str
    step: int


class _Record(BaseModel):
    """The fields of run.json that are read."""

    config: dict[str, Any]
    corpus: str
    data: str
    bos: bool
    branch: _Origin | None


class _Score(BaseModel):
    bits_per_byte: float
    standard_error: float | None
    documents: int


class _Result(BaseModel):
    """The fields of result.json that are read, except the numbers of studies."""

    steps: int
    tokens: int
    unique_tokens: int
    streams: dict[str, dict[str, int]]
    evaluation: dict[str, _Score] = {}


def write(folder: Path, found: dict[str, Any], opened: Tokens, shape: Shape) -> None:
    """Write the record of a run to its folder, with the parameters of its model, unless it exists.

    Raises ConfigError if that fails.
    """
    counts = {"parameters": shape.parameters, "active_parameters": shape.active_parameters}
    try:
        if files.size(str(folder), RUN) is None:
            beside = files.seen_from(opened.folder, str(folder))
            files.write_json(str(folder), RUN, {**found, **counts, "beside": beside})
        if files.size(str(folder), tokenizer.MODEL) is None:
            files.write_bytes(str(folder), tokenizer.MODEL, tokens.model(opened).model)
        files.sweep(str(folder), lambda name: name in (RUN, RESULT, tokenizer.MODEL))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to: {error.strerror}; name another folder") from None


def record(stated: Config, opened: Tokens, order: Order, branch: Branch | None) -> dict[str, Any]:
    """Return the record of a run: everything that its computation depends on."""
    return {
        "config": stated.model_dump(mode="json"),
        "corpus": files.real(opened.folder),
        "data": tokens.fingerprint(opened, order, 0),
        "tokenizer": opened.tokenizer,
        "bos": opened.bos is not None,
        "branch": None if branch is None else {"folder": str(branch.folder), "step": branch.step},
        "versions": {name: version(name) for name in ("derlem", "torch", "numpy")},
    }


def completed(stated: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the defaults of keys that it does not have: an older version wrote it."""
    try:
        return Config.model_validate(stated, strict=False).model_dump(mode="json")
    except ValidationError:  # it has a key or a value that this version does not know: shown as it is
        return stated


def _last_at_peak(folder: Path, config: dict[str, Any], ended: dict[str, Any]) -> int:
    """Return the step of the last checkpoint before the learning rate fell; of the last one if none was kept.

    A run that continues weights whose rate has fallen to the floor has to climb first, and loses by it.
    """
    from trainer.checkpoint import Checkpoints  # with torch, which `data order` does not wait for

    steps = Checkpoints(folder / CHECKPOINTS).steps()
    plan = config.get("schedule", {})
    peak = ended["steps"] * (1 - plan.get("decay", 0.2)) if plan.get("name", "wsd") == "wsd" else 0
    return max((step for step in steps if step <= peak), default=max(steps, default=ended["steps"]))


def _origin(record: dict[str, Any]) -> str:
    """Return the checkpoint that a run starts from, named independently of where its folder is."""
    branch = record["branch"]
    return "none" if branch is None else f"{Path(branch['folder']).name}@{branch['step']}"


def _differences(was: object, now: object, name: str = "") -> dict[str, tuple[object, object]]:
    """Return the keys whose values differ, dotted."""
    if isinstance(was, dict) and isinstance(now, dict):
        found: dict[str, tuple[object, object]] = {}
        for key in sorted(was.keys() | now.keys()):
            found |= _differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    return {} if was == now else {name: (was, now)}
