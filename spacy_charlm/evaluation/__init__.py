"""Measures of what pretraining has learned."""
