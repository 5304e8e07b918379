"""The stage runner: what is done is not done again, what fails is explained, what is written adds up."""

from __future__ import annotations

import errno
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from commands.terminal import Terminal
from corpus import chain, dataset, files, versions
from corpus.counts import Counts
from corpus.errors import CountsError, DatasetError, DiskFullError, StageError
from corpus.schema import REJECTED
from corpus.teller import SILENT
from corpus.verify import find_faults
from pipelines import installed, lock, stage
from pipelines.options import Runner

QUIET = SILENT


def plan(
    folder: Path, work: stage.Work, names: list[str], setting: int = 1, spread: bool = False
) -> stage.Stage:
    settings: dict[str, object] = {"setting": setting}
    units = [
        stage.plan_unit("toy", 1, settings, name, (dataset.Input(name=name, checksum=name),), name, 10)
        for name in names
    ]
    return stage.Stage("toy", 1, str(folder), settings, tuple(units), work, spread)


def writer(done: list[str]) -> stage.Work:
    """Return a work function that writes one file a unit and notes the unit's name."""

    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        done.append(unit.name)
        with dataset.create(folder, f"{unit.fingerprint}.arrow", REJECTED, unit.fingerprint) as slot:
            pass
        assert slot.file is not None
        return stage.Outcome([slot.file], Counts(seen=3, kept=2, dropped={"toy.rule": 1}), {"step": 0.5})

    return work


def run(planned: stage.Stage) -> dataset.Manifest:
    return stage.run(planned, Runner(), QUIET)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all final files, without the records and the report, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and stage.UNITS not in path.parts and path.name != dataset.REPORT
    }


def test_a_finished_stage_has_a_manifest_a_report_and_right_checksums(tmp_path: Path) -> None:
    manifest = run(plan(tmp_path, writer([]), ["a", "b"]))
    assert manifest.counts() == Counts(seen=6, kept=4, dropped={"toy.rule": 2})
    assert dataset.load(str(tmp_path)) == manifest
    assert find_faults(str(tmp_path)) == []
    report = json.loads((tmp_path / dataset.REPORT).read_text())
    assert report["seconds"] == {"step": 1.0}
    assert report["counts"]["dropped"] == {"toy.rule": 2}


def test_units_are_done_once(tmp_path: Path) -> None:
    done: list[str] = []
    run(plan(tmp_path, writer(done), ["a", "b"]))
    run(plan(tmp_path, writer(done), ["a", "b", "c"]))
    assert done == ["a", "b", "c"]


def test_a_changed_setting_does_units_again_and_removes_what_the_old_one_made(tmp_path: Path) -> None:
    done: list[str] = []
    old = run(plan(tmp_path, writer(done), ["a"], setting=1))
    new = run(plan(tmp_path, writer(done), ["a"], setting=2))
    assert done == ["a", "a"]
    assert old.units[0].fingerprint != new.units[0].fingerprint
    assert [file.name for file in tmp_path.glob("*.arrow")] == [new.units[0].files[0].path]


def test_a_unit_whose_file_was_lost_is_done_again(tmp_path: Path) -> None:
    done: list[str] = []
    first = run(plan(tmp_path, writer(done), ["a", "b"]))
    (tmp_path / first.units[1].files[0].path).unlink()
    run(plan(tmp_path, writer(done), ["a", "b"]))
    assert done == ["a", "b", "b"]


def test_a_failed_unit_is_named_with_its_cause_and_the_next_run_goes_on(tmp_path: Path) -> None:
    done: list[str] = []
    good = writer(done)

    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        if unit.name == "b":
            raise OSError("no space left on device")
        return good(unit, folder, beat)

    with pytest.raises(StageError, match=r"toy stopped at b: OSError: no space left on device"):
        run(plan(tmp_path, work, ["a", "b"]))
    assert not (tmp_path / dataset.MANIFEST).exists()
    run(plan(tmp_path, good, ["a", "b"]))
    assert done == ["a", "b"]
    assert list((tmp_path / stage.UNITS).glob("*.error")) == []


