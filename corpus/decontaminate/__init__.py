"""Texts of evaluation sets, found in documents although case, marks and suffixes differ."""
