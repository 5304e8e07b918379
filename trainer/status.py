"""How far a training run is, from the files of its folder or of its mirror."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from corpus import files
from trainer.identity import RESULT, RUN
from trainer.limits import Outlook
from trainer.metrics import FILE

_TAIL = 1 << 17  # bytes at the end of the metrics that are read: some hundred steps


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run at its last reported step.

    `loss` is the mean of that step (nats), `waited` the share of the recent time spent waiting for data,
    `left_s` the seconds to its last token at the recent speed, `last` the time of the report in seconds
    since 1970. `held_out` is the bits per byte of the last evaluation, `busiest` the largest share of a
    layer's choices that one expert had then, `even` the share that each would have. Values that nothing has
    reported are None.
    """

    is_finished: bool
    parameters: int | None = None
    active_parameters: int | None = None
    step: int = 0
    tokens: int = 0
    planned_tokens: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    waited: float | None = None
    held_out: float | None = None
    busiest: float | None = None
    even: float | None = None
    outlook: Outlook | None = None
    left_s: float | None = None
    last: float | None = None
    skipped: int = 0
    rollbacks: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def status(folder: str) -> RunStatus | None:
    """Return how far the run in a folder is; None where there is none.

    `skipped` and `rollbacks` count the recent steps that are in the last 128 KiB of the metrics.
    """
    try:
        record = files.read_json(folder, RUN)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        return None
    planned = record["config"].get("data", {}).get("tokens")
    lines = _tail(folder)
    is_finished = files.size(folder, RESULT) is not None
    counts = record.get("parameters"), record.get("active_parameters")  # older records do not have them
    trained = [line for line in lines if line["kind"] == "train"]
    if not trained:
        return RunStatus(is_finished, *counts, planned_tokens=planned)
    now = trained[-1]
    scored = [line["scores"] for line in lines if line["kind"] == "evaluation" and "scores" in line]
    ahead = [line["outlook"] for line in lines if line["kind"] == "outlook"]
    speed, tokens = now.get("tokens_per_second"), int(now.get("tokens", 0))
    left = max(0, planned - tokens) / speed if planned and speed and not is_finished else None
    load: dict[str, Any] = next((line for line in reversed(lines) if line["kind"] == "experts"), {})
    return RunStatus(
        is_finished,
        *counts,
        step=now["step"],
        tokens=tokens,
        planned_tokens=planned,
        loss=now.get("loss"),
        tokens_per_second=speed,
        waited=now.get("waited"),
        held_out=_total(scored[-1]) if scored else None,
        busiest=load.get("busiest"),
        even=load.get("even"),
        outlook=Outlook(**ahead[-1]) if ahead else None,
        left_s=left,
        last=now.get("time"),
        skipped=sum(bool(line.get("skipped")) for line in trained),
        rollbacks=sum(line["kind"] == "rollback" for line in lines),
    )


def _tail(folder: str) -> list[dict[str, Any]]:
    """Return the last lines of the metrics; a line that is cut off is skipped."""
    length = files.size(folder, FILE)
    if not length:
        return []
    data = files.read_range(files.join(folder, FILE), max(0, length - _TAIL), min(length, _TAIL))
    found = []
    for text in data.split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("kind"), str) and isinstance(line.get("step"), int):
            found.append(line)
    return found


def _total(scores: dict[str, Any]) -> float | None:
    total = scores.get("all", {}).get("bits_per_byte")
    return float(total) if total is not None else None
