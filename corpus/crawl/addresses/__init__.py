"""Which URLs a crawl knows, which of them belong to it, and in what order they are fetched."""
