"""What a command cannot write to is named before it begins, with the cause."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from corpus import places
from corpus.errors import ConfigError


@pytest.mark.parametrize(
    ("flag", "why"), [(os.ST_RDONLY, "a read-only file system holds"), (0, "no permission to write in")]
)
@pytest.mark.parametrize(("name", "which"), [("there", "the folder,"), ("there/new", "the folder above it,")])
def test_the_cause_is_that_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, why: str, name: str, which: str
) -> None:
    (tmp_path / "there").mkdir()
    places.writable(str(tmp_path / name), "output")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=flag))
    with pytest.raises(ConfigError, match=rf"{why} {which} {tmp_path / 'there'}; name another folder$"):
        places.writable(str(tmp_path / name), "output")
