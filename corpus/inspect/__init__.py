"""What a person wants to see of a corpus: its numbers, its documents, its clusters of copies."""
