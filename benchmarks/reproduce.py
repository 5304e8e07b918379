"""Reproduce what was published about four tables of runs: published, ours, verdict; `make reproduce`.

The tables are in `benchmarks/data/scaling`, whose README names their sources. The status is 1 if a number is
missed or a table is missing.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import optimize

from trainer.scaling.fit import Fit, fit
from trainer.scaling.laws import CHINCHILLA, REPETITION, TIED
from trainer.scaling.minimise import SQUARES
from trainer.scaling.runs import Runs, runs
from trainer.scaling.uncertainty import bootstrap

TABLES = Path(__file__).parent / "data" / "scaling"
Row = tuple[str, str, str, bool]
TASKS = (
    "arc_easy", "bigbench_cs_algorithms", "bigbench_dyck_languages", "bigbench_novel_concepts",
    "bigbench_operators",
    "bigbench_qa_wikidata", "boolq", "commonsense_qa", "copa", "coqa", "hellaswag", "hellaswag_zeroshot",
    "lambada_openai", "piqa", "pubmed_qa_labeled", "squad", "winograd",
)  # fmt: skip
"""Gadre et al.'s 17 tasks on which a 154M model is ten points above chance."""


def columns(path: Path) -> dict[str, list[str]]:
    """Read a CSV or JSON Lines file as columns of text."""
    with path.open(encoding="utf-8") as lines:
        rows = (
            [json.loads(line) for line in lines] if path.suffix == ".jsonl" else list(csv.DictReader(lines))
        )
    return {name: [str(row.get(name, "")) for row in rows] for name in rows[0]}


def numbers(table: dict[str, list[str]], name: str) -> NDArray[np.float64]:
    """Return a column as numbers."""
    return np.array([float(value) for value in table[name]])


def gemstones(folder: Path, subset: str) -> Runs:
    """Read one subset of the Gemstones runs; rows without a run name are runs of their own."""
    table = columns(folder / f"wandb_df_for_fitting_{subset}.jsonl")
    names = np.array(table["run_name"]) if "run_name" in table else None
    n, d = numbers(table, "params_active_precise"), numbers(table, "tokens")
    return runs(numbers(table, "final_loss"), params=n, tokens=d, group=names)


def datablations(folder: Path, name: str = "runs_182_fit_set") -> Runs:
    """Read the data-constrained runs."""
    table = columns(folder / f"{name}.csv")
    n, d, u = (numbers(table, key) for key in ("params", "tokens", "unique_tokens"))
    return runs(numbers(table, "val_loss_c4"), params=n, tokens=d, unique=u, group=np.array(table["run"]))


def gadre(folder: Path, corpus: str) -> tuple[Runs, list[str]]:
    """Read the over-training runs of one corpus, and their names."""
    table = columns(folder / "losses.csv")
    keep = np.array(table["train_dataset"]) == corpus
    n, d, loss = (numbers(table, key)[keep] for key in ("params", "tokens", "loss_c4_val"))
    names = [name for name, kept in zip(table["name"], keep, strict=True) if kept]
    return runs(loss, params=n, tokens=d, group=np.array(names)), names


def check_gemstones(folder: Path) -> list[Row]:
    """Fit the seven tables that must be reproduced; then what the published optimiser left at delta 1e-4."""
    published = {
        entry["path"].split("grid_search_0_")[-1].removesuffix(".json"): entry["value"]
        for entry in json.loads((folder / "published_fits.json").read_text())
        if entry["path"].startswith("parameters_delta-3/approach_3_parameters_grid")
    }
    out: list[Row] = []
    for subset in (
        "cool_end", "cool_begin", "hot", "hot_100b+", "hot_120b+_only", "lr_ablation_hot", "slim_chinchilla",
        "hot_sampled_like_chinchilla", "lr_ablation_hot_sampled_like_chinchilla",
    ):  # fmt: skip
        then = published[subset]
        now = fit(CHINCHILLA, gemstones(folder, subset))
        value, (alpha, beta) = then["loss"]["0"], then["exponents"]["0"]
        close = abs(now.parameters["alpha"] - alpha) < 2e-3 and abs(now.parameters["beta"] - beta) < 2e-3
        words = f"{now.value:.10f}  α {now.parameters['alpha']:.4f} β {now.parameters['beta']:.4f} "
        e = np.exp(then["irreducible_error"]["0"])
        was = f"{value:.10f}  α {alpha:.4f} β {beta:.4f} E {e:.4f}"
        lower = now.value <= value * (1 + 1e-6)
        out.append((f"Gemstones {subset}", was, f"{words}E {now.derived['E']:.4f}", lower and close))
    return out


