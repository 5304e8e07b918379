"""A stand-in for the Dataflow service: takes the real client's job, runs its staged graph by two workers.

Run as a program with derlem's extras: `service.py FOLDER` prints its port. A job is run by Beam's own runner,
whose workers are started by `boot.py` as a container would be. The file `faults.json` of the folder says what
goes wrong; `jobs.jsonl` gets every job as it came, and how it ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers

BOOT = Path(__file__).with_name("boot.py")
WORKERS = 2
_URN = common_urns.environments.PROCESS.urn

folder = Path(sys.argv[1]) if __name__ == "__main__" else Path()
jobs: dict[str, dict[str, Any]] = {}
lock = threading.Lock()


@worker_handlers.WorkerHandler.register_environment(_URN, beam_runner_api_pb2.ProcessPayload)
class ProcessWorker(worker_handlers.GrpcWorkerHandler):
    """A worker process, started as Beam's container starts."""

    def __init__(self, payload: Any, state: Any, provision: Any, grpc_server: Any) -> None:
        super().__init__(state, provision, grpc_server)
        self._command = payload.command

    def start_worker(self) -> None:
        control = self.control_address
        self._process = subprocess.Popen(
            [
                sys.executable, "-P", self._command, f"--id={self.worker_id}",
                f"--logging_endpoint={self.logging_api_service_descriptor().url}",
                f"--artifact_endpoint={control}", f"--provision_endpoint={control}",
                f"--control_endpoint={control}",
            ]
        )  # fmt: skip

    def stop_worker(self) -> None:
        self._process.terminate()
        self._process.wait()

    def host_from_worker(self) -> str:
        return "127.0.0.1"


def with_workers(number: int) -> None:
    """Let Beam's runner start that many workers, which its job service has no option for."""
    usual: Callable[..., None] = fn_runner.FnApiRunner.__init__

    def make(self: Any, *args: Any, **more: Any) -> None:
        usual(self, *args, **more)
        self._num_workers = number

    fn_runner.FnApiRunner.__init__ = make


def run(job: dict[str, Any]) -> None:
    """Run the graph that a job staged; the job's state says how it ended."""
    state = "JOB_STATE_FAILED"
    try:
        options = job["environment"]["sdkPipelineOptions"]["options"]
        with fsspec.open(options["pipelineUrl"], "rb") as file:
            graph = beam_runner_api_pb2.Pipeline.FromString(file.read())
        for environment in graph.components.environments.values():
            if environment.urn == common_urns.environments.DOCKER.urn:
                payload = beam_runner_api_pb2.ProcessPayload(command=str(BOOT))
                environment.urn, environment.payload = _URN, payload.SerializeToString()
                del environment.dependencies[:]
        runs = 2 if faults().get("twice") else 1  # at the same time, as a service may repeat what is slow
        results = [
            fn_runner.FnApiRunner().run_via_runner_api(graph, PipelineOptions([])) for _ in range(runs)
        ]
        for result in results:
            result.wait_until_finish()
        counters = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
        note({"counters": counters, "job": job["name"]})
        state = "JOB_STATE_DONE"
    except BaseException as error:  # a job's failure is its state
        note({"failed": job["name"], "error": repr(error)[-2000:]})
    if job["currentState"] == "JOB_STATE_RUNNING":
        job["currentState"] = state


def note(what: dict[str, Any]) -> None:
    """Write down what happened."""
    with lock, (folder / "jobs.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


def faults() -> dict[str, Any]:
    """Return what goes wrong now."""
    path = folder / "faults.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


class Handler(BaseHTTPRequestHandler):
    """Answers Dataflow's REST calls."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wrong = faults()
        if status := wrong.get("refuse"):
            return self._say({"error": {"code": status, "message": "refused", "status": "REFUSED"}}, status)
        with lock:
            same = [j for j in jobs.values() if j["name"] == body["name"]]
            running = [j for j in same if j["currentState"] == "JOB_STATE_RUNNING"]
        if running:  # the service answers with the job of this name, and whose request made it
            return self._say(running[0])
        found = re.match(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs", self.path)
        assert found, self.path
        job = {
            **body, "id": f"2024-01-01_{uuid.uuid4().hex[:8]}", "projectId": found[1], "location": found[2],
            "currentState": "JOB_STATE_RUNNING",
        }  # fmt: skip
        jobs[job["id"]] = job
        note({"submitted": job["name"], "options": body["environment"]["sdkPipelineOptions"]["options"],
              "labels": body.get("labels", {})})  # fmt: skip
        if not wrong.get("hold"):
            threading.Thread(target=run, args=(job,), daemon=True).start()
        if wrong.get("lose_answer"):
            (folder / "faults.json").unlink()
            self.close_connection = True
            return None
        return self._say(job)

    def do_GET(self) -> None:
        time.sleep(faults().get("delay", 0))
        job = jobs.get(self.path.partition("/jobs/")[2].partition("/")[0].partition("?")[0])
        if self.path.partition("?")[0].endswith("/messages"):
            return self._say({"jobMessages": []})
        if self.path.partition("?")[0].endswith("/metrics"):
            return self._say({"metrics": []})
        if job is None:
            return self._say({"jobs": list(jobs.values())})
        return self._say(job)

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        job = jobs[self.path.partition("/jobs/")[2].partition("?")[0]]
        job["currentState"] = body["requestedState"]
        note({"cancelled": job["name"]})
        return self._say(job)

    def _say(self, value: dict[str, Any], status: int = 200) -> None:
        kept = {
            k: v for k, v in value.items() if k not in ("environment", "steps", "labels", "stepsLocation")
        }
        data = json.dumps(kept).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    with_workers(WORKERS)
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