def test_a_resumed_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    run(plan(tmp_path / "whole", writer([]), ["a", "b"]))
    run(plan(tmp_path / "halves", writer([]), ["a"]))
    run(plan(tmp_path / "halves", writer([]), ["a", "b"]))
    assert contents(tmp_path / "whole") == contents(tmp_path / "halves")


def test_counts_that_do_not_add_up_stop_the_stage(tmp_path: Path) -> None:
    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        return stage.Outcome([], Counts(seen=3, kept=1))

    with pytest.raises(CountsError, match="3 seen, but 1 kept"):
        run(plan(tmp_path, work, ["a"]))
    assert not (tmp_path / dataset.MANIFEST).exists()


def test_units_spread_with_beam_give_the_same_as_in_the_driver(tmp_path: Path) -> None:
    run(plan(tmp_path / "driver", writer([]), ["a", "b"]))
    run(plan(tmp_path / "beam", writer([]), ["a", "b"], spread=True))
    assert contents(tmp_path / "driver") == contents(tmp_path / "beam")


def test_remains_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    remains = [
        "parts/part-0123456789abcdef.arrow.tmp-12345678",
        "parts/part-0123456789abcdef.arrow",
        "warc/pages-0123456789abcdef-00001.warc.gz",
        "warc/pages-0123456789abcdef-00001.warc.gz.tmp-12345678",
        "wet/0123456789abcdef-00000.warc.wet.gz",
        "manifest.json.tmp-12345678",
        "units/0123456789abcdef.progress",
        "units/0123456789abcdef/edges/000001.npy",
        "units/spill.tmp-x1/3.arrow",
    ]
    for name in remains:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    run(plan(tmp_path, writer([]), ["a"]))
    assert [name for name in remains if (tmp_path / name).exists()] == []
    assert not (tmp_path / "parts").exists()
    assert not (tmp_path / "warc").exists()


def test_the_sweep_leaves_what_derlem_did_not_write(tmp_path: Path) -> None:
    run(plan(tmp_path, writer([]), ["a"]))
    own = ["notes.txt", "parts/mine.arrow", "parts/manifest.json", "x.tmp-notes", "units/readme"]
    own += ["parts/mine.warc.gz", "parts/0123456789abcdef.warc.gz"]
    for name in own:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "empty").mkdir()
    run(plan(tmp_path, writer([]), ["b"]))
    assert [name for name in own if not (tmp_path / name).exists()] == []
    assert (tmp_path / "empty").is_dir()


def test_a_folder_of_other_things_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("mine")
    with pytest.raises(StageError, match="holds files but no derlem stage"):
        run(plan(tmp_path, writer([]), ["a"]))
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert (tmp_path / "manifest.json").read_text() == "mine"


def test_a_stage_that_fails_says_why_it_failed_now(tmp_path: Path) -> None:
    def failing(name: str, cause: str) -> stage.Work:
        def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
            if unit.name == name:
                raise OSError(cause)
            return writer([])(unit, folder, beat)

        return work

    with pytest.raises(StageError, match="toy stopped at a: OSError: yesterday"):
        run(plan(tmp_path, failing("a", "yesterday"), ["a", "b"]))
    with pytest.raises(StageError, match="toy stopped at b: OSError: today"):
        run(plan(tmp_path, failing("b", "today"), ["a", "b"]))


def test_a_stage_that_changes_unfinishes_itself_and_what_is_made_from_it(tmp_path: Path) -> None:
    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        raise OSError("stopped")

    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        run(plan(folder, writer([]), ["a"]))
    stage.run(plan(first, writer([]), ["a"]), Runner(), QUIET, [str(second)])
    assert (second / dataset.MANIFEST).exists()
    with pytest.raises(StageError):
        stage.run(plan(first, work, ["a", "b"]), Runner(), QUIET, [str(second)])
    assert not (first / dataset.MANIFEST).exists()
    assert not (second / dataset.MANIFEST).exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"unit": 3}', b"\xff"])
