"""What a crawl stores: plan, journal, archive and tables, and the progress that can be read from them."""
