"""What a crawl writes: its plan, journal, archive and tables, and what they say of its progress."""
