"""A corpus for a person to look at: its numbers, its documents, its clusters of copies."""
