"""The library face: what a notebook does with text in one line each (docs/library.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpus import privacy
from corpus.dedup import signature as minhash
from corpus.inspect.build import Build
from corpus.inspect.build import open_build as _open_build
from corpus.language import Language
from corpus.language import identify as _identify
from corpus.privacy import KINDS, Redacted
from corpus.text import charset, html, repair
from corpus.text.view import view


def extract(page: str | bytes, label: str | None = None) -> str:
    """Return the main text of an HTML page, repaired; empty where it has none.

    `page` is text, or bytes whose encoding is found as for a crawl: `label` is the charset that the server
    named, if it did. Raises `corpus.text.html.ExtractionError` where no text can be extracted.
    """
    text = page if isinstance(page, str) else charset.decode(page, label, html=True).text
    return repair.repair(html.extract(text)).text.strip()


def identify(text: str, model: str = "") -> Language:
    """Return the language of a text and how sure the identification is, as `tur_Latn` and 0 to 1.

    `model` is the path of a fastText model other than the packaged one.
    """
    return _identify(text, model)


def redact(text: str, kinds: tuple[str, ...] = KINDS) -> Redacted:
    """Return the text with personal data replaced by placeholders, and how many pieces of each kind.

    Raises ValueError for a kind that is not one of `corpus.privacy.KINDS`.
    """
    return privacy.redact(text, kinds)


def signature(text: str) -> NDArray[np.uint32]:
    """Return the MinHash signature of a text's 5-word shingles, uint32[112], as datasketch has it.

    The share of equal values of two signatures estimates the Jaccard similarity of their shingles.
    """
    seen = view(text)
    return minhash.signature(seen.folded, seen.word_starts, seen.word_ends)


def open_build(folder: str) -> Build:
    """Open the output folder of a build; `table(kind)` and `batches(kind)` give its rows as Arrow.

    Raises `corpus.dataset.NotThereError` where the folder holds no finished stage.
    """
    return _open_build(folder)
