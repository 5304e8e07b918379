"""What the web speaks, shared by the readers of archives, the crawl and Common Crawl: URLs, HTTP, WARC."""
