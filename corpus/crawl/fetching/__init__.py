"""One request over the network, with limits on time, size and IP address."""
