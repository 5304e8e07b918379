"""The names of the files that derlem writes into a stage's folder, and the removal of leftovers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from corpus import dataset, files, temporary

UNITS = "units"
CLAIM = f"{UNITS}/stage.json"
INPUTS = f"{UNITS}/inputs.json"
INDEX = f"{UNITS}/records.arrow"

# The names that derlem gives: a unit's files, its records, and any of them half written. A folder may hold
# other files beside them, and those are never touched. Archives that one unit wrote are numbered.
_FINGERPRINT = "[0-9a-f]{16}"
_OURS = re.compile(
    rf"(.*[/-])?{_FINGERPRINT}(\.arrow|-\d{{5}}\.warc(\.wet)?\.gz)(\.tmp-[0-9a-f]{{8}})?"
    rf"|(manifest|report)\.json\.tmp-[0-9a-f]{{8}}"
    rf"|{UNITS}/({_FINGERPRINT}|spill\.tmp-|plan-{_FINGERPRINT}-|(stage|inputs)\.json|records\.arrow|worker-\d+\.log).*"
)
_TEMPORARY = re.compile(r".*\.tmp-[0-9a-f]{8}")
_RECORD = re.compile(rf"{_FINGERPRINT}\.json")


def is_record(name: str) -> bool:
    """Return whether a file among those of a stage's units, of this name, is the record of a unit."""
    return _RECORD.fullmatch(name) is not None


def sweep(folder: str, manifest: dataset.Manifest, listed: Iterable[str]) -> None:
    """Remove what derlem wrote and the manifest does not name: old outputs, leftovers of killed runs.

    `listed` are the names of the files below the folder.
    """
    root = files.filesystem(folder)[1]
    keep = {dataset.MANIFEST, dataset.REPORT, CLAIM, INPUTS, INDEX, *manifest.beside}
    for unit in manifest.units:
        keep |= {f"{UNITS}/{unit.fingerprint}.json", *(file.path for file in unit.files)}
    left = [name for name in listed if name not in keep and _OURS.fullmatch(name)]
    files.remove_all(folder, left)
    emptied = {str(parent) for name in left for parent in Path(root, name).parents}
    if files.is_local(folder):
        for directory, _, _ in os.walk(root, topdown=False):
            ours = directory in emptied or directory.startswith(os.path.join(root, UNITS, ""))
            if ours and not os.listdir(directory):
                os.rmdir(directory)


def sweep_temporaries(folder: str, listed: Iterable[str], beside: tuple[str, ...] = ()) -> None:
    """Remove what killed workers were writing, before new ones need the disk space; locally only.

    `listed` are the names of the files below the folder.
    """
    if not files.is_local(folder):
        return
    root = files.filesystem(folder)[1]
    for name in listed:
        whole, is_temporary, _ = name.rpartition(".tmp-")
        if is_temporary and _TEMPORARY.fullmatch(name) and (_OURS.fullmatch(name) or whole in beside):
            temporary.remove_abandoned(Path(root, name))
    temporary.remove_abandoned_folders(Path(root, UNITS), "spill.tmp-")
