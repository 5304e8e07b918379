"""The choice of the Beam runner and its options."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import interrupt, places
from corpus.config import Run
from corpus.cores import cores
from corpus.errors import ConfigError
from corpus.settings import parse
from corpus.teller import SILENT, Teller
from pipelines import dataflow, workers

if TYPE_CHECKING:
    import apache_beam as beam

LOCAL = "local"
DATAFLOW = dataflow.NAME
REMOTE = (DATAFLOW, "FlinkRunner", "PortableRunner", "SparkRunner")
"""Beam's runners that can do the work. Direct, Prism and the like first fetch a program from the network."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A choice of runner: `local` with a number of worker processes, or a Beam runner by name.

    `patience` are the minutes without a sign of any unit after which a Beam runner's job is given up, 0 for
    never; `teller` is told of what runs elsewhere.
    """

    name: str = LOCAL
    workers: int = 1
    flags: tuple[str, ...] = ()
    patience: float = 0
    teller: Teller = field(default=SILENT, compare=False)

    @property
    def is_local(self) -> bool:
        """Return whether the workers share this machine's file system."""
        return self.name == LOCAL


def _beam_runner(runner: Runner, logs: Path | None) -> Any:
    """Return Beam's runner. Never "DirectRunner": it first tries to download Prism."""
    if not runner.is_local:
        from apache_beam.runners.runner import create_runner

        return create_runner(runner.name)
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    if logs is None:
        return FnApiRunner()
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(workers.command(logs)))


@contextmanager
def pipeline(runner: Runner, folder: str, step: str, fingerprint: str) -> Iterator[beam.Pipeline]:
    """Open a pipeline; it runs when the block ends without an error.

    `step` and the fingerprint of its work name it where it is a job among others. Local workers keep their
    logs in `folder`, or in the system's temporary folder where that is remote.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(_flags(runner, step, fingerprint))
    usual = threading.excepthook
    with ExitStack() as stack:
        has_workers = runner.is_local and runner.workers > 1
        logs = stack.enter_context(workers.logs_beside(folder)) if has_workers else None
        if logs is not None:
            threading.excepthook = _ends_with_worker(logs)
        stack.callback(setattr, threading, "excepthook", usual)
        made = _beam_runner(runner, logs)
        opened = beam.Pipeline(runner=made, options=options)
        yield opened
        if runner.name == DATAFLOW:
            dataflow.run(opened, made, opened._options, runner.teller)
        else:
            opened.run().wait_until_finish()


def _flags(runner: Runner, step: str, fingerprint: str) -> list[str]:
    """Return the flags of a pipeline: the user's, and those of ours that the user did not set."""
    if runner.is_local:
        return [f"--direct_num_workers={runner.workers}", *runner.flags]
    own = dataflow.options_of(runner.flags, step, fingerprint) if runner.name == DATAFLOW else runner.flags
    if dataflow.given(own).isdisjoint({"save_main_session", "no_save_main_session"}):
        return [*own, "--no_save_main_session"]  # Beam would send a copy of the command's own variables
    return [*own]


def _ends_with_worker(logs: Path) -> Callable[[threading.ExceptHookArgs], None]:
    """Return a hook that ends the build when a local worker died.

    Beam notes it in a thread of its own and waits forever.
    """

    import grpc

    def hook(error: threading.ExceptHookArgs) -> None:
        if error.thread is not None and error.thread.name == "run_worker":
            status = re.search(r"return code (-?\d+)", str(error.exc_value))
            why = workers.epitaph(int(status[1]), logs) if status else f"stopped: {error.exc_value}"
            interrupt.leave(
                f"{why}\nFinished units are kept; run the same command again to resume.", status=1
            )
        if not isinstance(error.exc_value, grpc.RpcError):  # the other ends of a lost worker's connections
            threading.__excepthook__(error)

    return hook


def choose(settings: Run, workers: int | None, flags: tuple[str, ...]) -> Runner:
    """Choose the runner: Beam's own `--runner=` flag, else the configuration's; the same for the workers.

    Raises ConfigError for what cannot run, and for a flag that is not Beam's: Beam would ignore it.
    """
    # Beam takes it with a value only.
    flags = tuple("--dry_run=True" if flag == "--dry_run" else flag for flag in flags)
    named = [flag.partition("=")[2] for flag in flags if flag.startswith("--runner=")]
    rest = tuple(flag for flag in flags if not flag.startswith("--runner="))
    key, asked = ("--runner=", named[-1]) if named else ("run.runner = ", settings.runner)
    if "." in asked:
        _of_module(key, asked)  # whose options Beam knows once it is imported
    _check_flags(flags)
    name = _known(key, asked, rest)
    if workers is not None:
        settings = parse(Run, {"workers": workers}, "--workers")
    return Runner(name, settings.workers or cores(), rest, settings.patience)


def _check_flags(flags: tuple[str, ...]) -> None:
    """Raise ConfigError for words that are not options of Beam, or have values that it does not take."""
    if not flags:  # no need to import Beam, which takes a second
        return
    from apache_beam.options.pipeline_options import PipelineOptions

    before = ""
    for word in flags:
        if not re.match("--[a-z]", word) and (
            word.startswith("-") or not before.startswith("--") or "=" in before
        ):
            raise ConfigError(
                f"{word!r}: only Beam's own options follow after --, such as --runner=FlinkRunner"
            )
        before = word
    if "--runner" in flags:
        raise ConfigError("--runner: write --runner=NAME with an equals sign")
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            given = PipelineOptions(list(flags))
            unknown = given.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit:  # argparse's way to refuse: its usage, then the fault in the last line
        fault = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise ConfigError(f"Beam's options: {fault}") from None
    known = PipelineOptions([]).get_all_options()
    names = [flag.removeprefix("--").partition("=")[0] for flag in flags if flag.startswith("--")]
    if strange := [name for name in names if name not in known and name in unknown]:
        raise ConfigError(f"--{strange[0]}: not an option of Beam; only Beam's own options follow after --")


def _known(key: str, name: str, flags: tuple[str, ...]) -> str:
    """Return the name of a runner that works, however its letters are written; ConfigError for any other."""
    if "." in name:
        return _of_module(key, name)
    found = next((each for each in (LOCAL, *REMOTE) if name.lower() in (each.lower(), _stem(each))), None)
    if found is None:
        known = ", ".join((LOCAL, *REMOTE))
        why = ": it would fetch a program from the network" if _stem(name) in ("direct", "prism") else ""
        raise ConfigError(
            f"{key}{name}: not a runner of derlem{why}; expected one of {known}, or a class by its full name"
        )
    if found == DATAFLOW:
        _check_dataflow(key, flags)
    return found


def _of_module(key: str, name: str) -> str:
    """Return the full name of a runner's class where it can be imported."""
    module, _, kind = name.rpartition(".")
    try:
        getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"{key}{name}: not the full name of a class that is installed: {error}") from None
    return name


def _stem(name: str) -> str:
    return name.lower().removesuffix("runner")


def _has_dataflow() -> bool:
    return importlib.util.find_spec("apitools") is not None


def _check_dataflow(key: str, flags: tuple[str, ...]) -> None:
    """Raise ConfigError where a job of Dataflow could not be started, or could not do its work."""
    if not _has_dataflow():
        raise ConfigError(f"{key}{DATAFLOW}: {places.missing_extra('gcp', 'Dataflow and gs:// URLs')}")
    dataflow.check(key, flags)
