"""Averages of weights: the exponential moving average (EMA) of a run, and the mean of several checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainer.optim.shards import local
from trainer.optim.skip import lerp


class Ema:
    """An exponential moving average of a model's weights, in float32, sharded like the weights.

    After n updates it is exactly the mean of the n weights seen, weighted by decay^age (the bias correction
    of Adam's moments), so the initial weights, which it has not seen, never count.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"decay of the average: expected a number between 0 and 1, found {decay}")
        self._decay = decay
        self._parameters = dict(model.named_parameters()) | dict(model.named_buffers())
        self.weights = {name: p.detach().clone() for name, p in self._parameters.items()}
        first = next(iter(self.weights.values()))
        self._count = torch.zeros((), dtype=torch.int64, device=first.device)

    @torch.no_grad()
    def update(self, skip: Tensor | None = None) -> None:
        """Add the model's weights to the average after a step, unless `skip`, a bool scalar of the device."""
        self._count += 1 if skip is None else ~skip
        share = (1.0 - self._decay) / (1.0 - self._decay ** self._count.double())
        lerp(
            [local(weight) for weight in self.weights.values()],
            [local(parameter) for parameter in self._parameters.values()],
            share.float() if skip is None else share.float().masked_fill(skip, 0.0),
        )

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Swap the averaged weights into the model for the block, and swap them back after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange weights in place, one tensor at a time."""
        for name, parameter in self._parameters.items():
            held = parameter.detach().clone()
            parameter.copy_(self.weights[name])
            self.weights[name].copy_(held)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights by name and the number of updates."""
        return {"weights": dict(self.weights), "count": self._count}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        self._count.copy_(state["count"])


def mean(checkpoints: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average the weights of checkpoints, each a mapping of names to tensors, read one after another.

    Sums are float64, results have the first checkpoint's dtypes. Raises ValueError if there are none, or if
    one has other names or shapes than the first.
    """
    sums: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    count = 0
    for count, weights in enumerate(checkpoints, start=1):
        if count == 1:
            sums = {name: weight.detach().to(torch.float64, copy=True) for name, weight in weights.items()}
            dtypes = {name: weight.dtype for name, weight in weights.items()}
            continue
        expected = {name: tuple(total.shape) for name, total in sums.items()}
        found = {name: tuple(weight.shape) for name, weight in weights.items()}
        if found != expected:
            wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
            raise ValueError(
                f"checkpoint {count} differs from the first in {wrong[0]} (found {found.get(wrong[0])}, "
                f"expected {expected.get(wrong[0])}); average only checkpoints of the same model"
            )
        for name, weight in weights.items():
            sums[name] += weight.detach()
    if not count:
        raise ValueError("no checkpoints to average")
    return {name: (total / count).to(dtypes[name]) for name, total in sums.items()}
