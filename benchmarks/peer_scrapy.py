"""Scrapy on the site of `crawl.py`: `python benchmarks/peer_scrapy.py SEED...`; prints pages and seconds.

It obeys robots.txt, follows every link of the hosts, has no delay and stores nothing.
"""

from __future__ import annotations

import json
import sys
import time
from urllib.parse import urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor


class Site(scrapy.Spider):
    """Follows every link of the seeds' hosts."""

    name = "site"
    pages = 0

    def __init__(self, seeds: list[str]) -> None:
        super().__init__()
        self.start_urls = seeds
        self.allowed_domains = [urlsplit(seed).hostname for seed in seeds]
        self.extractor = LinkExtractor()

    def parse(self, response: scrapy.http.Response) -> object:
        Site.pages += 1
        for link in self.extractor.extract_links(response):
            yield response.follow(link.url, self.parse)


def main() -> None:
    """Crawl and print what it took."""
    process = CrawlerProcess(
        {
            "USER_AGENT": "derlem-benchmark (+https://example.org/)",
            "ROBOTSTXT_OBEY": True,
            "DOWNLOAD_DELAY": 0,
            "CONCURRENT_REQUESTS": 64,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Site, seeds=sys.argv[1:])
    started = time.perf_counter()
    process.start()
    print(json.dumps({"pages": Site.pages, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