def check_repetition(folder: Path) -> list[Row]:
    """Find the published local optimum and the lower global one, and say what is not determined."""
    held = {"a": 6.255414, "b": 7.3049974, "e": 0.6254804, "alpha": 0.3526596, "beta": 0.3526596}
    data = datablations(folder)
    found = fit(REPETITION, data, held=held)
    stars = [
        (np.exp(b.parameters["log_rd"]), np.exp(b.parameters["log_rn"]), b.value)
        for b in found.certificate.basins
    ]
    local = min(stars, key=lambda s: abs(s[0] - 15.37))
    best = stars[0]
    near = abs(local[0] - 15.37) < 0.05 and abs(local[1] - 5.315) < 0.02
    show = "R_D* {:.4f} R_N* {:.4f} objective {:.10f}".format
    out: list[Row] = [
        ("Muennighoff, optimum next to the published", show(15.387756, 5.309743, 0.0158259366), show(*local),
         near and local[2] <= 0.0158259366),
        ("Muennighoff, global optimum", show(95.37, 1.706, 0.0158046625), show(*best),
         best[2] <= 0.015804663),
        ("  its R²", "0.7910", f"{found.r2:.4f}", abs(found.r2 - 0.7910) < 1e-3),
    ]  # fmt: skip
    published = {**held, "log_rd": np.log(15.387756), "log_rn": np.log(5.309743)}
    theta = np.array([published[name] for name in REPETITION.parameters])
    plain = np.array([published[name] for name in CHINCHILLA.parameters])
    for label, was, loss in (
        ("Muennighoff, R² of the decayed law", 0.7722, REPETITION.log_loss(theta, data.logs())),
        ("Muennighoff, R² of plain Chinchilla", 0.4452, CHINCHILLA.log_loss(plain, data.logs())),
    ):
        r2 = 1 - ((np.exp(loss) - data.loss) ** 2).sum() / ((data.loss - data.loss.mean()) ** 2).sum()
        out.append((label, f"{was:.4f}", f"{r2:.4f}", abs(r2 - was) < 2e-4))
    only = fit(REPETITION, data, held={**held, "log_rn": REPETITION.bounds[-1][1]})
    ours = (only.derived["R_D*"], only.value)
    words = "R_D* {:.4f} objective {:.8f}".format
    out.append(("  only data decays", words(2.9157, 0.01692235), words(*ours),
                abs(ours[0] - 2.9157) < 0.01 and ours[1] <= 0.01692235 * (1 + 1e-6)))  # fmt: skip
    draws = bootstrap(found, data, 200)
    span = draws.derived()["R_D*"]
    out.append(("  R_D*, 95 % of 200 resamples", "5.5 – unbounded", f"{span.lower:.3g} – "
                + ("unbounded" if span.upper is None else f"{span.upper:.3g}"),
                span.upper is None and abs((span.lower or 0) / 5.5 - 1) < 0.1))  # fmt: skip
    decay = np.exp(draws.samples[:, REPETITION.index("log_rd")])
    for epochs, bottom, top in ((4, 3.31, 4.00), (40, 6.0, 40.0)):
        low, high = np.quantile(1 - decay * np.expm1(-(epochs - 1) / decay), [0.025, 0.975])
        out.append((f"  D'/U at {epochs} epochs", f"{bottom:.2f}–{top:.2f}", f"{low:.2f}–{high:.2f}",
                    abs(low / bottom - 1) < 0.1 and abs(high / top - 1) < 0.02))  # fmt: skip
    fixed = [{**held, "log_rd": float(np.log(r))} for r in (15.0, 25.0, 50.0, 95.0, 150.0, 200.0)]
    rise = max(fit(REPETITION, data, held=one).value for one in fixed) / found.value - 1
    out.append(("  profile over R_D* from 15 to 200", "rises < 0.15 %", f"{rise:.2%}", rise < 0.0015))
    return out


def check_gadre(folder: Path) -> list[Row]:
    """Predict the two largest runs of three corpora from five small ones; then the downstream error."""
    out: list[Row] = []
    targets = {
        "rpj": {32.0: 0.007103, 1.0: 0.007320},
        "c4_original": {1.0: 0.0430},
        "rw_original": {1.0: 0.0162},
    }
    for corpus, wanted in targets.items():
        data, _ = gadre(folder, corpus)
        n, multiple = data.columns["params"], data.columns["tokens"] / data.columns["params"] / 20
        small = (n < 5e8) & (np.abs(multiple - 1) < 0.01) | (n < 2e7) & (np.abs(multiple - 16) < 0.1)
        law = fit(TIED, data.take(small), SQUARES)
        for times, was in wanted.items():
            size = 6e9 if times == 1 else 1e9
            rows = (n > size) & (np.abs(multiple / times - 1) < 0.01)
            error = float(np.abs(law.predict(data.take(rows)) / data.loss[rows] - 1)[0])
            label = f"Gadre {corpus}, {'6.9B M=20' if times == 1 else '1.4B M=640'}, C4 loss"
            out.append(
                (label, f"{was:.4%}", f"{error:.4%}", abs(error - was) < (1e-6 if corpus == "rpj" else 1e-4))
            )
        if corpus == "rpj":
            out += _downstream(folder, data, law, small)
    return out