def test_a_damaged_record_or_manifest_is_written_anew(tmp_path: Path, damage: bytes) -> None:
    done: list[str] = []
    manifest = run(plan(tmp_path, writer(done), ["a"]))
    (tmp_path / dataset.MANIFEST).write_bytes(damage)
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        dataset.load(str(tmp_path))
    (tmp_path / stage.UNITS / f"{manifest.units[0].fingerprint}.json").write_bytes(damage)
    assert run(plan(tmp_path, writer(done), ["a"])) == manifest
    assert done == ["a", "a"]


def test_a_stage_runs_on_any_file_system(tmp_path: Path) -> None:
    folder = f"memory://{tmp_path.name}/toy"
    planned = plan(tmp_path, writer([]), ["a", "b"])
    manifest = run(replace(planned, folder=folder))
    assert find_faults(folder) == []
    run(replace(plan(tmp_path, writer([]), ["b"]), folder=folder))
    fs, root = files.filesystem(folder)
    gone, stays = manifest.units
    assert not fs.exists(f"{root}/{gone.files[0].path}")
    assert fs.exists(f"{root}/{stays.files[0].path}")


def test_rows_that_are_not_those_of_the_counts_are_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = chain.Stage("toy", "toy", "nowhere:plan", "toy", "kept by toy", {"rejected": "rejected"})
    monkeypatch.setattr(chain, "STAGES", (toy,))

    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        outcome = writer([])(unit, folder, beat)
        return stage.Outcome(outcome.files, Counts(seen=1, rejected={"truncated": 1}))

    run(plan(tmp_path, work, ["a"]))
    assert find_faults(str(tmp_path)) == ["unit a: 0 rows in its rejected files, its counts say 1"]


def test_writing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        dataset.create(str(tmp_path), "a.arrow", REJECTED, "f"),
    ):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, the manifest says"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "SHA-256"),
    ],
)
def test_verify_names_what_is_damaged(tmp_path: Path, damage: Callable[[Path], object], fault: str) -> None:
    manifest = run(plan(tmp_path, writer([]), ["a"]))
    path = tmp_path / manifest.units[0].files[0].path
    damage(path)
    (found,) = find_faults(str(tmp_path))
    assert path.name in found
    assert fault in found


def test_verify_reads_each_byte_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = run(plan(tmp_path, writer([]), ["a", "b"]))
    read, usual = Counter[str](), files.open_bytes

    class Counted(io.RawIOBase):
        def __init__(self, url: str) -> None:
            self._file, self._name = usual(url), os.path.basename(url)

        def read(self, size: int = -1) -> bytes:
            data = self._file.read(size)
            read[self._name] += len(data)
            return data

    monkeypatch.setattr(files, "open_bytes", Counted)
    assert find_faults(str(tmp_path)) == []
    assert read == {file.path: file.bytes for unit in manifest.units for file in unit.files}


def test_a_stage_may_hold_archives_whose_bytes_are_verified(tmp_path: Path) -> None:
    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        path = f"warc/pages-{unit.fingerprint}-00000.warc.gz"
        written = files.write_bytes(folder, path, b"two records")
        archive = dataset.File(kind="warc", path=path, rows=2, bytes=written.bytes, sha256=written.sha256)
        return stage.Outcome([archive], Counts(seen=2, kept=2))

    manifest = run(plan(tmp_path, work, ["a"]))
    path = tmp_path / manifest.units[0].files[0].path
    assert path.read_bytes() == b"two records"
    assert find_faults(str(tmp_path)) == []
    path.write_bytes(b"two rec0rds")
    (found,) = find_faults(str(tmp_path))
    assert "SHA-256" in found


def test_a_worker_with_other_versions_than_the_driver_is_refused(tmp_path: Path) -> None:
    (unit,) = plan(tmp_path, writer([]), ["a"]).units
    driver = {**installed.here(), "derlem": "0.1.0 with code 0123456789ab", "pyarrow": "1.0"}
    with pytest.raises(StageError, match=r"derlem .* \(driver: 0.1.0 with code 0123456789ab\), pyarrow"):
        stage._do(unit, str(tmp_path), writer([]), driver)
    note = json.loads((tmp_path / stage.UNITS / f"{unit.fingerprint}.error").read_text())
    assert "from one commit" in note["error"]
    assert stage._do(unit, str(tmp_path), writer([]), dict(installed.here())).unit.name == "a"


