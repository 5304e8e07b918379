"""Convert a SentencePiece model to a tokenizer.json for Hugging Face's `tokenizers`, with the same ids."""

from __future__ import annotations

import re
from typing import Any

from corpus.errors import ConfigError
from corpus.tokenizer import Tokenizer
from trainer.sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, USER, Model, read

_SIGN = "\u2581"


def convert(tokenizer: Tokenizer, bos: bool) -> dict[str, Any]:
    """Return the content of tokenizer.json; with `bos`, it puts the BOS piece before every text.

    Raises ConfigError for a model that changes text, because `Tokenizer` counts the bytes of the unchanged
    text, and for one that is neither unigram nor BPE with byte fallback.
    """
    check(tokenizer, bos)
    model = read(tokenizer.model)
    # Pieces contain blanks as they are, not as U+2581. So nothing is replaced in the text, and a U+2581 in
    # the text is a letter that no piece has, which becomes bytes here as in `Tokenizer`.
    names = [piece.text.replace(_SIGN, " ") for piece in model.pieces]
    kinds = [piece.kind for piece in model.pieces]
    added = [
        _added(number, name, special=kind != USER)
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True))
        if kind in (UNKNOWN, CONTROL, USER)
    ]
    if model.algorithm == "unigram":
        inner: dict[str, Any] = {
            "type": "Unigram",
            "unk_id": kinds.index(UNKNOWN),
            "vocab": [[name, piece.score] for name, piece in zip(names, model.pieces, strict=True)],
            "byte_fallback": True,
        }
    else:
        inner = {
            "type": "BPE",
            "dropout": None,
            "unk_token": names[kinds.index(UNKNOWN)],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {name: number for number, name in enumerate(names)},
            "merges": merges(
                [(n, p.score) for n, p in zip(names, model.pieces, strict=True) if p.kind == NORMAL]
            ),
        }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(model),
        "post_processor": _post_processor(names[tokenizer.bos], tokenizer.bos) if bos else None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": inner,
    }


def merges(pieces: list[tuple[str, float]]) -> list[list[str]]:
    """Return the pairs of pieces whose union is a piece, the best union first, from (piece, score).

    SentencePiece scores the union and takes the leftmost of equal ones; merges score the pair, so of pairs
    with equal unions the one with the longer left part comes first: it is further left in a run of one
    letter.
    """
    known = {text for text, _ in pieces}
    found = []
    for text, score in pieces:
        cuts = ((text[:cut], text[cut:]) for cut in range(len(text) - 1, 0, -1))
        found += [(-score, left, right) for left, right in cuts if left in known and right in known]
    found.sort(key=lambda merge: merge[0])
    return [[left, right] for _, left, right in found]


def check(tokenizer: Tokenizer, bos: bool) -> None:
    """Raise ConfigError for a tokenizer with which no model can be exported (`convert`)."""
    model = read(tokenizer.model)
    if model.changes:
        raise ConfigError(
            f"the tokenizer cannot be exported: it changes text before cutting: {', '.join(model.changes)}; "
            "only models that keep text unchanged, such as those of `derlem tokenizer train`, are supported"
        )
    if model.algorithm not in ("unigram", "bpe"):
        raise ConfigError(
            f"the tokenizer cannot be exported: its algorithm is {model.algorithm}, not unigram or bpe"
        )
    if sum(piece.kind == BYTE for piece in model.pieces) != 256:
        raise ConfigError(
            "the tokenizer cannot be exported: it has no pieces for the 256 bytes (byte_fallback)"
        )
    if bos and tokenizer.bos < 0:
        raise ConfigError("the tokenizer cannot be exported: texts must start with BOS, and it has none")


def _added(number: int, name: str, special: bool) -> dict[str, Any]:
    """Return the entry of a piece that is taken out of the text before the model sees it."""
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": name, **plain, "special": special}


def _pre_tokenizer(model: Model) -> dict[str, Any] | None:
    """Cut the names of pieces that are not text, such as `<0x41>`, after their first signs.

    SentencePiece never finds these in a text; Unigram would, because it knows pieces only by their names. The
    cut is where letters and signs meet, which no piece of a derlem model crosses.
    """
    if model.algorithm != "unigram":
        return None  # no merge makes them
    names = [piece.text for piece in model.pieces if piece.kind in (UNKNOWN, CONTROL)]
    halves = [(re.match(r"\W*", name)[0], name) for name in names]  # type: ignore[index]
    cuts = [f"{re.escape(signs)}(?={re.escape(name[len(signs) :])})" for signs, name in halves]
    pattern = "|".join([*cuts, "<(?=0x[0-9A-F]{2}>)"])
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "MergedWithPrevious", "invert": False}


def _post_processor(name: str, number: int) -> dict[str, Any]:
    special = {"SpecialToken": {"id": name, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    other = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [special, text],
        "pair": [special, text, {"SpecialToken": {"id": name, "type_id": 1}}, other],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
    }
