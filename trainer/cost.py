"""The cost of a planned training run: FLOPs by its shape and tokens, GPU hours by the GPU's peak."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.errors import ConfigError
from trainer.config import Config
from trainer.shape import flops, shape
from trainer.throughput import PEAKS, peak


@dataclass(frozen=True, slots=True)
class Training:
    """A planned run: `hours` are those of all GPUs together, `wall_hours` its duration."""

    parameters: int
    active_parameters: int
    tokens: int
    flops: float
    gpu: str
    gpus: int
    mfu: float
    hours: float

    @property
    def wall_hours(self) -> float:
        """Return the hours from start to end."""
        return self.hours / self.gpus


def plan(config: Config, vocabulary: int, gpu: str, gpus: int, mfu: float) -> Training:
    """Return the cost of a run on GPUs that reach a share `mfu` of their peak in bfloat16.

    Evaluation, checkpoints and work repeated after preemption are not included. ConfigError for a GPU
    whose peak is unknown.
    """
    top = peak(gpu, "bfloat16")
    if top is None:
        raise ConfigError(f"--gpu {gpu}: its peak is not known; known are {', '.join(PEAKS)}")
    sizes = shape(config.model, vocabulary)
    operations, tokens = 0.0, 0
    for count, length, batch in _phases(config):
        rounded = -(-count // (batch * length)) * batch * length
        tokens += rounded
        read, encoded = _sides(config)
        operations += read * rounded * flops(sizes, (length + 1) / 2, encoded)
    hours = operations / (top * mfu) / 3600
    return Training(sizes.parameters, sizes.active_parameters, tokens, operations, gpu, gpus, mfu, hours)


def _sides(config: Config) -> tuple[float, float]:
    """Return the tokens read for each of a text's, and the share of them that an encoder reads."""
    if config.model.kind != "encoder-decoder":
        return 1.0, 0.0
    taken, spans = config.objective.share, config.objective.share / config.objective.span
    return 1.0 + 2 * spans, (1.0 - taken + spans) / (1.0 + 2 * spans)


def _phases(config: Config) -> list[tuple[int, int, int]]:
    """Return the tokens, the window length and the batch of each phase, the last one included."""
    data = config.data
    found = [(each.tokens, each.length or data.length, each.batch or data.batch) for each in data.phases]
    return [*found, (data.tokens - sum(count for count, _, _ in found), data.length, data.batch)]
