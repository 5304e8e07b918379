"""The URLs that a crawl knows, which of them belong to it, and the order in which they are fetched."""
