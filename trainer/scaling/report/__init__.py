"""What runs say about a corpus, for people: one page that opens from disk, and its JSON twin."""
