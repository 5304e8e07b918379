"""The files of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpus.schema.kind import Column, Kind


def _tokens(name: str, token: pa.DataType) -> Kind:
    return Kind(
        name,
        1,
        (
            Column(
                "tokens",
                pa.list_(pa.field("item", token, nullable=False)),
                "ids of the text: BOS where the configuration asks for it, the text's, and EOS",
            ),
            Column("bytes", pa.uint32(), "UTF-8 bytes of the text, to count bits by whatever the tokenizer"),
            Column("id", pa.string(), "id of the document"),
            Column("language", pa.string(), "ISO 639-3 code and script, e.g. tur_Latn"),
            Column("source", pa.string(), "name of the source in the configuration"),
            Column("copies", pa.uint32(), "how many documents this one stands for, itself included"),
        ),
    )


TOKENS16 = _tokens("tokens16", pa.uint16())  # a vocabulary, padding included, of at most 65,536
TOKENS32 = _tokens("tokens32", pa.uint32())


def token_dtype(kind: Kind) -> np.dtype[Any]:
    """Return the NumPy type of the ids in token shards of this kind."""
    # Not by Arrow's to_pandas_dtype, which takes most of a second to import pandas.
    return np.dtype(f"u{kind.schema().field('tokens').type.value_type.bit_width // 8}")
