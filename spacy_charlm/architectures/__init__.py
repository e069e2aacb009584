"""Builders that a config block names. They only compose layers."""