def test_a_folder_without_manifest_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        dataset.load(str(tmp_path))


def test_a_checksum_names_content_and_not_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    assert files.checksum(str(tmp_path / "a")) == files.checksum(str(tmp_path / "b"))


def test_what_killed_runs_were_writing_goes_before_the_next_one_works(tmp_path: Path) -> None:
    remains = [
        "manifest.json.tmp-12345678",
        "report.json.tmp-12345678",
        "tokenizer.model.tmp-12345678",
        "parts/part-0123456789abcdef.arrow.tmp-12345678",
        "units/0123456789abcdef.json.tmp-12345678",
        "units/stage.json.tmp-12345678",
        "units/spill.tmp-abcd_012/3.arrow",
    ]
    others = [
        "x.model.tmp-12345678",
        "tokenizer.model.tmp-mine",
        "notes.tmp-12345678",
    ]
    for name in [*remains, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / stage.UNITS / "stage.json").write_text("{}")
    found: list[list[str]] = []

    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        found.append([name for name in remains if (tmp_path / name).exists()])
        return writer([])(unit, folder, beat)

    run(replace(plan(tmp_path, work, ["a"]), beside={"tokenizer.model": b"pieces"}))
    assert found == [[]]
    assert [name for name in others if not (tmp_path / name).exists()] == []


def test_the_probe_of_a_killed_run_goes_and_a_living_one_s_stays(tmp_path: Path) -> None:
    (tmp_path / ".writable.tmp-12345678").touch()
    (tmp_path / ".writable").touch()
    with files.create(str(tmp_path), ".writable"), lock.alone(str(tmp_path)):
        (living,) = tmp_path.iterdir()
        assert living.name.startswith(".writable.tmp-")


@pytest.mark.parametrize("name", ["manifest.json", "report.json", "tokenizer.model", "stage.json", "a.arrow"])
def test_a_full_disk_is_named_whatever_meets_it_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done: list[str] = []
    planned = replace(plan(tmp_path, writer(done), ["a"]), beside={"tokenizer.model": b"pieces"})
    usual = os.replace
    name = name if name != "a.arrow" else f"{planned.units[0].fingerprint}.arrow"

    def full(source: Path, target: str) -> None:
        if target.endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises((DiskFullError, StageError), match=f"{name}: not written: No space left on device"):
        run(planned)
    assert not (tmp_path / dataset.MANIFEST).exists()
    assert [path for path in tmp_path.rglob("*") if ".tmp-" in path.name] == []
    monkeypatch.setattr(os, "replace", usual)
    run(planned)
    assert find_faults(str(tmp_path)) == []


def test_a_full_disk_that_takes_no_note_of_the_error_either_is_still_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def work(unit: stage.Planned, folder: str, beat: Callable[..., None]) -> stage.Outcome:
        monkeypatch.setattr(os, "replace", full)
        return writer([])(unit, folder, beat)

    with pytest.raises(StageError, match=r"toy stopped: .*\.arrow: not written: No space left on device"):
        run(plan(tmp_path, work, ["a"]))


def test_an_upgrade_of_a_library_does_units_again_and_says_so(tmp_path: Path) -> None:
    done: list[str] = []
    said = []
    for version in ("6.3.1", "6.4.0", "6.4.0"):
        settings: dict[str, object] = {versions.KEY: {"ftfy": version}}
        given = [dataset.Input(name=name, checksum=name) for name in "ab"]
        units = tuple(stage.plan_unit("toy", 1, settings, each.name, (each,), each.name, 1) for each in given)
        planned = stage.Stage("toy", 1, str(tmp_path), settings, units, writer(done), spread=False)
        console = Console(file=io.StringIO(), width=200)
        stage.run(planned, Runner(), Terminal(console))
        said.append("ftfy 6.3.1 → 6.4.0: 2 units of toy are made again" in console.file.getvalue())
    assert done == ["a", "b", "a", "b"]
    assert said == [False, True, False]
