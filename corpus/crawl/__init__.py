"""The crawler: which pages are fetched, when, with which limits, and how they are archived."""