def _downstream(folder: Path, data: Runs, law: Fit, small: NDArray[np.bool_]) -> list[Row]:
    """Fit error = eps − k·exp(−gamma·L) to the fitted runs and 1.4B at M = 20; predict two others."""
    scores = columns(folder / "downstream_accuracy.csv")
    where = {name: row for row, name in enumerate(scores["name"])}
    rows = [where[name] for name in data.group]
    n, multiple = data.columns["params"], data.columns["tokens"] / data.columns["params"] / 20
    error = 1 - np.array([[float(scores[task][row]) for task in TASKS] for row in rows]).mean(axis=1)
    known = small | (n > 1e9) & (n < 2e9) & (np.abs(multiple - 1) < 0.01)

    def curve(loss: NDArray[np.float64], eps: float, k: float, gamma: float) -> NDArray[np.float64]:
        return np.asarray(eps - k * np.exp(-gamma * loss))

    fitted, _ = optimize.curve_fit(curve, data.loss[known], error[known], p0=(0.85, 2.0, 0.75), maxfev=20000)
    guess = curve(law.predict(data), *fitted)
    out: list[Row] = []
    for label, rows_, was in (
        ("1.4B M=640", (n > 1e9) & (n < 2e9) & (multiple > 30), 0.036365),
        ("6.9B M=20", n > 6e9, 0.000464),
    ):
        miss = float(np.abs(guess[rows_] / error[rows_] - 1)[0])
        out.append(
            (
                f"Gadre rpj, {label}, error of {len(TASKS)} tasks",
                f"{was:.4%}",
                f"{miss:.4%}",
                abs(miss - was) < 1e-5,
            )
        )
    return out


def check_nanochat(folder: Path) -> list[Row]:
    """Regress the published isoFLOP optima on the true budgets under three ways to count."""
    table = columns(folder / "isoflop_optima.csv")
    budget = {"1e18": 1e18, "2e18": 2.15e18, "5e18": 4.64e18, "1e19": 1e19}
    compute = np.array([budget[label] for label in table["flops_label"]])
    out: list[Row] = []
    for name, was in {
        "kaplan_matrices_plus_lm_head": (0.54, 0.49),
        "chinchilla_all_params": (0.37, 0.50),
        "transformer_only": (0.70, 0.41),
    }.items():
        rows = np.array(table["convention"]) == name
        optima = (numbers(table, key)[rows] for key in ("params", "tokens"))
        now = [float(np.polyfit(np.log(compute[rows]), np.log(each), 1)[0]) for each in optima]
        close = all(abs(a - b) < 0.0051 for a, b in zip(now, was, strict=True))
        out.append(
            (
                f"nanochat {name}",
                "N~C^{:.2f} D~C^{:.2f}".format(*was),
                "N~C^{:.3f} D~C^{:.3f}".format(*now),
                close,
            )
        )
    return out


CHECKS: dict[str, Callable[[Path], list[Row]]] = {
    "gemstones": check_gemstones,
    "datablations": check_repetition,
    "gadre_overtraining": check_gadre,
    "nanochat_log": check_nanochat,
}


def checked(tables: Path, name: str) -> list[Row]:
    """Compare one table with what was published about it; a table that is not there is a number missed."""
    try:
        rows = CHECKS[name](tables / name)
    except FileNotFoundError as error:
        return [(name, "", f"no such file: {error.filename}", False)]
    return rows or [(name, "", "nothing was compared", False)]


def main(tables: Path = TABLES) -> int:
    """Print every check; 1 if a published number is missed."""
    console, began = Console(width=150), time.perf_counter()
    shown = Table(title="published numbers reproduced")
    for head in ("what", "published", "ours", "verdict"):
        shown.add_column(head)
    rows = [row for name in CHECKS for row in checked(tables, name)]
    for what, was, now, good in rows:
        shown.add_row(what, was, now, "[green]same[/]" if good else "[red]MISSED[/]")
    missed = sum(not good for *_, good in rows)
    console.print(shown)
    console.print(
        f"{len(rows) - missed} published numbers reproduced, {missed} missed; "
        f"{time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of processor time"
    )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
