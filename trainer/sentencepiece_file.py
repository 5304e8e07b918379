"""Read the pieces of a SentencePiece model file, and its treatment of text, which its API does not report."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Numbers of fields and values in sentencepiece_model.proto, which is part of the format and does not change.
# (The module that SentencePiece generates from it needs a newer protobuf than Beam allows.)
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_MODEL_TYPE = 3
_CHARSMAP, _DUMMY_PREFIX, _EXTRA_BLANKS, _ESCAPE_BLANKS = 2, 3, 4, 5
_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece as the model stores it, its score, and its kind in SentencePiece's numbers."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class Model:
    """The settings of a SentencePiece model; `changes` names what it does to text before cutting it."""

    pieces: tuple[Piece, ...]
    algorithm: str
    changes: tuple[str, ...]


def read(model: bytes) -> Model:
    """Read a serialised SentencePiece model."""
    pieces: list[Piece] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in _fields(model):
        if number == _PIECES:
            piece = dict(_fields(value))
            pieces.append(Piece(piece[1].decode(), _float(piece.get(2, bytes(4))), piece.get(3, NORMAL)))
        elif number == _TRAINER:
            trainer = dict(_fields(value))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(value))
    changes = {
        "its own normalisation": bool(normalizer.get(_CHARSMAP)),
        "a leading blank": normalizer.get(_DUMMY_PREFIX, 1),
        "extra blanks removed": normalizer.get(_EXTRA_BLANKS, 1),
        "blanks not escaped": not normalizer.get(_ESCAPE_BLANKS, 1),
    }
    return Model(
        tuple(pieces),
        _ALGORITHMS.get(trainer.get(_MODEL_TYPE, 1), "unknown"),
        tuple(name for name, is_so in changes.items() if is_so),
    )


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of a protobuf message's fields: integers, and bytes for all other types."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 5:
                size = 4
            case _:
                size, at = _varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _float(number: bytes) -> float:
    return float(struct.unpack("<f", number)[0])
