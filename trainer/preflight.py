"""What is checked before the first step of a run, and what is advised where memory runs out in one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from corpus.errors import ConfigError
from corpus.teller import Teller
from corpus.tokenizer.lost import TOO_LOW
from trainer import config, device, export, fast_tokenizer, spans, tokens
from trainer.loader import Batch
from trainer.order import Order
from trainer.shape import Shape, shape
from trainer.tokens import Tokens

_MOST_READ = 32  # times that a step may read a whole corpus: small ones are tried with large batches


def open_order(settings: config.Config, opened: Tokens, ranks: int) -> Order:
    """Return the order of windows; ConfigError if it cannot be read, or not be divided among the ranks."""
    tokens.held(opened)
    try:
        order = tokens.order(settings, opened)
    except ValueError as error:
        raise ConfigError(f"data: {error}") from None
    held = sum(int(stream.tokens.sum()) for stream in order.streams)
    for phase in order.phases:
        if phase.batch * phase.length > _MOST_READ * held:
            raise ConfigError(
                f"data.batch = {phase.batch:,}: one step of {phase.batch:,} windows of {phase.length:,} "
                f"tokens would read the corpus, {held:,} tokens, more than {_MOST_READ} times; expected at "
                f"most {max(1, _MOST_READ * held // phase.length):,}"
            )
        if 0 < settings.run.micro_batch < phase.length:
            raise ConfigError(
                f"run.micro_batch = {settings.run.micro_batch:,}: it counts tokens, and a window of this "
                f"run has {phase.length:,}; expected 0 or at least the longest window"
            )
        if settings.objective.name == "span-corruption" and phase.length < spans.SHORTEST:
            raise ConfigError(
                f"windows of {phase.length} tokens: span-corruption takes spans out of texts of at least "
                f"{spans.SHORTEST} tokens; set data.length, and the length of each phase, to that or more"
            )
        if phase.batch % ranks:
            raise ConfigError(
                f"data.batch = {phase.batch}: {ranks} ranks cannot share it evenly; take a multiple"
            )
    return order


def open_shape(settings: config.Config, opened: Tokens, on: torch.device, dtype: torch.dtype) -> Shape:
    """Return the model's shape; ConfigError if its sizes do not fit, or the device cannot compute it."""
    made = shape(settings.model, opened.vocabulary)
    device.check(made, on, dtype, settings.run.flash, settings.run.fp8)
    return made


def check_tokenizer(opened: Tokens, teller: Teller) -> None:
    """Report before the training what the tokenizer loses, and that the model cannot be exported with it.

    Raises DatasetError if it is not the one that the shards were made with.
    """
    pieces = tokens.model(opened)
    if not opened.lost.nothing:
        teller.say(f"{opened.lost}; bits per byte will be {TOO_LOW}", style="red")
    try:
        fast_tokenizer.check(pieces, opened.bos is not None)
    except ConfigError as error:
        teller.say(f"this model will train, but `derlem export` will refuse it: {error}", style="red")


def say_of_shape(made: Shape, encoder: bool, teller: Teller) -> None:
    """Report before the training that a model of these sizes cannot be exported."""
    try:
        export.check(made, encoder)
    except ConfigError as error:
        teller.say(f"this model will train, but `derlem export` will refuse it: {error}", style="red")


def say_of_repeats(settings: config.Config, order: Order, teller: Teller) -> None:
    """Name the other order to a run that reads its text twice or more and has not chosen its order."""
    times = order.tokens(order.steps) / sum(int(stream.tokens.sum()) for stream in order.streams)
    if times >= 2 and "permute" not in settings.data.model_fields_set:
        teller.say(
            f"it reads its text {times:.1f} times, in windows that are cut alike each time; "
            "--set data.permute=documents cuts others, from which little text taught more (docs/training.md)"
        )


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch could not allocate memory, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def too_large(settings: config.Run, batches: Sequence[Batch]) -> str:
    """Return what to change for micro-batches that did not fit into memory."""
    rows, width = max((batch.tokens.shape for batch in batches), key=lambda shape: shape[0])
    length = width - 1
    if rows > 1:
        advice = f"set it to {rows // 2 * length:,} or less"
    elif settings.recompute:
        advice = 'lower data.length or the model, or shard it over GPUs with run.parallel = "fsdp"'
    else:
        advice = "one window is the least: set run.recompute = true, or lower data.length"
    return (
        f"run.micro_batch = {settings.micro_batch}: out of memory on a device with "
        f"{rows * length:,} tokens at once ({rows:,} × {length:,}); {advice}"
    )
