"""Fetching the web politely: what may be fetched, when, how safely, and how it is archived."""
