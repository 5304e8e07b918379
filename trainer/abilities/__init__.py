"""Test whether an ability appears suddenly with scale, or only its metric: sharp and smooth metrics."""
