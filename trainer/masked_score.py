"""The score of masked tokens and of spans: nats for each token of a fixed choice; never bits per byte.

Bits per byte need the probability of a whole text, which such models do not give. The masked tokens are
chosen one by one, also for a model that learned whole words. The choice depends on documents, window and
share alone, so models of one tokenizer and objective can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import nn

from trainer.attention import Documents
from trainer.evaluate import FORWARD_TOKENS, Sample
from trainer.loader import Batch
from trainer.loss import IGNORED
from trainer.objective import Objective, unpack
from trainer.world import World

NAMES = {
    "masked": ("masked", "masked held-out token"),
    "span-corruption": ("spans", "held-out token of spans"),
}
"""What is scored, by the name of the objective: its key in results, and in words."""


@dataclass(frozen=True, slots=True)
class MaskedScore:
    """The mean nll (nats) of `tokens` that were masked or taken out of `documents`, and its exponential."""

    documents: int
    tokens: int
    nats: float
    perplexity: float


def score(
    model: nn.Module,
    sample: Sample,
    length: int,
    learned: Objective,
    device: torch.device,
    world: World | None = None,
) -> MaskedScore:
    """Score a sample's documents, cut into windows of at most `length` tokens, one document to a row.

    The model is called as in training, and every rank calls it as often as the others; all return the same.
    """
    cut = [
        (document.tokens[start : start + length], xxhash.xxh3_64_intdigest(f"{document.id} {start}".encode()))
        for document in sample.documents
        for start in range(0, document.tokens.size, length)
    ]
    learned = replace(learned, words=None)
    rank, size = (world.rank, world.size) if world is not None else (0, 1)
    rows = max(1, min(FORWARD_TOKENS // length, -(-len(cut) // size)))
    sums = torch.zeros(2, dtype=torch.float64, device=device)  # nats, tokens
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(cut), rows * size):
                batch = _batch(cut[first + rank * rows :][:rows], rows, length)
                inputs, targets, documents = unpack(batch, device, learned)
                _, nll = model(inputs, documents, targets)
                scored = targets != IGNORED
                if (
                    isinstance(documents, Documents) and documents.prefix is not None
                ):  # windows too short for spans stay whole
                    scored &= documents.prefix.inside.any(1, keepdim=True)
                sums += torch.stack([nll[scored].sum(dtype=torch.float64), scored.sum()])
    finally:
        model.train(training)
    nats, tokens = (sums if world is None else world.total(sums)).tolist()
    mean = nats / tokens if tokens else math.nan
    return MaskedScore(len(sample.documents), int(tokens), mean, math.exp(mean) if mean < 700 else math.inf)


def _batch(cut: list[tuple[NDArray[np.int64], int]], rows: int, length: int) -> Batch:
    """Make a batch of `rows` windows of one document each; rows that are missing hold no token."""
    tokens, lengths, keys = np.zeros((rows, length + 1), np.int32), np.zeros(rows, np.int32), [0] * rows
    for row, (ids, key) in enumerate(cut):
        tokens[row, : ids.size], lengths[row], keys[row] = ids, ids.size, key
    begins = np.arange(rows) * length
    starts = np.append(np.stack([begins, begins + lengths], 1).ravel(), rows * length)
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(starts.astype(np.int32)),
        torch.from_numpy(lengths),
        torch.ones(rows, dtype=torch.bool),  # no token follows a window's last
        torch.from_numpy(np.array(keys, np.uint64).view(np.int64)),
        targets=0,
        attended=0,
        documents=len(cut),
    )
