"""Which Beam runner does the work, and with which options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from corpus.config import ConfigError, Run

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Runner:
    """A choice of runner: `local` with a number of worker processes, or a Beam runner by name."""

    name: str = LOCAL
    workers: int = 1
    flags: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Say whether the workers share this machine's file system."""
        return self.name == LOCAL


def arguments(runner: Runner) -> list[str]:
    """Give the Beam flags of a choice; the user's own flags come last and so win."""
    if not runner.is_local:
        return [f"--runner={runner.name}", *runner.flags]
    mode = "multi_processing" if runner.workers > 1 else "in_memory"
    return [f"--direct_running_mode={mode}", f"--direct_num_workers={runner.workers}", *runner.flags]


def _beam_runner(runner: Runner) -> Any:
    if not runner.is_local:
        return runner.name
    # Named outright: Beam's "DirectRunner" first tries to download Prism.
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    return FnApiRunner()


@contextmanager
def pipeline(runner: Runner) -> Iterator[beam.Pipeline]:
    """Open a pipeline; it runs to its end when the block is left without an error."""
    options = PipelineOptions(arguments(runner))
    with beam.Pipeline(runner=_beam_runner(runner), options=options) as opened:
        yield opened



def choose(settings: Run, workers: int | None, flags: tuple[str, ...]) -> Runner:
    """Choose the runner: Beam's own `--runner=` flag, else the configuration's; likewise the workers.

    Raises ConfigError for a flag that no Beam option takes: Beam itself would pass over it in silence.
    """
    unknown = PipelineOptions(list(flags)).get_all_options(drop_default=True, retain_unknown_options=True)
    known = PipelineOptions([]).get_all_options()
    names = [flag.removeprefix("--").partition("=")[0] for flag in flags if flag.startswith("--")]
    strange = [name for name in names if name not in known and name in unknown]
    if strange:
        raise ConfigError(f"--{strange[0]}: no Beam option has this name; after -- come Beam's own options")
    named = [flag.partition("=")[2] for flag in flags if flag.startswith("--runner=")]
    rest = tuple(flag for flag in flags if not flag.startswith("--runner="))
    return Runner(named[-1] if named else settings.runner, workers or settings.workers, rest)
