"""One request over the network, with every limit in time, size and address."""
