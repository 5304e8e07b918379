"""Pretraining on token shards, to measure what a corpus is worth; without Beam."""

import os

# How often torch's threads on a CPU look for work while they wait for each other, before they sleep
# (libgomp's default: 300,000). Where other work has the cores, looking made a step 45 times as long as one
# thread takes it; a thousand times cost 6 % where the cores are free. libgomp reads this once, when torch
# is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
