"""The report of a stage: rates of this run, counts of the whole stage, rules that did nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from commands.render.stage import render_stage
from corpus.counts import Counts
from corpus.dataset import Manifest, Unit
from pipelines.report import summarise


def manifest(counts: Counts) -> Manifest:
    unit = Unit(name="a", fingerprint="f", inputs=(), files=(), counts=counts)
    return Manifest(
        stage="filter", version=1, settings={}, units=(unit,), facts={"remarks": ["1,200 clusters"]}
    )


def record(counts: Counts, peak: float = 10.0) -> Any:
    return {"unit": {"counts": counts.model_dump()}, "seconds": {"html": 1.5}, "peak_mb": peak}


def printed(summary: dict[str, Any], width: int = 80) -> str:
    console = Console(record=True, width=width, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    render_stage(summary, console)
    return console.export_text()


COUNTS = Counts(
    seen=10, kept=6, dropped={"gopher.min_words": 2, "language.score": 1}, rejected={"truncated": 1}
)


def test_rates_speak_of_this_run_and_counts_of_the_stage() -> None:
    summary = summarise(manifest(COUNTS), (), [record(COUNTS, 30.0)], wall_s=2.0, weight=4 << 20)
    assert (summary["documents_per_s"], summary["mb_per_s"]) == (5.0, 2.0)
    assert (summary["peak_mb"], summary["seconds"]) == (30.0, {"html": 1.5})
    again = summarise(manifest(COUNTS), (), [], wall_s=2.0, weight=0)
    assert again["documents_per_s"] is None
    assert (again["units_done_before"], again["counts"]) == (1, summary["counts"])


def test_a_rule_that_drops_nothing_says_so() -> None:
    summary = summarise(manifest(COUNTS), ("gopher", "language", "c4", "gopher.min"), [], 1.0, 0)
    assert summary["silent_rules"] == ["c4", "gopher.min"]
    assert "dropped nothing: c4, gopher.min" in printed(summary)


def test_a_stage_that_keeps_nothing_says_so() -> None:
    nothing = Counts(seen=2, kept=0, dropped={"language.not_kept": 2})
    assert "nothing was kept" in printed(summarise(manifest(nothing), (), [], 1.0, 0))
    assert "nothing was kept" not in printed(summarise(manifest(COUNTS), (), [], 1.0, 0))


def test_a_round_of_a_crawl_may_find_nothing_but_dead_links() -> None:
    nothing = Counts(seen=2, kept=0, rejected={"status": 2})
    crawled = manifest(nothing).model_copy(update={"stage": "crawl"})
    assert "nothing was kept" not in printed(summarise(crawled, (), [], 1.0, None))


def test_an_empty_stage_accuses_no_rule() -> None:
    assert summarise(manifest(Counts()), ("c4",), [], 1.0, 0)["silent_rules"] == []


def test_the_table_names_every_rule_and_cause_with_its_share() -> None:
    text = printed(summarise(manifest(COUNTS), (), [record(COUNTS)], 2.0, 1 << 20))
    for line in ("kept", "gopher.min_words", "language.score", "rejected: truncated", "1,200 clusters"):
        assert line in text
    assert "60.0 %" in text
    assert max(map(len, text.splitlines())) <= 80
