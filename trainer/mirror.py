"""A run's copy in a bucket: checkpoints are uploaded while training continues, the latest fetched at a start.

The copy has the files of the run's folder under the same names. A checkpoint counts from the moment that its
`facts.json` exists, which is uploaded last and removed first. So a process or a machine that stops at any
moment leaves the earlier copies whole. What was fetched is compared with the checksums in `facts.json`.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from corpus import files
from corpus.errors import CheckpointError, ConfigError, DerlemError
from corpus.tokenizer import MODEL
from trainer import metrics
from trainer.checkpoint import FACTS, Checkpoints
from trainer.identity import CHECKPOINTS, RESULT, RUN


class Mirror:
    """The copy of one run at `url`; the first rank has it, in a `with` block that waits for the last upload.

    An upload that fails is reported with `say` and does not stop training; the next checkpoint is copied too.
    """

    def __init__(self, folder: Path, url: str, checkpoints: Checkpoints, say: Callable[[str], None]) -> None:
        self._folder, self._url, self._checkpoints, self._say = folder, url, checkpoints, say
        self._fs, self._root = files.filesystem(url)
        self._thread = ThreadPoolExecutor(1, "mirror")
        self._lock = threading.Lock()
        self._next: int | None = None  # the step to upload after the present one
        self._now: int | None = None  # the step that is being uploaded
        self._running: Future[None] | None = None

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the upload in progress, and for the checkpoint that waits for it."""
        self._thread.shutdown(wait=True)

    def upload(self, step: int) -> None:
        """Upload a checkpoint in the background; of those that wait for a slow bucket only the latest is."""
        with self._lock:
            self._next = step
            if self._running is None or self._running.done():
                self._running = self._thread.submit(self._upload_all)

    def needs(self, step: int) -> bool:
        """Return whether the files of a checkpoint must stay until they are uploaded."""
        with self._lock:
            return step in (self._now, self._next)

    def finish(self) -> None:
        """Upload the rest of a finished run; CheckpointError if the copy is not complete after that."""
        with self._lock:
            running = self._running
        if running is not None:
            running.result()
        try:
            latest = self._checkpoints.latest()
            if latest is not None and latest not in self._steps():
                self._upload(latest)
            for name in (RUN, MODEL, metrics.FILE, RESULT):
                self._put(name)
            self._prune()
        except Exception as error:  # any error of a store's client
            raise CheckpointError(
                f"{self._url}: the copy of this run is not complete: {_cause(error)}; the run is finished in "
                f"{self._folder}: run the same command again to copy the rest"
            ) from error

    def fetch(self) -> None:
        """Fetch the run and its latest complete checkpoint, unless the run's folder has a later one.

        Raises ConfigError where the copy cannot be read or is of another run, CheckpointError where no
        checkpoint of the copy is whole.
        """
        try:
            self._fetch_run()
        except DerlemError:
            raise
        except Exception as error:  # any error of a store's client
            raise ConfigError(
                f"checkpoint.mirror: {self._url} cannot be read: {_cause(error)}; check the URL and the "
                "permissions, or set it to '' to train without a copy"
            ) from error

    def _fetch_run(self) -> None:
        record = files.read_bytes(self._url, RUN)
        if record is None:
            return
        held = files.read_bytes(str(self._folder), RUN)
        if held is not None and held != record:
            raise ConfigError(
                f"checkpoint.mirror: {self._url} is the copy of another run than {self._folder} holds; name "
                "another folder there"
            )
        for name in (RUN, MODEL):  # first, because a folder with files but no record belongs to no run
            if not (self._folder / name).exists():
                self._get(name)
        own, found = self._checkpoints.latest() or 0, self._steps()
        if found and found[-1] > own:
            self._fetch_latest([step for step in found if step > own])
            self._get(metrics.FILE)
        if not (self._folder / RESULT).exists():
            self._get(RESULT)

    # ------------------------------------------------------------ upload

    def _upload_all(self) -> None:
        while True:
            with self._lock:
                self._now, self._next = self._next, None
                step = self._now
            if step is None:
                return
            try:
                self._upload(step)
            except Exception as error:  # any error of a store's client: training continues without a copy
                self._say(
                    f"{self._url}: the checkpoint of step {step:,} was not copied: {_cause(error)}; training "
                    "continues, and the next one will be copied"
                )
            with self._lock:
                self._now = None

    def _upload(self, step: int) -> None:
        """Upload a checkpoint and what belongs to it, facts last; then remove those that are not kept."""
        for name in (RUN, MODEL, metrics.FILE):
            self._put(name)
        facts = self._checkpoints.facts(step)
        folder = self._checkpoint(step)
        for name in facts["files"]:
            self._put(f"{folder}/{name}")
        self._put(f"{folder}/{FACTS}")
        self._prune()

    def _prune(self) -> None:
        """Remove the checkpoints of the copy that the run's folder does not keep."""
        for step in set(self._steps()) - set(self._checkpoints.steps()):
            home = f"{self._root}/{self._checkpoint(step)}"
            self._fs.rm_file(f"{home}/{FACTS}")
            self._fs.rm(home, recursive=True)

    def _put(self, name: str) -> None:
        path = self._folder / name
        if path.exists():
            self._fs.makedirs(self._fs._parent(f"{self._root}/{name}"), exist_ok=True)
            self._fs.put_file(str(path), f"{self._root}/{name}")

    # ------------------------------------------------------------ fetch

    def _steps(self) -> list[int]:
        """Return the steps of complete checkpoints in the copy, ascending."""
        self._fs.invalidate_cache()
        found = self._fs.glob(f"{self._root}/{CHECKPOINTS}/*/{FACTS}")
        named = (re.search(rf"/(\d{{10,}})/{re.escape(FACTS)}$", path) for path in found)
        return sorted(int(match[1]) for match in named if match)

    def _fetch_latest(self, steps: list[int]) -> None:
        damage = ""
        for step in reversed(steps):
            try:
                self._fetch(step)
                self._say(f"fetched the checkpoint of step {step:,} from {self._url}")
                return
            except (FileNotFoundError, CheckpointError) as error:
                damage = damage or f"step {step:,}: {_cause(error)}"
                self._say(f"{self._url}: the checkpoint of step {step:,} is not whole: {_cause(error)}")
        raise CheckpointError(
            f"{self._url}: no checkpoint is whole ({damage}); restore one, or name another folder as "
            "checkpoint.mirror to start again"
        )

    def _fetch(self, step: int) -> None:
        """Fetch a checkpoint under a hidden name, publish it, and compare it with its checksums."""
        target = self._checkpoints.path(step)
        hidden = target.with_name(f".{target.name}.partial")
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        for path in self._fs.ls(f"{self._root}/{self._checkpoint(step)}", detail=False):
            self._fs.get_file(path, str(hidden / Path(path).name))
        hidden.rename(target)
        try:
            self._checkpoints.verify(step)
        except CheckpointError:
            shutil.rmtree(target)
            raise

    def _get(self, name: str) -> None:
        path, pending = self._folder / name, self._folder / f"{name}.new"
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._fs.get_file(f"{self._root}/{name}", str(pending))
        except FileNotFoundError:
            return
        pending.replace(path)

    def _checkpoint(self, step: int) -> str:
        return f"{CHECKPOINTS}/{self._checkpoints.path(step).name}"


def _cause(error: BaseException) -> str:
    return str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
