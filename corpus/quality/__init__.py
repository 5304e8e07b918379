"""Models that say how good a text is: n-gram language models, and classifiers trained from labels."""
