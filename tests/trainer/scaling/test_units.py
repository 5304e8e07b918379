"""Finished units stay finished when a later version has more keys; any other change trains them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.config import Config
from trainer.identity import RUN
from trainer.scaling.units import DONE, Unit

MADE = Config.model_validate(
    {
        "seed": 3,
        "model": {"depth": 2, "experts": {"count": 4}},
        "data": {"length": 64, "unique": 640},
        "optimizer": {"lr": 0.01},
        "schedule": {"warmup": 0.1},
        "evaluate": {"documents": 0},
        "run": {"device": "cpu"},
    }
)
FREE = ("run.", "checkpoint.", "data.cache")


def keys(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from keys(value, (*path, name))
        else:
            yield (*path, name), value


KEYS = dict(keys(MADE.model_dump(mode="json")))
DEFAULTS = dict(keys(Config().model_dump(mode="json")))


def unit(folder: Path, config: Config = MADE) -> Unit:
    return Unit("a", str(folder), "unit", "corpus", "corpus", "tokens", config, None, None)


def finished(folder: Path, config: dict[str, Any]) -> Unit:
    """Return a unit whose folder holds what a version with only these keys would have written."""
    made = unit(folder)
    made.path.mkdir(parents=True)
    record = {"config": config, "corpus": "corpus", "data": "", "bos": False, "branch": None}
    (made.path / RUN).write_text(json.dumps(record))
    decides = {key: value for key, value in config.items() if key not in ("run", "checkpoint")}
    decides["data"] = {key: config["data"][key] for key in config["data"] if not key.startswith("cache")}
    text = json.dumps([decides, "tokens", None], sort_keys=True)
    done = {"made_from": hashlib.sha256(text.encode()).hexdigest(), "row": None}
    (made.path / DONE).write_text(json.dumps(done))
    return made


def without(path: tuple[str, ...]) -> dict[str, Any]:
    """Return the configuration as a version writes it that does not have this key."""
    whole = MADE.model_dump(mode="json")
    table = whole
    for name in path[:-1]:
        table = table[name]
    del table[path[-1]]
    return whole


def test_all_sections_have_keys_at_their_defaults() -> None:
    at_default = {path[:-1] for path in KEYS if KEYS[path] == DEFAULTS[path]}
    assert at_default == {path[:-1] for path in KEYS}


def test_what_this_version_finished_is_finished(tmp_path: Path) -> None:
    assert finished(tmp_path, MADE.model_dump(mode="json")).trained


@pytest.mark.parametrize("path", [path for path in KEYS if KEYS[path] == DEFAULTS[path]], ids=".".join)
def test_a_new_key_at_its_default_keeps_a_finished_unit(tmp_path: Path, path: tuple[str, ...]) -> None:
    assert finished(tmp_path, without(path)).trained


@pytest.mark.parametrize("path", [path for path in KEYS if KEYS[path] != DEFAULTS[path]], ids=".".join)
def test_a_new_key_that_is_set_makes_the_unit_again(tmp_path: Path, path: tuple[str, ...]) -> None:
    assert finished(tmp_path, without(path)).trained is ".".join(path).startswith(FREE)


def test_a_section_that_is_new_keeps_a_finished_unit(tmp_path: Path) -> None:
    whole = MADE.model_dump(mode="json")
    del whole["objective"], whole["checkpoint"]
    assert finished(tmp_path, whole).trained


@pytest.mark.parametrize("change", [{"seed": 4}, {"z_loss": 0.1}])
def test_another_value_makes_the_unit_again_whatever_keys_it_had(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    finished(tmp_path, without(("optimizer", "cautious")))
    assert not unit(tmp_path, MADE.model_copy(update=change)).trained


def test_a_record_that_another_unit_left_finishes_nothing(tmp_path: Path) -> None:
    made = finished(tmp_path, without(("optimizer", "cautious")))
    record = json.loads((made.path / RUN).read_text())
    record["config"]["optimizer"]["momentum"] = 0.5
    (made.path / RUN).write_text(json.dumps(record))
    assert not made.trained
