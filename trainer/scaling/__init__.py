"""Scaling studies and laws: what more data or parameters are worth, with intervals that can be checked."""
