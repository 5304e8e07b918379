"""A model that was not trained, as a run is opened."""

from __future__ import annotations

from pathlib import Path

import torch
from token_shards import tokenizer

from corpus.tokenizer import Tokenizer
from trainer.config import Config, Data, Model
from trainer.load_run import LoadedRun
from trainer.model import build
from trainer.shape import shape


def model(bos: bool = True, length: int = 16) -> LoadedRun:
    """A model that was not trained."""
    pieces = Tokenizer(tokenizer())
    config = Config(model=Model(depth=1, width=16, head=8), data=Data(length=length))
    made = build(shape(config.model, pieces.vocabulary), 3, "cpu", torch.float32, 0.0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return LoadedRun(Path(), config, "", 0, made.eval(), pieces, bos, None)
