"""Typos as people make them; seeded."""
