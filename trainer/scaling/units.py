"""One unit of a study: train a part of a trunk, or train and score a cell; in this process or another."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from corpus import files
from corpus.errors import StoppedError
from corpus.teller import Silent, Teller
from trainer import held_out, identity, metrics, records
from trainer.config import Config
from trainer.identity import RUN, Branch
from trainer.scaling.config import Study
from trainer.scaling.git_commit import git_commit
from trainer.scaling.grid import Cell, Trunk, cells
from trainer.shape import Shape, flops

DONE = "done.json"
"""In the folder of a finished unit: its fingerprint, and a cell's row of the table."""
DOCUMENTS = "documents.jsonl"
"""In a cell's folder: the bits of every validation document, to compare models in pairs."""
RUNS = "runs"

if TYPE_CHECKING:
    from trainer.load_run import LoadedRun


class _Done(BaseModel):
    """The fields of a finished unit's DONE file."""

    made_from: str
    row: dict[str, Any] | None


@dataclass(frozen=True)
class Unit:
    """A training run of the study in its own folder, in the form that is passed to a process.

    It starts after `branch` = (folder, step), another unit's last step. `facts` of a cell are copied to its
    row; a part of a trunk has none and is not scored. Folders are below `output`, corpora are whole paths;
    `content` identifies what is read from them, wherever they are. `held_out` is a file of documents
    (`trainer.held_out.write`) whose bits are stored for a cell; empty if there is none.
    """

    name: str
    output: str
    folder: str
    corpus: str
    validation: str
    content: str
    config: Config
    branch: tuple[str, int] | None
    facts: dict[str, Any] | None
    held_out: str = ""

    @property
    def path(self) -> Path:
        """Return its folder."""
        return Path(self.output) / self.folder

    @property
    def fingerprint(self) -> str:
        """Return a hash of what it is made from: everything except where and how often it is saved."""
        return self._fingerprint(self.config.model_dump(mode="json"))

    def _fingerprint(self, config: dict[str, Any]) -> str:
        text = json.dumps([_decides(config), self.content, self.facts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def trained(self) -> bool:
        """Return whether it is trained, with the same fingerprint.

        The fingerprint of an older version is of fewer keys, those in the run's record; the keys that came
        since then must be at their defaults.
        """
        held = records.read(self.path, DONE, _Done)
        if held is None or held["made_from"] == self.fingerprint:
            return held is not None
        recorded = identity.read(self.path)
        if recorded is None or held["made_from"] != self._fingerprint(recorded["config"]):
            return False
        now = self.config.model_dump(mode="json")
        return _decides(identity.completed(recorded["config"])) == _decides(now)

    @property
    def scored(self) -> bool:
        """Return whether the bits of its held-out documents, if it has any, are stored."""
        if self.facts is None or not self.held_out:
            return True
        return held_out.stored(self.path, held_out.digest(self.held_out)) is not None

    @property
    def done(self) -> bool:
        """Return whether it is trained and scored."""
        return self.trained and self.scored

    def row(self) -> dict[str, Any] | None:
        """Return a finished cell's row of the table."""
        held = records.read(self.path, DONE, _Done) if self.done else None
        return None if held is None else held["row"]

    def dump(self) -> str:
        """Return it as JSON, for a process."""
        return json.dumps({**vars(self), "config": self.config.model_dump(mode="json")})


def _decides(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration that decide what a unit is."""
    data = {key: value for key, value in config["data"].items() if key not in ("cache", "cache_gb")}
    return {key: value for key, value in config.items() if key not in ("run", "checkpoint")} | {"data": data}


def read(text: str) -> Unit:
    """Read what `Unit.dump` wrote."""
    held = json.loads(text)
    branch = held["branch"]
    return Unit(
        **{
            **held,
            "config": Config.model_validate_json(json.dumps(held["config"])),
            "branch": None if branch is None else (branch[0], branch[1]),
        }
    )


def units(study: Study, trunk: Trunk, held: int, content: tuple[str, str]) -> list[Unit]:
    """Return the units of a trunk in an order in which each follows the unit that it branches from.

    The trunk is trained in parts, from one branch point to the next. So each part ends with a checkpoint
    exactly there, and cells may be trained while the trunk continues. `content` identifies the corpus and the
    validation documents.
    """
    made: list[Unit] = []
    before: tuple[str, int] | None = None
    for cell in cells(study, trunk, held):
        folder = f"{RUNS}/{trunk.name}/trunk-{cell.branch:08d}"
        made.append(_unit(study, trunk, content[0], part(cell), folder, cell.branch, before))
        before = (folder, cell.branch)
        own = f"{RUNS}/{trunk.name}/cell-{cell.steps:08d}"
        made.append(
            _unit(study, trunk, " ".join(content), cell.name, own, cell.steps, before, _facts(study, cell))
        )
    return made


def part(cell: Cell) -> str:
    """Return the name of the part of its trunk that a cell branches from."""
    return f"{cell.trunk.name}-trunk-{cell.branch}"


def _unit(
    study: Study,
    trunk: Trunk,
    content: str,
    name: str,
    folder: str,
    steps: int,
    branch: tuple[str, int] | None,
    facts: dict[str, Any] | None = None,
) -> Unit:
    return Unit(
        name=name,
        output=study.output,
        folder=folder,
        corpus=study.corpora[trunk.corpus],
        validation=study.corpora[study.validation_corpus],
        content=content,
        config=configured(study, trunk, steps, cooled=facts is not None),
        branch=branch,
        facts=facts,
    )


def configured(study: Study, trunk: Trunk, steps: int, *, cooled: bool) -> Config:
    """Return the configuration of a run of this many steps: of a cell with decay, of a trunk without."""
    train, size = study.train, trunk.size
    tokens = steps * size.batch * train.data.length
    schedule = {"warmup": size.warmup / tokens if size.warmup < tokens else 1.0}
    rates = {
        "lr": size.lr * trunk.factor,
        "matrix_lr": size.matrix_lr * trunk.factor,
        "weight_decay": size.weight_decay,
    }
    parts = {
        "model": size.model,
        "data": train.data.model_copy(update={"batch": size.batch, "tokens": tokens, "unique": trunk.unique}),
        "optimizer": train.optimizer.model_copy(update=rates),
        "schedule": train.schedule.model_copy(update=schedule if cooled else {**schedule, "decay": 0.0}),
        # All cells are scored on the documents of one corpus, whichever they are trained on.
        "evaluate": train.evaluate.model_copy(update={"documents": 0, "prompt": ""}),
        "checkpoint": train.checkpoint.model_copy(update={"keep": 1, "keep_every": 0}),
    }
    return train.model_copy(update={**parts, "seed": trunk.seed})


def _facts(study: Study, cell: Cell) -> dict[str, Any]:
    """Return what is known of a cell before it is trained."""
    trunk, size = cell.trunk, cell.trunk.size
    return {
        "run": cell.name,
        "corpus": trunk.corpus,
        "seed": trunk.seed,
        "size": size.name,
        "multiple": cell.multiple,
        "branch_of": f"{trunk.name} at step {cell.branch}",
        "length": study.train.data.length,
        "batch": size.batch,
        "steps": cell.steps,
        "lr": size.lr * trunk.factor,
        "matrix_lr": size.matrix_lr * trunk.factor,
        "weight_decay": size.weight_decay,
        "lr_factor": trunk.factor,
        "unique_asked": trunk.unique,
        "evaluate": study.train.evaluate.model_dump(mode="json", include={"documents", "seed"}),
        "schedule": "final",
        **({"tasks": list(study.tasks)} if study.tasks else {}),
    }


def work(unit: Unit, teller: Teller) -> None:
    """Do what is missing of a unit: train it, score it if it is a cell. Raises what `run.train` raises."""
    if not unit.trained:
        _train(unit, teller)
    if not unit.scored:
        held_out.score(unit.path, held_out.read(unit.held_out), _model(unit))


def _train(unit: Unit, teller: Teller) -> None:
    """Train a unit and write its record, with a cell's row."""
    from trainer import run

    branch = None
    if unit.branch is not None:
        folder, step = unit.branch
        branch = Branch(Path(unit.output) / folder, step)
    result = run.train(unit.corpus, unit.path, unit.config, teller, branch)
    row = None if unit.facts is None else _row(unit, unit.facts, result)
    files.write_json(str(unit.path), DONE, {"made_from": unit.fingerprint, "row": row}, sweeps=True)


def _row(unit: Unit, facts: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's row of the table; AssertionError if the numbers read do not add up."""
    data = unit.config.data
    tokens = result["tokens"]
    assert tokens == result["steps"] * data.batch * data.length, (unit.name, tokens, result["steps"])
    held = sum(stream["tokens"] for stream in result["streams"].values())
    assert result["unique_tokens"] <= min(tokens, held), (unit.name, result["unique_tokens"], held)
    seconds, real = _spent(unit)
    model = _model(unit)
    scores, documents = _scores(unit, model, **facts["evaluate"])
    every = scores["all"]
    known = files.read_json(str(unit.path), RUN)
    assert isinstance(known, dict)
    return {
        **{key: value for key, value in facts.items() if key not in ("evaluate", "unique_asked", "tasks")},
        "folder": unit.folder,
        "parameters": result["parameters"],
        "matmul_parameters": result["matmul_parameters"],
        "non_embedding_parameters": result["non_embedding_parameters"],
        "shape": result["shape"],
        "tokens": tokens,
        "targets": sum(stream["read"] for stream in result["streams"].values()),
        "unique_tokens": result["unique_tokens"],
        "epochs": tokens / result["unique_tokens"],
        "planned": tokens,
        "flops": real,
        "flops_full": flops(Shape(**result["shape"]), data.length) * tokens,
        "loss": every["loss"],
        "bits_per_byte": every["bits_per_byte"],
        "standard_error": every["standard_error"],
        "exact": every["exact"],
        "languages": {
            name: {key: score[key] for key in ("bits_per_byte", "standard_error")}
            for name, score in scores.items()
            if "/" not in name and name != "all"
        },
        **({"tasks": _tasks(model, facts["tasks"])} if "tasks" in facts else {}),
        "tokenizer": known["tokenizer"],
        "documents": documents,
        "evaluated": {key: every[key] for key in ("documents", "tokens", "bytes")},
        "skipped": result["skipped"],
        "rollbacks": result["rollbacks"],
        "seconds": seconds,
        "versions": {**known["versions"], "code": git_commit()},
    }


def _spent(unit: Unit) -> tuple[float, float]:
    """Return the seconds of all steps that made the cell, including its trunk's, and their FLOPs.

    FLOPs count attended keys, as the metrics do; six digits of them do not depend on the clock.
    """
    seconds = operations = 0.0
    folder: Path | None = unit.path
    while folder is not None:
        for line in metrics.read(folder / metrics.FILE, "train"):
            spent = line["targets"] / line["tokens_per_second"] if line["tokens_per_second"] else 0.0
            seconds += spent
            operations += spent * line["tflops"] * 1e12
        branch = (files.read_json(str(folder), RUN) or {}).get("branch")
        folder = folder.parent / Path(branch["folder"]).name if branch else None
    return round(seconds, 3), float(f"{operations:.6g}")


def _model(unit: Unit) -> LoadedRun:
    """Open a trained cell on the device that it was trained on."""
    from trainer.load_run import load_run

    return load_run(unit.path, device=unit.config.run.device, dtype=unit.config.run.dtype)


def _tasks(model: LoadedRun, named: Sequence[str]) -> dict[str, dict[str, float]]:
    """Ask a trained cell the questions of tasks: the mean accuracy over groups, its interval, and chance."""
    from trainer.tasks.judge import judge
    from trainer.tasks.questions import load

    found = {}
    for task in map(load, named):
        mean = judge(model, task).mean
        found[task.name] = {**asdict(mean.total), "chance": mean.chance, "probability": mean.probability}
    return found


def _scores(unit: Unit, model: LoadedRun, documents: int, seed: int) -> tuple[dict[str, dict[str, Any]], str]:
    """Score a trained cell on the study's validation documents: scores by name, and the list's digest."""
    from trainer import evaluate, tokens

    opened = tokens.open(unit.validation)
    tokens.same_tokenizer(opened, model.tokenizer)
    sample = evaluate.choose(opened, documents, seed)
    found = evaluate.evaluate(model.model, sample, unit.config.data.length, model.model.output.device)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in found.records())
    files.write_bytes(str(unit.path), DOCUMENTS, lines.encode(), sweeps=True)
    return {score.name: records.plain(score) for score in found.scores}, sample.digest


class _Log(Silent):
    """A teller of a process without a terminal: its lines go to stderr, which is its log."""

    def say(self, text: str, style: str = "") -> None:
        print(text, file=sys.stderr, flush=True)


def _serve() -> None:
    """Train the units that arrive on stdin, a line each; answer each by its error, or null, on stdout."""
    from trainer.world import Stop

    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints goes to the log
    with Stop() as stop:
        while not stop.requested and (line := sys.stdin.readline()):
            unit = read(line)
            try:
                work(unit, _Log())
                error = None
            except StoppedError as stopped:
                sys.exit(128 + stopped.signal)
            except Exception as failed:  # the worker is kept: the next unit may be sound
                traceback.print_exc()
                error = f"{type(failed).__name__}: {failed}"
            os.write(answers, json.dumps(error).encode() + b"\n")


if __name__ == "__main__":
    _serve()
