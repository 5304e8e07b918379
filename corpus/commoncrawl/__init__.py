"""Pages that Common Crawl has fetched: found in its index, copied from its archives."""
