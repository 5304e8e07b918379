"""Text to token ids and back without loss, by a SentencePiece model."""

from __future__ import annotations

import hashlib

import sentencepiece as spm

from corpus import files
from corpus.errors import NotThereError

FOLDER = "tokenizer"  # below a build's output folder: the folder of the trained model
MODEL = "tokenizer.model"  # its name there, and in the folder of token shards

_UINT16 = 1 << 16
_MULTIPLE = 128

# SentencePiece writes a blank as U+2581, so that it takes a U+2581 of the text for a blank. There it gets the
# three bytes of the sign instead, which every SentencePiece decoder gives back as they are.
_SIGN = "\u2581"
_SIGN_BYTES = tuple(f"<0x{byte:02X}>" for byte in _SIGN.encode())


class Tokenizer:
    """A SentencePiece model ready to use; `sha256` names its content, `vocabulary` counts its pieces.

    For a model of `corpus.tokenizer.train`, decode(encode(text)) == text for every text. A text that holds
    the name of a control piece, such as `<|endoftext|>`, gets no control id for it. `written`: the
    control ids that texts have nevertheless, none here.
    """

    written: tuple[int, ...] = ()

    def __init__(self, model: bytes, where: str = "the model") -> None:
        """Take a model's bytes; `where` names it in the DatasetError that a damaged one raises."""
        self.model = model
        self.sha256 = hashlib.sha256(model).hexdigest()
        self._pieces = spm.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise NotThereError(
                f"{where} is not a SentencePiece model: {str(error).splitlines()[0]}"
            ) from None
        self.vocabulary: int = self._pieces.GetPieceSize()
        self.bos: int = self._pieces.bos_id()  # -1 where the model has none
        self.eos: int = self._pieces.eos_id()
        self.unknown: int = self._pieces.unk_id()  # stands for text that no piece has
        self._sign = [self._pieces.PieceToId(piece) for piece in _SIGN_BYTES]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""
        head, *rest = text.split(_SIGN)
        ids: list[int] = self._pieces.EncodeAsIds(head)
        for stretch in rest:
            ids += self._sign
            ids += self._pieces.EncodeAsIds(stretch)
        return ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids; control ids have none, an id beyond the vocabulary raises IndexError."""
        text: str = self._pieces.DecodeIds(ids)
        return text

    def control(self, name: str) -> int | None:
        """Return the id of a control piece, such as those of `corpus.tokenizer.reserved`; None without it."""
        id: int = self._pieces.PieceToId(name)
        return id if self._pieces.IsControl(id) else None

    def piece(self, id: int) -> str:
        """Return a piece as the model writes it, blanks as U+2581."""
        text: str = self._pieces.IdToPiece(id)
        return text


def load(url: str) -> Tokenizer:
    """Read a SentencePiece model from a path or URL; DatasetError where there is none."""
    try:
        with files.open_bytes(url) as file:
            model = file.read()
    except OSError as error:
        raise NotThereError(f"{url}: cannot be read: {error.strerror or error}") from None
    return Tokenizer(model, url)


def padded(vocabulary: int) -> int:
    """Return the rows of the trained model's embedding: the vocabulary, rounded up to a multiple of 128.

    Matrices of such a width are multiplied fastest; the rows above the vocabulary are never a target.
    """
    return -(-vocabulary // _MULTIPLE) * _MULTIPLE


def fits_uint16(vocabulary: int) -> bool:
    """Return whether token shards of this vocabulary, padding included, hold 16 bits a token."""
    return padded(vocabulary) <= _UINT16
