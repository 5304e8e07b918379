"""Web formats and protocols that the readers of archives, the crawl and Common Crawl share: URLs, HTTP,
WARC."""
