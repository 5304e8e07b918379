"""Pages that Common Crawl has fetched already: found in its index, copied from its archives."""
