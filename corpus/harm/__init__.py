"""Harmful words, found with their Turkish suffixes and not inside of other words."""
