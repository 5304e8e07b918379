"""Quality filters: which documents a model should not learn from, by published rules with named limits."""

from __future__ import annotations

from corpus.filters import c4, fineweb, gopher, url
from corpus.filters.c4 import Rest
from corpus.filters.drop import Drop
from corpus.filters.preset import Preset, load, names, source
from corpus.text.view import TextView

__all__ = ["Drop", "Preset", "Rest", "apply", "load", "names", "source", "url"]


def apply(view: TextView, preset: Preset) -> Drop | Rest:
    """Return the text to go on with, or the first rule that drops the document.

    The text is that of `view` itself unless C4's rules took lines out of it. The order is FineWeb's, which
    lets the last filter read what C4 left, but quality comes before repetition: what stays is the same, and a
    text of five words is dropped as too short, not as repetitive.
    """
    if preset.gopher_quality and (drop := gopher.quality(view, preset.gopher_quality)):
        return drop
    if preset.gopher_repetition and (drop := gopher.repetition(view, preset.gopher_repetition)):
        return drop
    rest = c4.check(view, preset.c4) if preset.c4 else Rest(view, {})
    if isinstance(rest, Drop):
        return rest
    if preset.fineweb and (drop := fineweb.check(rest.view, preset.fineweb)):
        return drop
    return rest
