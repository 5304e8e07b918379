"""A function that runs in a child process, which is killed at a time limit and replaced when it is worn."""

from __future__ import annotations

import atexit
import os
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import IO, Literal

from corpus.errors import Signal

_START_LIMIT_S = 60.0
_HEADER = struct.Struct("!cQ")


class ChildError(Signal):
    """A request got no answer; `cause` is stable: timeout, crash or error (the function raised)."""

    def __init__(self, cause: Literal["timeout", "crash", "error"], detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


class Child:
    """A process that answers requests by a function from bytes to bytes: started when first needed.

    `function` is its "module:name"; `name` stands in messages. After `requests` requests the process is
    replaced, because native libraries leak. `warm` is a first request, whose time does not count: what it
    needs is then imported. The process gets at most `memory` bytes of address space; 0 for no limit.
    """

    def __init__(self, name: str, function: str, requests: int, warm: bytes, memory: int = 0) -> None:
        self._name, self._function = name, function
        self._requests, self._warm, self._memory = requests, warm, memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._answered = 0
        atexit.register(self.stop)

    def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Return the function's answer; ChildError where there is none within `timeout_s` seconds."""
        with self._lock:
            try:
                process = self._started()
                _send(process.stdin, b"t", request)
                kind, answer = _receive(process.stdout, time.monotonic() + timeout_s)
            except TimeoutError as error:
                self.stop()
                raise ChildError("timeout", f"{self._name} took more than {timeout_s:g} s") from error
            except (EOFError, OSError) as error:
                self.stop()
                raise ChildError("crash", f"{self._name} ended its process") from error
            self._answered += 1
        if kind == b"e":
            raise ChildError("error", answer.decode())
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():
            self._process = None  # a fork has its parent's child in hand: not ours to talk to
        if self._answered >= self._requests:
            self.stop()
        if self._process is None:
            served = f"{self._function!r}, {self._warm!r}, {self._memory}"
            self._process = subprocess.Popen(
                # -P: nothing is imported from the user's current folder, whatever it holds.
                [sys.executable, "-P", "-c", f"from corpus.child import serve; serve({served})"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            self._owner, self._answered = os.getpid(), 0
            try:
                _receive(self._process.stdout, time.monotonic() + _START_LIMIT_S)
            except TimeoutError as error:
                raise OSError(f"the process of {self._name} did not start") from error
        return self._process

    def stop(self) -> None:
        """Kill the process, if this one started it."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process, self._answered = None, 0


def serve(function: str, warm: bytes, memory: int = 0) -> None:
    """Answer requests from standard input on standard output until it closes: what the process runs."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the answers
    module, _, name = function.partition(":")
    answer: Callable[[bytes], bytes] = getattr(import_module(module), name)
    answer(warm)
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _send(answers, b"t", b"ready")
    while header := requests.read(_HEADER.size):
        request = requests.read(_HEADER.unpack(header)[1])
        try:
            _send(answers, b"t", answer(request))
        except Exception as error:  # the border: a request's failure becomes its cause, the next is answered
            _send(answers, b"e", f"{type(error).__name__}: {error}".encode("utf-8", "replace"))


def _send(pipe: IO[bytes] | None, kind: bytes, body: bytes) -> None:
    assert pipe is not None
    pipe.write(_HEADER.pack(kind, len(body)) + body)
    pipe.flush()


def _receive(pipe: IO[bytes] | None, deadline: float) -> tuple[bytes, bytes]:
    """Read one message; raises TimeoutError at the deadline and EOFError when the sender is gone."""
    assert pipe is not None
    received = bytearray()
    wanted = _HEADER.size
    while len(received) < wanted:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        # Unbuffered, or select would wait for bytes that a buffer already holds.
        chunk = os.read(pipe.fileno(), min(1 << 20, wanted - len(received)))
        if not chunk:
            raise EOFError
        received += chunk
        if len(received) == _HEADER.size == wanted:
            wanted += _HEADER.unpack(received)[1]
    return bytes(received[:1]), bytes(received[_HEADER.size :])
