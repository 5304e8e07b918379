"""Which Beam runner does the work, and with which options."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions

from corpus.config import Run
from corpus.settings import ConfigError
from pipelines import progress

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Runner:
    """A choice of runner: `local` with a number of worker processes, or a Beam runner by name."""

    name: str = LOCAL
    workers: int = 1
    flags: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Return whether the workers share this machine's file system."""
        return self.name == LOCAL


def _beam_runner(runner: Runner) -> Any:
    """Make the local runner, or name Beam's. Never "DirectRunner": it first tries to download Prism."""
    if not runner.is_local:
        return runner.name
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    if runner.workers == 1:
        return FnApiRunner()
    # `exec`, so that no shell stands between the worker and a signal to its process group; -P, so that a
    # folder named corpus where the user stands (the usual output) is not taken for the package.
    command = f"exec {shlex.quote(sys.executable)} -P -m pipelines.worker"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


@contextmanager
def pipeline(runner: Runner) -> Iterator[beam.Pipeline]:
    """Open a pipeline; it runs to its end when the block is left without an error."""
    workers = [f"--direct_num_workers={runner.workers}"] if runner.is_local else []
    options = PipelineOptions([*workers, *runner.flags])
    usual, threading.excepthook = threading.excepthook, _on_thread_error
    try:
        with beam.Pipeline(runner=_beam_runner(runner), options=options) as opened:
            yield opened
    finally:
        threading.excepthook = usual


def _on_thread_error(error: threading.ExceptHookArgs) -> None:
    """End the build when a local worker died: Beam notes it in a thread of its own and waits forever."""
    if error.thread is not None and error.thread.name == "run_worker":
        progress.leave(
            f"stopped: {error.exc_value}; exit code -9 usually means out of memory: try fewer workers\n"
            f"Finished units are kept; run the same command again to resume.",
            status=1,
        )
    if not isinstance(error.exc_value, grpc.RpcError):  # the other ends of a lost worker's connections
        threading.__excepthook__(error)


def choose(settings: Run, workers: int | None, flags: tuple[str, ...]) -> Runner:
    """Choose the runner: Beam's own `--runner=` flag, else the configuration's; likewise the workers.

    Raises ConfigError for a flag that no Beam option takes: Beam itself would pass over it in silence.
    """
    unknown = PipelineOptions(list(flags)).get_all_options(drop_default=True, retain_unknown_options=True)
    known = PipelineOptions([]).get_all_options()
    names = [flag.removeprefix("--").partition("=")[0] for flag in flags if flag.startswith("--")]
    strange = [name for name in names if name not in known and name in unknown]
    if strange:
        raise ConfigError(f"--{strange[0]}: not an option of Beam; only Beam's own options follow after --")
    if "--runner" in flags:
        raise ConfigError("--runner: write --runner=NAME with an equals sign")
    named = [flag.partition("=")[2] for flag in flags if flag.startswith("--runner=")]
    rest = tuple(flag for flag in flags if not flag.startswith("--runner="))
    name = named[-1] if named else settings.runner
    if name in ("DirectRunner", "PrismRunner"):
        raise ConfigError(f"runner {name}: it would fetch a program from the network; {LOCAL!r} works here")
    return Runner(name, workers or settings.workers, rest)
