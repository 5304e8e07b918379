"""Tasks for small models: minimal pairs and multiple choice, judged by the probabilities of their options."""
