"""One driver at a time on an output: the system's lock on a folder, an object with a token on a store."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from corpus import files, interrupt, stores
from corpus.errors import ConfigError, DerlemError, StageError

LOCK = ".running"
_PROBE = ".writable"
_BEAT_S = 10.0  # between the signs of life of a run on a store
_PATIENCE_S = 40.0  # without one, after which a run is taken for dead

Held = dict[str, Any]


@contextmanager
def alone(output: str) -> Iterator[None]:
    """Hold an output folder for this run; ConfigError where it cannot be written to.

    A second run is refused (StageError): each would take the other's half-written files for remains.
    """
    with _alone_locally(output) if files.is_local(output) else _alone_on_store(output):
        yield


@contextmanager
def _alone_locally(output: str) -> Iterator[None]:
    """Hold a local folder. The lock is the system's, so that it goes however the run ends.

    Where nothing was written, no empty folder stays.
    """
    new = _absent(output)
    try:
        files.write_bytes(output, _PROBE, b"", sweeps=True)
        files.remove(output, _PROBE)
    except (OSError, ValueError) as error:
        raise _unwritable(output, error) from None
    handle = os.open(files.filesystem(output)[1], os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(f"{output}: another run is at work here; let it finish or end it") from None
        except OSError:  # a file system without locks, as some network drives are
            pass
        yield
    finally:
        os.close(handle)
        with suppress(OSError):  # of a folder that is not empty
            for folder in new:
                folder.rmdir()


def _absent(output: str) -> list[Path]:
    """Return the local folders that writing to `output` will make, the innermost first."""
    folder = Path(files.filesystem(output)[1])
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _unwritable(output: str, error: Exception) -> ConfigError:
    return ConfigError(f"output = {output!r}: cannot be written to: {error}")


@contextmanager
def _alone_on_store(output: str) -> Iterator[None]:
    """Hold a folder on a store by an object that is written only where there is none.

    A run changes its object from time to time. One that a killed run left is replaced where its process was
    on this machine, or where it did not change for a while: no clock is compared with another's. It is
    replaced on the condition that it still is the version that was looked at.
    """
    mine: Held = {
        "token": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "beat": 0,
    }
    fs, target = files.filesystem(files.join(output, LOCK))
    try:
        while not stores.create_new(fs, target, (data := json.dumps(mine).encode())):
            version, held = stores.version(fs, target), _read(output)
            if version is None or held is None:
                continue
            if _is_mine(held, mine):  # the answer was lost, and the request repeated
                break
            _refuse_living(output, held)
            if stores.replace(fs, target, data, version):  # of two that found it dead, the first
                break
    except (OSError, ValueError, ImportError) as error:
        raise _unwritable(output, error) from None
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(output, mine, stop), daemon=True)
    thread.start()
    try:
        with _told_of_store(output):
            yield
    finally:
        stop.set()
        thread.join()
        with suppress(Exception):  # of a store that is away: the object of a dead run is replaced
            if _is_mine(_read(output), mine):
                files.remove(output, LOCK)


@contextmanager
def _told_of_store(output: str) -> Iterator[None]:
    """Turn an error of a store, or of its client that repeated a request in vain, into a message."""
    try:
        yield
    except Exception as error:  # clients of stores have their own classes; any other error is raised again
        if isinstance(error, DerlemError) or not (isinstance(error, OSError) or stores.is_failure(error)):
            raise
        raise StageError(
            f"{output}: the store did not do what was asked: {type(error).__name__}: {error}\n"
            "Finished units are kept. Fix the cause, then run the same command again."
        ) from error


def _read(output: str) -> Held | None:
    """Return what holds the output, None where nothing does; a damaged record names nobody."""
    try:
        held = files.read_json(output, LOCK)
    except ValueError:
        return {}
    return held if held is None or isinstance(held, dict) else {}


def _is_mine(held: Held | None, mine: Held) -> bool:
    return held is not None and held.get("token") == mine["token"]


def _refuse_living(output: str, held: Held) -> None:
    """Raise StageError unless the run that holds the output is dead."""
    if held.get("host") == socket.gethostname() and not _is_alive(held.get("process")):
        return
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(_BEAT_S / 2)
        if _read(output) != held:
            raise StageError(
                f"{output}: another run is at work here, on {held.get('host')} (process "
                f"{held.get('process')}) since {held.get('began')}; let it finish or end it"
            )


def _is_alive(process: object) -> bool:
    try:
        os.kill(int(str(process)), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _beat(output: str, mine: Held, stop: threading.Event) -> None:
    """Show from time to time that this run lives; end it where another has taken the output over."""
    fs, target = files.filesystem(files.join(output, LOCK))
    while not stop.wait(_BEAT_S):
        with suppress(Exception):  # whatever a store that is away raises: the work itself will say so
            version, beat = stores.version(fs, target) or "", {**mine, "beat": mine["beat"] + 1}
            if _is_mine(_read(output), mine):
                stores.replace(fs, target, json.dumps(beat).encode(), version)
            else:
                interrupt.leave(
                    f"stopped: another run has taken {output}: this one gave no sign of life for a while",
                    status=1,
                )
            mine = beat
