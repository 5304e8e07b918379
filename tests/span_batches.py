"""What the tests of spans share: batches of whole texts, and ids of EOS and sentinels."""

from __future__ import annotations

import torch

from trainer.loader import Batch

EOS, SENTINELS = 2, (90, 91, 92)


def batch_of(texts: list[list[int]], length: int) -> Batch:
    """Make rows of one whole text each, which end with EOS."""
    tokens = torch.zeros(len(texts), length + 1, dtype=torch.int32)
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor(text)
    begins = torch.arange(len(texts)) * length
    starts = torch.stack([begins, begins + lengths], 1).flatten()
    return Batch(
        tokens,
        torch.cat([starts, torch.tensor([len(texts) * length])]).int(),
        lengths,
        ends=torch.ones(len(texts), dtype=torch.bool),
        keys=torch.arange(len(texts)),
        targets=int((lengths - 1).sum()),
        attended=int((lengths * (lengths + 1) // 2).sum()),
        documents=len(texts),
    )
