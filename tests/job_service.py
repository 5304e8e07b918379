"""Beam's own job service with two workers, each started by a command: `python job_service.py`.

It prints its port, and ends with its standard input. Beam's service starts one worker, and knows no PROCESS
environment; the parts of it that are private here are those of the version in constraints.txt.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as graph
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers

WORKERS = 2


class CommandWorker(worker_handlers.GrpcWorkerHandler):
    """A worker that a command starts, as Beam starts the entry point of a container."""

    def __init__(self, payload: Any, state: Any, provision: Any, server: Any) -> None:
        super().__init__(state, provision, server)
        self._command = payload.command
        self._process: subprocess.Popen[bytes] | None = None

    def start_worker(self) -> None:
        service = self.control_address
        self._process = subprocess.Popen(
            [
                self._command,
                f"--id={self.worker_id}",
                f"--logging_endpoint={self.logging_api_service_descriptor().url}",
                f"--artifact_endpoint={service}",
                f"--provision_endpoint={service}",
                f"--control_endpoint={service}",
            ]
        )

    def stop_worker(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def host_from_worker(self) -> str:
        return "127.0.0.1"


def serve() -> None:
    """Run the service until standard input ends."""
    worker_handlers.WorkerHandler.register_environment(
        common_urns.environments.PROCESS.urn, graph.ProcessPayload
    )(CommandWorker)
    usual = fn_runner.FnApiRunner.__init__

    def with_workers(self: Any, *given: Any, **named: Any) -> None:
        usual(self, *given, **named)
        self._num_workers = WORKERS

    fn_runner.FnApiRunner.__init__ = with_workers
    with tempfile.TemporaryDirectory() as staging:
        servicer = local_job_service.LocalJobServicer(staging)
        print(servicer.start_grpc_server(0), flush=True)
        sys.stdin.read()
        servicer.stop()


@contextmanager
def serving(log: Path) -> Iterator[int]:
    """Run the service beside a test and give its port; what it and its workers say goes to `log`."""
    with log.open("wb") as said:
        service = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert service.stdout is not None
            yield int(service.stdout.readline())
        finally:
            service.communicate(timeout=60)


if __name__ == "__main__":
    serve()
