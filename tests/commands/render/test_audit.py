"""The audit of removed copies as a person, or a program, reads it."""

from __future__ import annotations

import json
from collections.abc import Callable

from typer.testing import CliRunner

from derlem import app


def test_an_audit_is_a_sentence_and_a_table_or_json(build: Callable[..., str]) -> None:
    folder = build()
    said = CliRunner().invoke(app, ["dedupe", "audit", folder]).stdout
    assert "2 of 2 removed near and URL copies compared" in " ".join(said.split())
    assert "0.80 to 0.85" in said
    found = json.loads(CliRunner().invoke(app, ["dedupe", "audit", folder, "--json"]).stdout)
    assert (found["sampled"], found["true"], len(found["bands"])) == (2, 0, 2)
