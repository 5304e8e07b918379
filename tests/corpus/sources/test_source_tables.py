"""What the table reader makes of Parquet and Arrow files, their columns and their damage."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import files
from corpus.config import Source
from corpus.errors import ConfigError
from corpus.items import Item, RawDocument, Rejected, Unreadable
from corpus.sources import read

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=100)
    return out.getvalue()


def arrow_file(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return out.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return out.getvalue()


KINDS = [("parquet", parquet), ("arrow", arrow_file), ("arrow", arrow_stream)]


def items(data: bytes, tmp_path: Path, kind: str, **more: object) -> list[Item]:
    path = tmp_path / "f"
    path.write_bytes(data)
    return list(read(Source(**{"name": "t", "format": kind, "paths": ("x",), **more}), str(path)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_rows_become_documents_in_order(kind: str, write: object, tmp_path: Path) -> None:
    table = pa.table(
        {
            "other": [[1]] * 1000,
            "url": [f"http://a.example/{row}" for row in range(1000)],
            "date": [NOON] * 1000,
            "text": [f"satır {row}" for row in range(1000)],
        }
    )
    found = items(write(table), tmp_path, kind)  # type: ignore[operator]
    assert found == [
        RawDocument(f"satır {row}", "text", f"http://a.example/{row}", row, NOON) for row in range(1000)
    ]


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_url_and_date_may_be_absent_and_a_null_text_is_rejected(
    kind: str, write: object, tmp_path: Path
) -> None:
    found = items(write(pa.table({"govde": ["a", None, "b"]})), tmp_path, kind, text_column="govde")  # type: ignore[operator]
    assert found[0] == RawDocument("a", "text", "", 0)
    assert isinstance(found[1], Rejected)
    assert (found[1].offset, found[1].cause) == (1, "null-text")
    assert found[2] == RawDocument("b", "text", "", 2)


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.string()]
)
def test_every_kind_of_string_column_is_text(kind: pa.DataType, tmp_path: Path) -> None:
    [item] = items(arrow_file(pa.table({"text": pa.array(["çay"]).cast(kind)})), tmp_path, "arrow")
    assert item == RawDocument("çay", "text", "", 0)


def test_binary_text_stays_undecoded(tmp_path: Path) -> None:
    [item] = items(parquet(pa.table({"text": [b"\xfe\xfd"]})), tmp_path, "parquet")
    assert item == RawDocument(b"\xfe\xfd", "text", "", 0)


def test_a_string_that_is_no_utf8_costs_no_other_row(tmp_path: Path) -> None:
    texts = [b"\xc3\xa7ay", b"\xfeeker", None, b"su"] * 200
    strings = pa.array(texts, pa.binary()).view(pa.string())
    found = items(parquet(pa.table({"text": strings, "url": strings})), tmp_path, "parquet")
    assert found[0] == RawDocument("çay", "text", "çay", 0)
    assert found[1] == RawDocument(b"\xfeeker", "text", "", 1)
    assert isinstance(found[2], Rejected)
    assert [item.offset for item in found] == list(range(800))


@pytest.mark.parametrize(
    "dates",
    [
        pa.array([NOON]).cast(pa.timestamp("s", "UTC")),
        pa.array([NOON.replace(tzinfo=None)])
        .cast(pa.timestamp("ns"))
        .cast(pa.int64())
        .cast(pa.timestamp("ns")),
        pa.array([int(NOON.timestamp()) * 10**9 + 1]).cast(pa.timestamp("ns")),
        pa.array([NOON]).cast(pa.timestamp("us", "Europe/Istanbul")),
        pa.array([int(NOON.timestamp())]),
        pa.array(["2024-05-01T15:00:00+03:00"]),
    ],
)
def test_every_kind_of_date_column_is_utc(dates: pa.Array, tmp_path: Path) -> None:
    [item] = items(parquet(pa.table({"text": ["a"], "date": dates})), tmp_path, "parquet")
    assert isinstance(item, RawDocument)
    assert item.fetched == NOON
    assert item.fetched is not None
    assert item.fetched.tzinfo is UTC


def test_a_calendar_day_is_its_midnight(tmp_path: Path) -> None:
    [item] = items(parquet(pa.table({"text": ["a"], "date": [date(2024, 5, 1)]})), tmp_path, "parquet")
    assert isinstance(item, RawDocument)
    assert item.fetched == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_a_missing_text_column_names_those_that_are_there(kind: str, write: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'t'.*'text'.*'body', 'url'"):
        items(write(pa.table({"body": ["a"], "url": ["b"]})), tmp_path, kind)  # type: ignore[operator]


def test_a_text_column_of_numbers_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="int64"):
        items(parquet(pa.table({"text": [1]})), tmp_path, "parquet")


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_a_text_over_the_limit_is_rejected(kind: str, write: object, tmp_path: Path) -> None:
    found = items(write(pa.table({"text": ["ç" * 600, "b"]})), tmp_path, kind, max_record_mb=1000 / (1 << 20))  # type: ignore[operator]
    assert isinstance(found[0], Rejected)
    assert found[0].cause == "oversized"
    assert found[1] == RawDocument("b", "text", "", 1)


TABLE = pa.table(
    {"text": [f"satır {row} " * 9 for row in range(300)], "url": [str(row) for row in range(300)]}
)
PACKED = [(kind, write(TABLE)) for kind, write in KINDS]


@pytest.mark.parametrize(("kind", "data"), PACKED, ids=["parquet", "file", "stream"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_file_cut_short_is_rejected_once(kind: str, data: bytes, share: float, tmp_path: Path) -> None:
    found = items(data[: int(share * len(data))], tmp_path, kind)
    rejected = [item for item in found if isinstance(item, Rejected | Unreadable)]
    assert [item.cause for item in rejected] == [f"bad-{kind}"]
    assert found[-1] is rejected[0]
    assert isinstance(found[-1], Unreadable if len(found) == 1 else Rejected)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packed=st.sampled_from(PACKED), where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_flipped_byte_never_raises(
    packed: tuple[str, bytes], where: float, change: int, tmp_path: Path
) -> None:
    data = bytearray(packed[1])
    data[int(where * len(data))] ^= change
    try:
        found = items(bytes(data), tmp_path, packed[0])
    except ConfigError:
        return  # the flip hit the text column's name or type
    assert (
        sum(isinstance(item, Rejected | Unreadable) and item.cause.startswith("bad-") for item in found) <= 1
    )


def test_a_page_with_a_wrong_checksum_is_rejected(tmp_path: Path) -> None:
    out = io.BytesIO()
    pq.write_table(TABLE, out, compression="none", use_dictionary=False, write_page_checksum=True)
    data = out.getvalue().replace("satır 7 ".encode(), "sakız 7 ".encode(), 1)
    [item] = items(data, tmp_path, "parquet")
    assert isinstance(item, Unreadable)
    assert item.cause == "bad-parquet"


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_failing_file_system_raises(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(files, "open_bytes", lambda path: Broken(PACKED[0][1]))
    with pytest.raises(OSError, match="the disk is gone"):
        list(read(Source(name="t", format=kind, paths=("x",)), "memory://x"))  # type: ignore[arg-type]


def test_a_missing_table_raises(tmp_path: Path) -> None:
    for kind in ("parquet", "arrow"):
        with pytest.raises(FileNotFoundError):
            list(read(Source(name="t", format=kind, paths=("x",)), str(tmp_path / "absent")))  # type: ignore[arg-type]


def sure(texts: list[str], **columns: pa.Array) -> pa.Table:
    return pa.table({"text": texts, **columns})


BEFORE_ALL_TIME = pa.array([-(2**62)], pa.timestamp("s"))
ODD_DATES = [
    pa.array([253402300800000], pa.timestamp("ms")),
    pa.array([253402300800000], pa.timestamp("ms", "Europe/Istanbul")),
    BEFORE_ALL_TIME,
    pa.array([-62135596801], pa.timestamp("s")),
    pa.array([2**31 - 1], pa.date32()),
    pa.array([-(2**31)], pa.date32()),
    pa.array([86_400_000 * 4 * 10**6], pa.date64()),
    pa.array([1], pa.duration("s")),
    pa.array([1], pa.time64("us")),
    pa.array([True]),
    pa.array([float("nan")]),
    pa.array([float("-inf")], pa.float16()),
    pa.array([2**63], pa.uint64()),
    pa.array([{"a": 1}]),
    pa.array([[1]]),
    pa.array([b"2024-05-01"]),
    pa.array([None], pa.null()),
    pa.array(["yesterday"], pa.large_string()),
    pa.array([1]).cast(pa.decimal128(30, 2)),
]


@pytest.mark.parametrize(
    ("kind", "write", "date"),
    [
        pytest.param(kind, write, date, id=f"{kind}-{date.type}")
        for kind, write in KINDS
        for date in ODD_DATES
        if (kind, date) != ("parquet", BEFORE_ALL_TIME)  # Parquet has milliseconds, which do not reach so far
    ],
)
def test_a_date_that_cannot_be_used_costs_nothing_else(
    date: pa.Array, kind: str, write: object, tmp_path: Path
) -> None:
    data = write(sure(["çay"], date=date, url=date))  # type: ignore[operator]
    [item] = items(data, tmp_path, kind)
    assert isinstance(item, RawDocument)
    assert item.content == "çay"
    assert item.fetched is None or item.fetched.year > 2200


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC+3", "Nowhere/City", "+03:00", "", None])
def test_an_unknown_time_zone_is_read_as_utc(unit: str, zone: str | None, tmp_path: Path) -> None:
    value = int(NOON.timestamp()) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    table = sure(["a"], date=pa.array([value], pa.timestamp(unit, zone)))
    [item] = items(arrow_file(table), tmp_path, "arrow")
    assert isinstance(item, RawDocument)
    assert item.fetched == NOON


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_a_column_null_throughout_rejects_its_rows(kind: str, write: object, tmp_path: Path) -> None:
    found = items(write(pa.table({"text": pa.array([None, None], pa.null())})), tmp_path, kind)  # type: ignore[operator]
    assert [item.cause for item in found if isinstance(item, Rejected)] == ["null-text", "null-text"]


@pytest.mark.parametrize(("kind", "write"), KINDS)
def test_two_columns_of_one_name_are_an_unreadable_file_where_they_are_the_text(
    kind: str, write: object, tmp_path: Path
) -> None:
    two = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    [item] = items(write(two), tmp_path, kind)  # type: ignore[operator]
    assert item == Unreadable("columns", "2 columns are named 'text', expected one")
    other = pa.Table.from_arrays([pa.array(["a"])] * 5, names=["url", "text", "url", "x", "x"])
    assert items(write(other), tmp_path, kind) == [RawDocument("a", "text", "", 0)]  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "write"), KINDS)
@pytest.mark.parametrize("nested", [True, False])
def test_a_column_name_that_is_no_utf8_costs_nothing_else(
    kind: str, write: object, nested: bool, tmp_path: Path
) -> None:
    extra = pa.array([{"elemEnt": [1]}]) if nested else pa.array([1])
    table = pa.table({"text": ["çay"], "url": ["u:1"], "ok" if nested else "elemEnt": extra})
    data = write(table)  # type: ignore[operator]
    assert b"elemEnt" in data
    found = items(data.replace(b"elemEnt", b"elem\xffnt"), tmp_path, kind)
    assert found == [RawDocument("çay", "text", "u:1", 0)]


@pytest.mark.parametrize(
    "text",
    [
        pa.array(["çay"], pa.string_view()),
        pa.array(["çay"]).dictionary_encode(),
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["çay"])),
        pa.array(["çay".encode()], pa.binary(4)),
        pa.array(["çay".encode()], pa.binary_view()),
        pa.array(["çay".encode()], pa.large_binary()),
    ],
    ids=lambda array: str(array.type),
)
def test_every_kind_of_text_and_url_column_is_read(text: pa.Array, tmp_path: Path) -> None:
    [item] = items(arrow_file(pa.table({"text": text, "url": text})), tmp_path, "arrow")
    assert isinstance(item, RawDocument)
    assert item.content in ("çay", "çay".encode())
    assert item.url == "çay"


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string()], ids=str)
@pytest.mark.parametrize("write", [arrow_file, arrow_stream])
def test_a_string_that_is_no_utf8_costs_no_other_row_of_arrow(
    kind: pa.DataType, write: Callable[[pa.Table], bytes], tmp_path: Path
) -> None:
    texts = pa.array([b"\xfeeker", b"su"], pa.binary() if kind == pa.string() else pa.large_binary()).view(
        kind
    )
    found = items(write(pa.table({"text": texts, "url": texts})), tmp_path, "arrow")
    assert [item.content for item in found if isinstance(item, RawDocument)] == [b"\xfeeker", b"su"]
    assert [item.url for item in found if isinstance(item, RawDocument)] == ["", "su"]


@pytest.mark.parametrize("column", ["url", "date"])
def test_a_list_that_cannot_be_read_costs_no_row_where_no_text_is_in_it(column: str, tmp_path: Path) -> None:
    lists = pa.array([["a"], None], pa.list_(pa.string(), 1))  # pyarrow writes it and cannot read it
    found = items(parquet(pa.table({"text": ["bir", "iki"], column: lists})), tmp_path, "parquet")
    assert found == [RawDocument("bir", "text", "", 0), RawDocument("iki", "text", "", 1)]
