"""The numbers of a build in Prometheus' text format, for its node exporter's collector of text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_HELP = {
    "derlem_units": "Units of the stage.",
    "derlem_units_done": "Units of the stage that are done.",
    "derlem_documents": "Documents of the stage by fate: in, kept, dropped, rejected.",
    "derlem_dropped_documents": "Documents that a rule dropped, or a cause rejected.",
    "derlem_stage_seconds": "Duration of the stage in this run.",
    "derlem_step_seconds": "Seconds of a step, summed over the units done in this run.",
    "derlem_peak_memory_bytes": "The most memory that a process held.",
    "derlem_stage_finished_timestamp_seconds": "When the stage was finished.",
    "derlem_failed": "1 where the last run ended with an error.",
    "derlem_updated_timestamp_seconds": "When these numbers were written.",
}
_MIB = 1 << 20

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Metrics:
    """The present values, all gauges, by name and labels."""

    values: dict[tuple[str, Labels], float] = field(default_factory=lambda: {("derlem_failed", ()): 0})

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a value."""
        self.values[f"derlem_{name}", tuple(labels.items())] = value

    def take(self, event: str, facts: Mapping[str, Any]) -> bool:
        """Take an event of a teller; return whether a value changed."""
        stage = str(facts.get("stage", ""))
        if event == "stage started":
            self.set("units", facts["units"], stage=stage)
            self.set("units_done", facts["units"] - facts["pending"], stage=stage)
        elif event == "progress":
            units = self.values["derlem_units", (("stage", stage),)]
            self.set("units_done", units - facts["pending"] + facts["done"], stage=stage)
            self.set("documents", facts["documents"], stage=stage, fate="in")
            self.set("documents", facts["kept"], stage=stage, fate="kept")
        elif event == "failed":
            self.set("failed", 1)
        else:
            return False
        return True

    def finish(self, summary: Mapping[str, Any], now: float) -> None:
        """Take the report of a finished stage (`pipelines.report.summarise`)."""
        stage, counts = summary["stage"], summary["counts"]
        for key in [key for key in self.values if ("stage", stage) in key[1]]:
            del self.values[key]
        self.set("units", summary["units"], stage=stage)
        self.set("units_done", summary["units"], stage=stage)
        self.set("stage_seconds", summary["wall_s"], stage=stage)
        self.set("stage_finished_timestamp_seconds", now, stage=stage)
        self.set("peak_memory_bytes", summary["peak_mb"] * _MIB, stage=stage)
        self.set("documents", counts["seen"], stage=stage, fate="in")
        self.set("documents", counts["kept"], stage=stage, fate="kept")
        for fate in ("dropped", "rejected"):
            self.set("documents", sum(counts[fate].values()), stage=stage, fate=fate)
            for cause, number in counts[fate].items():
                self.set("dropped_documents", number, stage=stage, rule=cause)
        for step, seconds in summary["seconds"].items():
            self.set("step_seconds", seconds, stage=stage, step=step)

    def text(self, now: float) -> str:
        """Return all values in the text format."""
        self.set("updated_timestamp_seconds", now)
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, said in _HELP.items():
            found = [(labels, value) for (named, labels), value in self.values.items() if named == name]
            if found:
                yield f"# HELP {name} {said}"
                yield f"# TYPE {name} gauge"
                for labels, value in found:
                    pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                    yield f"{name}{{{pairs}}} {value:.15g}" if pairs else f"{name} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
