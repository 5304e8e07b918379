"""The numbers that a run reports: metrics.jsonl always, TensorBoard and W&B if wanted, a progress line."""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from corpus.dataset import Manifest
from corpus.errors import ConfigError
from corpus.teller import SILENT, Bar, Teller
from trainer.throughput import Rate

FILE = "metrics.jsonl"
PROJECT = "derlem"
"""The project name of runs in W&B."""

Values = Mapping[str, object]


class Sink(Protocol):
    """Receive a run's numbers: `kind` is train, evaluation and so on, `step` the steps done by then."""

    def write(self, kind: str, step: int, values: Values) -> None: ...

    def close(self) -> None: ...


class Journal:
    """metrics.jsonl: one JSON object per line, on disk at once.

    A run that resumes from a checkpoint at `resumed` steps removes the lines of later steps, so that its file
    is that of a run which was never interrupted, except for `time`. None starts a new file.
    """

    def __init__(self, path: Path, resumed: int | None = None) -> None:
        kept = [] if resumed is None or not path.exists() else list(_up_to(path, resumed))
        path.parent.mkdir(parents=True, exist_ok=True)
        pending = path.with_name(f".{path.name}.new")
        pending.write_text("".join(kept), encoding="utf-8")
        pending.replace(path)
        self._file = path.open("ab", buffering=0)  # nothing remains to be written when it is closed

    def write(self, kind: str, step: int, values: Values) -> None:
        """Append a line; numbers that JSON does not have (NaN, infinities) become null.

        Raises ConfigError if it cannot be written.
        """
        line = {"kind": kind, "step": step, **values, "time": round(time.time(), 3)}
        text = json.dumps(finite(line), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(text.encode())
        except OSError as error:
            raise ConfigError(
                f"{self._file.name}: not written after step {step:,}: {error.strerror}; free disk space, and "
                "run the same command again to resume from the latest checkpoint"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _up_to(path: Path, step: int) -> Iterator[str]:
    """Yield the lines of steps up to one, without a line that a kill cut off."""
    for line in _lines(path):
        written = _values(line)
        if written is not None and line.endswith("\n") and written["step"] <= step:
            yield line


def read(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Read a metrics.jsonl, or only its lines of one kind."""
    lines = []
    for number, text in enumerate(_lines(path), 1):
        line = _values(text)
        if line is None:
            raise ConfigError(f"{path}, line {number}: has no kind and step of a run; restore the file")
        lines.append(line)
    return [line for line in lines if kind is None or line["kind"] == kind]


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a metrics.jsonl; ConfigError if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            yield from file
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; restore the file") from None


def _values(line: str) -> dict[str, Any] | None:
    """Return the values of a line; None for one that no run has written."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    written = isinstance(found, dict) and isinstance(found.get("kind"), str)
    return found if written and isinstance(found.get("step"), int) else None


def finite(value: object) -> object:
    """Return nested values with None for numbers that JSON does not have: NaN, infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(held) for key, held in value.items()}
    return [finite(held) for held in value] if isinstance(value, list | tuple) else value


def scalars(kind: str, values: Values) -> dict[str, float]:
    """Return the numbers in nested values by path: "evaluation/scores/tur_Latn/bits_per_byte"."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= scalars(f"{kind}/{name}", value)
        elif isinstance(value, int | float):
            found[f"{kind}/{name}"] = float(value)
    return found


class _TensorBoard:
    def __init__(self, folder: Path, resumed: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Events of later steps, left by a run that was killed, are hidden.
        purge = None if resumed is None else resumed + 1
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, kind: str, step: int, values: Values) -> None:
        for name, value in scalars(kind, values).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, facts: Values) -> None:
        wandb = import_module("wandb")
        # Without a key, keep the run in its folder; `wandb sync` uploads it.
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
        named = folder / "wandb.id"
        if not named.exists():
            named.write_text(secrets.token_hex(4), encoding="utf-8")
        self._run = wandb.init(
            project=PROJECT,
            dir=str(folder),
            id=named.read_text(encoding="utf-8"),
            resume="allow",
            mode=mode,
            config=dict(facts),
        )
        # A resumed run writes steps again; W&B's own step never decreases.
        self._run.define_metric("*", step_metric="step")

    def write(self, kind: str, step: int, values: Values) -> None:
        self._run.log({"step": step, **scalars(kind, values)})

    def close(self) -> None:
        self._run.finish()


class Metrics:
    """Everything a run writes its numbers to. Only one rank opens it; the others have `Metrics()`.

    A dashboard that fails is reported with `note` and not written to again: it does not stop training. What
    metrics.jsonl raises stops it, because a run resumes and is scored by that file.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        dashboards: Mapping[str, Sink] | None = None,
        note: Callable[[str], None] = print,
    ) -> None:
        self._journal, self._dashboards, self._note = journal, dict(dashboards or {}), note

    def write(self, kind: str, step: int, values: Values) -> None:
        """Write values, nested where names belong together, for the moment after `step` steps."""
        if self._journal is not None:
            self._journal.write(kind, step, values)
        for name, sink in list(self._dashboards.items()):
            try:
                sink.write(kind, step, values)
            except Exception as error:  # any error of a dashboard's client
                del self._dashboards[name]
                self._note(_failed(name, error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.close()
        for name, sink in self._dashboards.items():
            try:
                sink.close()
            except Exception as failure:  # any error of a dashboard's client
                self._note(_failed(name, failure))


def _failed(name: str, error: Exception) -> str:
    what = f"{type(error).__name__}: {error}"
    return f"{name} failed and is not written to any more ({what}); {FILE} has all numbers"


def open_metrics(
    folder: Path,
    log: Sequence[str],
    resumed: int | None,
    facts: Values,
    note: Callable[[str], None],
) -> Metrics:
    """Open metrics.jsonl in a run's folder and the dashboards named in `log` that are installed.

    `resumed`: the steps of the checkpoint that the run resumes from, None for a new run; `facts`: the
    configuration, for dashboards that show it; `note` receives a line about each dashboard not installed.
    """
    journal = Journal(folder / FILE, resumed)
    dashboards: dict[str, Sink] = {}
    for name in log:
        try:
            dashboards[name] = (
                _TensorBoard(folder, resumed) if name == "tensorboard" else _Wandb(folder, facts)
            )
        except ImportError:
            note(f"{name} is not installed: numbers go only to {FILE} (pip install {name})")
        except Exception as error:  # any error of a dashboard's client
            note(_failed(name, error))
    return Metrics(journal, dashboards, note)


def bytes_per_token(manifest: Manifest, split: str = "train") -> float | None:
    """Return the mean bytes of text per token of a corpus, from its stage's counts; None without them."""
    noted = manifest.counts().noted
    tokens = sum(noted.get(f"{split} tokens", {}).values())
    return sum(noted.get(f"{split} bytes", {}).values()) / tokens if tokens else None


class Line:
    """The progress line on stderr: drawn on a terminal, else a plain line at regular intervals.

    "about … bits/byte" is the training loss by the corpus's mean bytes per token: for a look only, not for
    comparisons. "held out" is the result of the last evaluation.
    """

    def __init__(
        self,
        steps: int,
        tokens: int,
        bytes_per_token: float | None,
        teller: Teller = SILENT,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._tokens, self._bytes_per_token = steps, tokens, bytes_per_token
        self._teller = teller
        self._every, self._clock, self._last = every, clock, -math.inf
        self._held_out = ""
        self._shown: tuple[int, int, float, Rate] | None = None  # of the last step
        self._noted = True
        self._drawing = ExitStack()
        self._bar: Bar | None = None

    def evaluated(self, bits_per_byte: float, exact: bool = True) -> None:
        """Show this bits-per-byte of held-out documents from now on; unless `exact`, as a lower limit."""
        self._held_out = f"held out {'' if exact else '>'}{bits_per_byte:.4f} bits/byte"
        self._draw()

    def update(self, step: int, tokens: int, loss: float, rate: Rate) -> None:
        """Show the position of the run: steps and tokens done, the last step's mean loss (nats), the rate."""
        self._shown, self._noted = (step, tokens, loss, rate), False
        self._draw()
        now = self._clock()
        if self._bar is None and now - self._last >= self._every:
            self._last, self._noted = now, True
            self.note(self.text(*self._shown))

    def _draw(self) -> None:
        if self._bar is not None and self._shown is not None:
            self._bar.update(self._shown[1], self.text(*self._shown))

    def note(self, text: str) -> None:
        """Print a separate line."""
        self._teller.say(text)

    def text(self, step: int, tokens: int, loss: float, rate: Rate) -> str:
        """Return the progress line."""
        parts = [f"step {step:,}/{self._steps:,}", f"loss {loss:.3f}"]
        if self._bytes_per_token:
            parts[-1] += f" (about {loss / math.log(2) / self._bytes_per_token:.3f} bits/byte)"
        if self._held_out:
            parts.append(self._held_out)
        parts.append(f"{_short(rate.tokens_per_second)} tokens/s")
        if rate.mfu is None or rate.mfu_full is None:
            parts.append(f"{rate.tflops:.3g} TFLOP/s")
        else:
            parts.append(f"MFU {rate.mfu:.1%} (whole windows {rate.mfu_full:.1%})")
        parts.append(f"data wait {rate.waited:.1%}")
        if rate.tokens_per_second > 0:
            left = round(max(self._tokens - tokens, 0) / rate.tokens_per_second)
            parts.append(f"{timedelta(seconds=left)} left")
        return " · ".join(parts)

    def __enter__(self) -> Self:
        if self._teller.draws:
            self._bar = self._drawing.enter_context(self._teller.bar("", max(self._tokens, 1), stays=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drawing.close()
        if self._bar is None and self._shown is not None and not self._noted:
            self.note(self.text(*self._shown))  # the last step, whatever the time, with its evaluation


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
