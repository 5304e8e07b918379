"""The errors for users, as one tree; each message says what was found, where, and what to do.

    DerlemError                 ends a command with status 1
    ├── ConfigError             what the user wrote cannot be used; ends it with status 2
    │   ├── PluginError
    │   ├── NotThereError       (a DatasetError, too)
    │   ├── CheckpointError
    │   ├── RunsError
    │   └── OutputsError
    ├── DatasetError
    │   └── NotThereError
    ├── CountsError
    ├── ReaderError
    ├── TooManyRejectedError
    ├── PercolationError
    ├── SourceLossError
    ├── LinkingError
    ├── UnitError
    ├── WorkerDiedError
    ├── StageError
    ├── StudyError
    ├── ServerError
    ├── StoppedError
    ├── PeerError
    ├── ElsewhereError
    └── DiskFullError

An error that one module raises for another module to catch is a Signal; it is defined in its module.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast


class DerlemError(Exception):
    """An error that a user can fix: a command prints the message without a trace and ends with `status`."""

    status: ClassVar[int] = 1


class Signal(Exception):  # noqa: N818  (not an error in itself: the catcher may raise one instead)
    """An exception that one module raises for another; it is caught inside the package."""


class ConfigError(DerlemError, ValueError):
    """The configuration cannot be used; the message names key, value and what is allowed."""

    status = 2


@contextmanager
def found_in(name: str) -> Iterator[None]:
    """Name a file in the ConfigErrors about what its keys ask for, which name the keys alone."""
    try:
        yield
    except ConfigError as error:
        if type(error) is not ConfigError:
            raise
        raise ConfigError(f"{name}: {error}") from None


class PluginError(ConfigError):
    """A filter of the user failed; the message names filter, line and document."""


class CheckpointError(ConfigError):
    """A checkpoint could not be written or read; the message names it, the cause and what to do."""


class RunsError(ConfigError):
    """No law can be fitted to these runs; the message names the row, what was found and what was expected."""


class OutputsError(ConfigError):
    """A table of outputs cannot be used; the message names row, column, value and what is expected."""


class DatasetError(DerlemError, ValueError):
    """A dataset is missing, unfinished or damaged; the message says where, and what to do."""


class NotThereError(DatasetError, ConfigError):
    """A dataset or a part of one that the user named does not exist."""


class CountsError(DerlemError, ValueError):
    """The counts do not match: a document was lost or counted twice."""


class ReaderError(DerlemError, RuntimeError):
    """A reader of the user failed; the message names it, its line and the file that it read."""


class ServerError(DerlemError, RuntimeError):
    """A server did not return what was requested, and another request would not help now."""


class StageError(DerlemError, RuntimeError):
    """A stage could not finish; the message names the unit and the cause. Finished units are kept."""


class WorkerDiedError(DerlemError, RuntimeError):
    """A worker process ended before its work did; the message says how, and what to do."""


class UnitError(DerlemError, RuntimeError):
    """The work on a unit raised an error; the message is that error's type and text."""


class TooManyRejectedError(DerlemError, ValueError):
    """More of an input is unreadable than the configuration allows."""


class PercolationError(DerlemError, ValueError):
    """One cluster has an implausible share of the corpus: unrelated pages are chained together."""


class SourceLossError(DerlemError, ValueError):
    """A source lost a larger share to other sources than the configuration allows."""


class LinkingError(DerlemError, RuntimeError):
    """The components did not settle; the message says what was found and what to do."""


class StudyError(DerlemError, RuntimeError):
    """Units of a study failed; the message names them, with the end of their output."""


class StoppedError(DerlemError):
    """A signal ended the run at a step, or a study (step 0); the same command resumes what is on disk."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        super().__init__(number, step)
        self.signal, self.step = number, step

    def __str__(self) -> str:
        kept = f"stopped after step {self.step:,}" if self.step else "stopped; finished runs are kept"
        return f"{self.signal.name}: {kept}; run the same command again to resume"


class PeerError(DerlemError):
    """Another rank of a run has ended, so this one ends too; the other's message says why."""


class ElsewhereError(DerlemError):
    """An error that another rank of the run reports, with the status that this rank ends with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)
        self.ends_with = status

    def __str__(self) -> str:
        return str(self.args[0])


class DiskFullError(DerlemError, OSError):
    """A disk, or the user's quota on it, is full; the message names it."""

    def __init__(self, number: int, path: str) -> None:
        super().__init__(number, os.strerror(number))
        self.path = path

    def __reduce__(self) -> tuple[type[DiskFullError], tuple[int, str]]:  # it comes from worker processes
        return DiskFullError, (cast(int, self.errno), self.path)

    def __str__(self) -> str:
        if self.errno == errno.EFBIG:
            return f"{self.path}: not written: {self.strerror}; raise the limit on file sizes (ulimit -f)"
        try:
            free = f", {shutil.disk_usage(os.path.dirname(self.path) or '.').free:,} bytes are free"
        except OSError:
            free = ""
        return f"{self.path}: not written: {self.strerror}{free}; make room on that disk"
