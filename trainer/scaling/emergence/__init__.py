"""Does an ability jump with scale, or does its metric: one set of outputs, sharp and smooth metrics."""
