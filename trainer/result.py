"""The result of a finished run: what it was trained on, its scores and its speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trainer.evaluate import Sample
from trainer.order import Order
from trainer.shape import Shape
from trainer.throughput import CONVENTION, Throughput


def finished(
    order: Order,
    shape: Shape,
    throughput: Throughput,
    sample: Sample | None,
    logged: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Return the content of result.json; scores and counts come from the `logged` lines of the metrics."""
    read = order.progress(order.steps)
    streams = {
        stream.name: {
            "tokens": int(stream.tokens.sum()),
            "read": int(epochs) * max(int(stream.tokens.sum()) - 1, 0) + int(targets),
        }
        for stream, epochs, targets in zip(order.streams, read.epochs, read.targets, strict=True)
    }
    return {
        "steps": order.steps,
        "tokens": order.tokens(order.steps),
        "unique_tokens": sum(min(each["tokens"], each["read"]) for each in streams.values()),
        "streams": streams,
        "shape": asdict(shape),
        "parameters": shape.parameters,
        "active_parameters": shape.active_parameters,
        "matmul_parameters": shape.matmul_parameters,
        "non_embedding_parameters": shape.non_embedding_parameters,
        "skipped": sum(bool(line.get("skipped")) for line in logged if line["kind"] == "train"),
        "rollbacks": sum(line["kind"] == "rollback" for line in logged),
        "rate": asdict(throughput.whole()),
        "rate_counts": CONVENTION,
        "documents": sample.digest if sample else None,
        # From the log: a run may be killed between its last evaluation and this point.
        **{
            line["kind"]: line["scores"]
            for line in logged
            if line["kind"].startswith("evaluation") and line["step"] == order.steps
        },
        "outlook": next((line["outlook"] for line in reversed(logged) if line["kind"] == "outlook"), None),
    }
