"""Files appear whole or not at all, on any file system; paths lead where the user meant."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import files
from corpus.errors import ConfigError, DiskFullError

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    "name", ["a::b", "::", "a::memory", "file::x", "a:", "simplecache::o", "x?y#z", "[a]*"]
)
def test_a_local_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_text("a neighbour")
    files.write_bytes(str(tmp_path / name), "one.txt", b"1")
    assert (tmp_path / name / "one.txt").read_bytes() == b"1"
    assert files.size(str(tmp_path / name), "one.txt") == 1
    files.remove(str(tmp_path / name), "one.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"a", name})
    assert (tmp_path / "a").read_text() == "a neighbour"


@given(NAMES)
def test_any_local_path_is_itself(name: str) -> None:
    fs, path = files.filesystem(f"/folder/{name}")
    assert path == os.path.abspath(f"/folder/{name}")
    assert fs._strip_protocol(f"/folder/{name}x") == f"/folder/{name}x"
    assert files.is_local(f"/folder/{name}")


def test_a_remote_name_with_two_colons_is_refused() -> None:
    files.write_bytes("memory://colons/a", "one", b"a neighbour")
    for name in ("memory://colons/a::b", "memory://colons/a::file", "memory://colons/a::memory/x"):
        with pytest.raises(ConfigError, match="must stand before another URL"):
            files.write_bytes(name, "one", b"1")
    fs, path = files.filesystem("memory://colons/a/one")
    assert fs.cat_file(path) == b"a neighbour"


def test_a_chain_of_urls_is_still_one(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr("in.txt", "inside")
    fs, path = files.filesystem(f"zip://in.txt::file://{tmp_path}/b.zip")
    assert fs.cat_file(path) == b"inside"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("o", "/base/o"),
        ("../o/", "/o"),
        ("./o//x", "/base/o/x"),
        ("/o", "/o"),
        ("file:///o", "/o"),
        ("local:///o", "/o"),
        ("file://o", "/base/o"),
        ("~/o", f"{os.path.expanduser('~')}/o"),
        ("a::b", "/base/a::b"),
        ("gs://bucket/o/", "gs://bucket/o/"),
        ("memory://o", "memory://o"),
    ],
)
def test_a_path_starts_from_its_base(text: str, path: str) -> None:
    assert files.located(text, "/base") == path
    assert files.located(path, "/elsewhere") == path


def test_a_path_without_a_base_starts_from_where_the_user_stands() -> None:
    assert files.located("file://a/../b") == "b"


def test_a_link_before_dots_leads_to_the_neighbour_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "far" / "dir").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "dir")
    assert files.located("link/../o", tmp_path) == str(tmp_path.resolve() / "far" / "o")


def test_all_ways_to_write_a_place_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "o")
    monkeypatch.chdir(tmp_path)
    ways = ["o", "o/", "./x/../o", "link", f"file://{tmp_path}/o", f"{tmp_path}//o/", f"{tmp_path}/link/../o"]
    assert {files.real(way) for way in ways} == {os.path.realpath(tmp_path / "o")}
    assert files.real("memory://a//b/") == files.real("memory://a/b")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFullError) as caught:
        files.write_bytes(str(tmp_path), "a/one.txt", b"1")
    assert str(tmp_path / "a" / "one.txt") in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert list((tmp_path / "a").iterdir()) == []
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


WRITE_TOO_MUCH = """
import resource, sys
from corpus import files
from corpus.errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    with files.create(sys.argv[1], "big") as pending:
        pending.sink.write(b"x" * 4000)  # held in a buffer, which closing would write again
        pending.sink.write(b"x" * 4000)
        pending.sink.write(b"x" * 4000)
except DiskFullError as error:
    print(error)
"""


def test_a_file_that_meets_the_limit_of_the_system_leaves_nothing(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (
        found.stdout
        == f"{tmp_path}/big: not written: File too large; raise the limit on file sizes (ulimit -f)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.write_bytes(str(tmp_path / "file"), "x", b"")


def test_temporaries_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    names = [
        "one.txt.tmp-0123abcd",
        "two.txt.tmp-0123abcd",
        "one.txt.tmp-notes",
        "one.txt",
        "one.txt.tmp-0123abcde",
    ]
    for name in names:
        (tmp_path / name).write_text("half")
    with files.create(str(tmp_path), "one.txt") as pending:
        pending.sink.write(b"whole")
        (living,) = {path.name for path in tmp_path.iterdir()} - set(names)
        files.sweep(str(tmp_path), lambda name: name == "one.txt")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*names[1:], living})
    assert (tmp_path / "one.txt").read_text() == "whole"
    files.sweep(str(tmp_path / "none"), lambda name: True)


def test_who_writes_a_file_anew_removes_what_killed_runs_left_of_it(tmp_path: Path) -> None:
    for name in ("a.json.tmp-0123abcd", "b.json.tmp-0123abcd"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    files.write_json(str(tmp_path), "in/a.json", {}, sweeps=True)
    files.write_json(str(tmp_path / "in"), "c.json", {}, sweeps=True)
    assert files.names(str(tmp_path / "in")) == {"a.json", "b.json.tmp-0123abcd", "c.json"}
    assert files.names(str(tmp_path / "none")) == set()
