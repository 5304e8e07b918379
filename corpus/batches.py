"""The places of a token shard's record batches, as columns that are unpacked when they are read.

A corpus has half a million batches for 10^12 tokens. As lists of JSON they take most of the time in which a
manifest is read.
"""

from __future__ import annotations

import base64
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

_DIGEST = 16  # hexadecimal digits of an XXH3-64

_Value = TypeVar("_Value", int, str)


class _Column(Sequence[_Value], Generic[_Value]):
    """A column, kept as its text in JSON until a value is asked for."""

    __slots__ = ("_values", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: tuple[_Value, ...] | None = None

    @classmethod
    @abstractmethod
    def pack(cls, values: Iterable[_Value]) -> str:
        """Return the text of values."""

    @abstractmethod
    def unpack(self) -> tuple[_Value, ...]:
        """Return the values of the text."""

    @property
    def values(self) -> tuple[_Value, ...]:
        """Return all values, unpacked once."""
        if self._values is None:
            self._values = self.unpack()
        return self._values

    @overload
    def __getitem__(self, place: int) -> _Value: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[_Value]: ...
    def __getitem__(self, place: int | slice) -> _Value | Sequence[_Value]:
        return self.values[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return self.text == other.text
        return self.values == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return repr(self.values)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the column of a text or of values."""
        if isinstance(value, cls):
            return value
        return cls(value if isinstance(value, str) else cls.pack(value))

    @classmethod
    def text_of(cls, value: Any) -> str:
        """Return the text of a column or of values."""
        return cls.of(value).text


class Numbers(_Column[int]):
    """Numbers: in JSON little-endian 64-bit integers in Base64."""

    __slots__ = ()

    @classmethod
    def pack(cls, values: Iterable[int]) -> str:
        """Return the text of numbers."""
        return base64.b64encode(np.array(list(values), "<u8").tobytes()).decode()

    def array(self) -> NDArray[np.int64]:
        """Return the numbers as an array."""
        return np.frombuffer(base64.b64decode(self.text), "<i8")

    def unpack(self) -> tuple[int, ...]:
        """Return the numbers."""
        return tuple(self.array().tolist())

    def __len__(self) -> int:
        return len(self.text) * 3 // 4 // 8  # the padding is less than a number


class Digests(_Column[str]):
    """XXH3-64 checksums of 16 hexadecimal digits: in JSON end to end."""

    __slots__ = ()

    @classmethod
    def pack(cls, values: Iterable[str]) -> str:
        """Return the text of checksums."""
        return "".join(values)

    def unpack(self) -> tuple[str, ...]:
        """Return the checksums."""
        return tuple(self.text[at : at + _DIGEST] for at in range(0, len(self.text), _DIGEST))

    def __len__(self) -> int:
        return len(self.text) // _DIGEST


_Numbers = Annotated[
    Numbers,
    PlainValidator(Numbers.of),
    PlainSerializer(Numbers.text_of, return_type=str, when_used="json"),
]
_Digests = Annotated[
    Digests,
    PlainValidator(Digests.of),
    PlainSerializer(Digests.text_of, return_type=str, when_used="json"),
]


class Batches(BaseModel):
    """The record batches of a token shard, column by column: position, content, checksum.

    A batch is read by one ranged read, without the file's footer (`dataset.read_batch`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset: _Numbers
    length: _Numbers
    documents: _Numbers
    tokens: _Numbers
    xxh3: _Digests  # of the `length` bytes at `offset`


NONE = Batches(
    offset=Numbers(""), length=Numbers(""), documents=Numbers(""), tokens=Numbers(""), xxh3=Digests("")
)
"""The batches of a shard without rows."""
