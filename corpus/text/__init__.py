"""From the bytes of a page to clean text."""
