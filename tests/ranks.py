"""Runs a function of a test in processes of its own: as ranks over gloo, or as one that may be killed."""

from __future__ import annotations

import importlib.util
import inspect
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest

_LONGEST = 120.0  # seconds


def on_ranks(function: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """Call function(world, *arguments), of a test module's top level, on ranks; give what each returned."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [_start(function, arguments, (rank, size, port)) for rank in range(size)]
    answers = [_answer(process, receiver) for process, receiver in started]
    failures = [failure for _, failure in answers if failure is not None]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
    return [result for result, _ in answers]


def process(function: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start function(*arguments), of a test module's top level, in a process."""
    started, _ = _start(function, arguments, None)
    return started


def _start(
    function: Callable[..., Any], arguments: tuple[Any, ...], launch: tuple[int, int, int] | None
) -> tuple[ForkServerProcess, Connection]:
    """Fork from a server that has imported torch and done nothing: quick, and safe beside threads."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["pytest", "trainer.checkpoint", "trainer.optim", "trainer.model"])
    receiver, sender = context.Pipe(duplex=False)
    source = inspect.getsourcefile(function)
    started = context.Process(target=_run, args=(source, function.__name__, arguments, launch, sender))
    started.start()
    sender.close()
    return started, receiver


def _answer(started: ForkServerProcess, receiver: Connection) -> tuple[Any, str | None]:
    """Wait for what a process returned, or why it failed."""
    try:
        answer: tuple[Any, str | None] = (
            receiver.recv() if receiver.poll(_LONGEST) else (None, "a rank did not answer")
        )
    except EOFError:
        answer = None, "a rank died"
    started.join(10)
    started.kill()
    return answer


def _run(
    source: str,
    name: str,
    arguments: tuple[Any, ...],
    launch: tuple[int, int, int] | None,
    sender: Connection,
) -> None:
    """Call the function, in its process; the test module is found by its file, whatever pytest calls it."""
    import torch

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("of_the_test", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name)
    try:
        sender.send(
            (function(*arguments) if launch is None else _on_rank(function, arguments, *launch), None)
        )
    except BaseException:  # goes to the test
        sender.send((None, traceback.format_exc()))


def _on_rank(
    function: Callable[..., Any], arguments: tuple[Any, ...], rank: int, size: int, port: int
) -> Any:
    """Call the function as a rank, as if torchrun had started it."""
    from trainer import config, parallel

    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(size),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    world = parallel.start(config.Run(device="cpu"))
    try:
        return function(world, *arguments)
    finally:
        parallel.finish(world)
