"""The page of what changed between two builds: how many texts went which way, why, and examples."""

from __future__ import annotations

from corpus.view.pages import Viewer

LONG = 400  # characters of a passage


def changes_page(viewer: Viewer) -> str:
    """Return the changes to the other build, those of most texts first, each with its examples."""
    found = viewer.changes
    assert found is not None
    ways = [
        (change, [each for each in found.examples if (each.what, each.before, each.after) == key])
        for change in found.changes
        for key in [(change.what, change.before, change.after)]
    ]
    most = max([found.same, *(change.texts for change in found.changes)])
    return viewer.render("changes.html", "changes", found=found, ways=ways, most=most, long=LONG)
