"""The best mix of sources and languages, found with many small models."""
