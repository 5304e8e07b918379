"""Where words start, by the pieces of a tokenizer: for whole-word masking."""

from __future__ import annotations

import torch
from torch import Tensor

from corpus.tokenizer import Tokenizer
from trainer.sentencepiece_file import BYTE, CONTROL, UNKNOWN, USER, read

CONTINUES, STARTS, ALONE = range(3)
_BLANK = "\u2581"  # SentencePiece's mark of a blank, at the start of a word


def kinds(tokenizer: Tokenizer) -> Tensor:
    """Return int8 [vocabulary]: whether a piece CONTINUES a word, STARTS one, or is one ALONE.

    Pieces with the mark of a blank start a word. Signs without letters, control pieces and line breaks are
    words of their own, as in BERT, and the piece after one starts a word too; a piece such as `'nin`
    continues its word.
    """
    pieces = read(tokenizer.model).pieces
    return torch.tensor([_kind(each.text, each.kind) for each in pieces], dtype=torch.int8)


def starts(tokens: Tensor, first: Tensor, kinds: Tensor) -> Tensor:
    """Return bool [rows, length]: whether a word starts at a token; `first`: a document does."""
    kind = kinds.to(tokens.device, non_blocking=True)[tokens]
    after = torch.zeros_like(first)
    after[:, 1:] = kind[:, :-1] == ALONE
    return first | after | (kind != CONTINUES)


def _kind(text: str, kind: int) -> int:
    if kind in (CONTROL, UNKNOWN, USER):
        return ALONE
    if kind == BYTE:  # line breaks, signs without a piece, and parts of letters
        byte = int(text[1:-1], 16)
        return CONTINUES if byte >= 0x80 or chr(byte).isalnum() else ALONE
    if text.startswith(_BLANK):
        return STARTS
    return CONTINUES if any(letter.isalnum() for letter in text) else ALONE
