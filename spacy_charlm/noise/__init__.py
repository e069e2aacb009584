"""Typos and hidden characters, drawn from seeded generators."""
