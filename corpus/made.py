"""What a build was made from: its configuration, and the folder from which the paths in it start.

The record is stored beside the stages, for commands that name the build alone. The folder is stored by its
own path, and as seen from the build, which may be moved together with it.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from corpus import files
from corpus.config import Config, parse

RECORD = "units/build.json"


@dataclass(frozen=True, slots=True)
class Made:
    """A configuration as it was given, its output being where the build is now.

    `bases` are the folders where its file may be: beside the build, as it then was, and where it then was.
    """

    config: Config
    bases: tuple[Path, ...]

    def base(self, places: Iterable[str]) -> Path:
        """Return the first of `bases` from which all of some paths or globs are found; the first for none."""
        wanted = [place for place in places if files.is_local(place)]
        found = (base for base in self.bases if all(_is_there(place, base) for place in wanted))
        return next(found, self.bases[0])


def _is_there(place: str, base: Path) -> bool:
    path = files.located(place, base)
    return os.path.lexists(path) or next(glob.iglob(path, recursive=True), None) is not None


def write(config: Config, base: Path) -> None:
    """Store what a build is made from: the configuration as its file has it, and the folder of that file."""
    output = files.located(config.output, base)
    # As a text: the order of its keys is in the manifests.
    made = {
        "config": config.model_dump_json(exclude_unset=True),
        "base": str(base.resolve()),
        "beside": files.seen_from(str(base), output),
    }
    with suppress(ValueError):  # damaged
        if files.read_json(output, RECORD) == made:
            return
    files.write_json(output, RECORD, made)


def read(output: str) -> Made | None:
    """Return what the build in a folder was last made from; None where it does not say."""
    with suppress(ValueError, KeyError, TypeError):
        made = files.read_json(output, RECORD)
        if made is not None:
            config = parse(json.loads(made["config"]), files.join(output, RECORD))
            bases = files.places_of(made["base"], made.get("beside", ""), output)
            return Made(config.model_copy(update={"output": output}), tuple(map(Path, bases)))
    return None
