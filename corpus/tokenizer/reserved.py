"""Pieces that every trained tokenizer reserves, so that a model can learn new jobs without a new vocabulary.

They are control pieces: no text is cut into them, and only programs write them.
"""

from __future__ import annotations

ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
"""Who speaks, in a chat."""

END = "<|end|>"
"""The end of a turn of a chat."""

PREFIX, SUFFIX, MIDDLE = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
"""Before the parts of a text whose middle is filled in (2207.14255)."""

MASK = "<|mask|>"
"""In place of a token that a masked language model predicts."""

_NAMED = (*ROLES, END, PREFIX, SUFFIX, MIDDLE, MASK)

SENTINELS = tuple(f"<|reserved_{number}|>" for number in range(32 - len(_NAMED)))
"""In place of spans of a text that are taken out of it, and before each of them in what is predicted."""

RESERVED = (*_NAMED, *SENTINELS)
"""All 32, in the order of their ids."""
