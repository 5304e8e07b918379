"""The work of `derlem abilities`: tables of answers, or runs that are asked, become verdicts and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import files
from corpus.errors import ConfigError
from corpus.teller import Teller
from trainer.abilities import outputs, page, survey, verdict
from trainer.abilities.verdict import Ability

TABLES = (".jsonl", ".parquet", ".csv")
TASKS = ("addition/1/tr", "addition/2/tr", "addition/2/en", "addition/3/tr", "multiplication/2/tr")
"""The default tasks; `tasks.names()` has all, of which the longer ones are slow."""
ANSWERS, VERDICTS, PAGE = "outputs.jsonl", "abilities.json", "abilities.html"


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a command: tasks by name (none: the default ones) and how to ask them."""

    tasks: tuple[str, ...] = ()
    scale: str = "parameters"
    n: int | None = None
    most: int = 2000
    shots: int = 2
    seed: int = 0


def abilities(
    sources: Sequence[Path], request: Request, folder: Path | None, teller: Teller
) -> list[Ability]:
    """Judge tables of answers, or ask the finished runs in folders.

    Writes answers, verdicts (JSON) and a page into `folder`. Raises ConfigError for what a user can fix.
    """
    suffixes = {source.suffix if not source.is_dir() else "" for source in sources}
    remarks: list[str] = []
    if suffixes <= set(TABLES):
        rows = [row for source in sources for row in outputs.read(source)]
        outputs.check(rows)
    elif suffixes == {""}:
        found = _ask(sources, request, teller)
        remarks, rows = [plan.describe() for plan in found.plans] + found.remarks, found.outputs
    else:
        raise ConfigError(
            f"{', '.join(map(str, sources))}: expected folders of runs, or tables ({', '.join(TABLES)})"
        )
    judged = verdict.judge(rows, request.seed)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        outputs.write(rows, folder / ANSWERS)
        plain = json.dumps([ability.as_dict() for ability in judged], ensure_ascii=False, indent=1)
        files.write_bytes(str(folder), VERDICTS, f"{plain}\n".encode(), sweeps=True)
        written = page.page(judged, request.scale, remarks)
        files.write_bytes(str(folder), PAGE, written.encode(), sweeps=True)
    return judged


def _ask(folders: Sequence[Path], request: Request, teller: Teller) -> survey.Survey:
    found = survey.survey(
        folders,
        request.tasks or TASKS,
        teller,
        scale=request.scale,
        n=request.n,
        most=request.most,
        shots=request.shots,
        seed=request.seed,
    )
    for remark in found.remarks:
        teller.say(remark, style="yellow")
    return found
