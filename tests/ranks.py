"""Runs a function of a test in processes of its own: as ranks over gloo, or as one that may be killed."""

from __future__ import annotations

import importlib.util
import inspect
import os
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer import config
from trainer import world as ranks_of

_LONGEST = 120.0  # seconds


def on_ranks(function: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """Call function(world, *arguments), of a test module's top level, on ranks; give what each returned."""
    port = free_port()
    pipes = [get_context("forkserver").Pipe(duplex=False) for _ in range(size)]
    started = [
        process(_on_rank, _where(function), arguments, rank, size, port, sender)
        for rank, (_, sender) in enumerate(pipes)
    ]
    for _, sender in pipes:
        sender.close()
    answers = [_answer(each, receiver) for each, (receiver, _) in zip(started, pipes, strict=True)]
    failures = [failure for _, failure in answers if failure is not None]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
    return [result for result, _ in answers]


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def process(function: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start function(*arguments), of a module's top level, in a process; it exits with 0 where that returns.

    It is forked from a server that has imported what tests need and has no threads: quick and safe.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    started = context.Process(target=_run, args=(_where(function), arguments))
    with pytest.MonkeyPatch.context() as patch:  # the server does not know pytest's paths
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        started.start()
    return started


def _where(function: Callable[..., Any]) -> tuple[str, str]:
    """Name a function by its file: what pytest calls a test's module is known to pytest alone."""
    source = inspect.getsourcefile(function)
    assert source is not None
    return source, function.__name__


def _find(where: tuple[str, str]) -> Callable[..., Any]:
    """Return the function that was named."""
    spec = importlib.util.spec_from_file_location("of_the_test", where[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, where[1])
    return found


def _run(where: tuple[str, str], arguments: tuple[Any, ...]) -> None:
    """Call a function, in its process."""
    assert "preloaded" in sys.modules
    torch.set_num_threads(1)
    _find(where)(*arguments)


def _on_rank(
    where: tuple[str, str], arguments: tuple[Any, ...], rank: int, size: int, port: int, sender: Connection
) -> None:
    """Call a function as a rank that torchrun started, and send what it returns, or why it failed."""
    launch = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launch.items()}, MASTER_ADDR="127.0.0.1")
    try:
        world = ranks_of.start(config.Run(device="cpu"))
        try:
            sender.send((_find(where)(world, *arguments), None))
        finally:
            ranks_of.finish(world)
    except BaseException:
        sender.send((None, f"rank {rank}: {traceback.format_exc()}"))


def _answer(started: ForkServerProcess, receiver: Connection) -> tuple[Any, str | None]:
    """Wait for what a process sent."""
    try:
        answer: tuple[Any, str | None] = (None, "a rank did not answer")
        if receiver.poll(_LONGEST):
            answer = receiver.recv()
    except EOFError:
        answer = None, "a rank died"
    started.join(10)
    started.kill()
    return answer
