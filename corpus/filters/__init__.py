"""Quality filters: published rules with named limits that drop documents.

A family of rules is one module with the model of its limits, named in `FAMILIES`. A preset has the limits of
all families for a language; the configuration overrides single limits and adds plugins (`in_force`).
"""

from __future__ import annotations

from corpus.errors import PluginError
from corpus.filters import url
from corpus.filters.document import Document
from corpus.filters.drop import Drop
from corpus.filters.families import FAMILIES, RULES
from corpus.filters.force import ALL, GIVEN, NAMED, InForce, in_force
from corpus.filters.judge import Judgement, decide, decide_columns, judge, rule_names, same_values
from corpus.filters.plugins import Plugin, load_plugins
from corpus.filters.preset import CONTAMINATION, HARM, PLUGIN, QUALITY, Preset, load, names, source

__all__ = [
    "ALL",
    "CONTAMINATION",
    "FAMILIES",
    "GIVEN",
    "HARM",
    "NAMED",
    "PLUGIN",
    "QUALITY",
    "RULES",
    "Document",
    "Drop",
    "InForce",
    "Judgement",
    "Plugin",
    "PluginError",
    "Preset",
    "decide",
    "decide_columns",
    "in_force",
    "judge",
    "load",
    "load_plugins",
    "names",
    "rule_names",
    "same_values",
    "source",
    "url",
]
