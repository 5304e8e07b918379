"""Local worker processes: each takes the next unit as soon as it is free."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from corpus.errors import UnitError, WorkerDiedError
from pipelines import workers

_GRACE_S = 5.0  # for an idle worker to end


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    at: str = ""  # the unit that it has, by name

    def send(self, value: object, logs: Path, name: str = "") -> None:
        self.at = name
        try:
            self.connection.send(value)
        except OSError:
            raise self.died(logs) from None

    def answer(self, logs: Path) -> Any:
        """Return what the work on a unit returned; raises UnitError or WorkerDiedError."""
        try:
            error, result = self.connection.recv()
        except (EOFError, OSError):
            raise self.died(logs) from None
        if error is not None:
            raise UnitError(error)
        return result

    def died(self, logs: Path) -> WorkerDiedError:
        why = workers.epitaph(self.process.wait(), logs)
        return WorkerDiedError(f"{why}\nits unit was {self.at}" if self.at else why)


def run(
    do: Callable[[Any], object],
    units: Sequence[Any],
    number: int,
    logs: Path,
    name: Callable[[Any], str] = str,
    told: Callable[[Any], object] = lambda result: None,
) -> None:
    """Do every unit, in their order, in `number` worker processes, whose stderr goes into the folder `logs`.

    `do`, the units and what it returns are sent by pickle; `name` names a unit in messages, `told` takes
    what `do` returned. Raises UnitError or WorkerDiedError for the first that fails, and ends the other
    workers at once: a unit writes what it has finished last.
    """
    waiting = deque(units)

    def give(worker: _Worker) -> None:
        unit = waiting.popleft()
        worker.send(unit, logs, name(unit))

    with ExitStack() as stack:
        command = workers.command(logs)
        # All are started before any is waited for, as the first to be sent something large would be.
        started = [stack.enter_context(_started(command)) for _ in range(min(number, len(units)))]
        for worker in started:
            worker.send(do, logs)
            give(worker)
        busy = {worker.connection: worker for worker in started}
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                worker = busy[ready]
                told(worker.answer(logs))
                if waiting:
                    give(worker)
                else:  # frees its memory for the busy ones
                    del busy[ready]
                    ready.close()


@contextmanager
def _started(command: str) -> Iterator[_Worker]:
    ours, theirs = Pipe()
    number = theirs.fileno()
    process = subprocess.Popen(["/bin/sh", "-c", command, "worker", str(number)], pass_fds=(number,))
    theirs.close()
    try:
        yield _Worker(process, ours)
        ours.close()
        with suppress(subprocess.TimeoutExpired):  # on a busy machine: it has done its work, and is killed
            process.wait(_GRACE_S)
    finally:
        ours.close()
        process.kill()
        process.wait()
