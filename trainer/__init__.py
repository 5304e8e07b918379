"""Pretraining on token shards, to measure what a corpus is worth; without Beam."""
