"""What a config block names: builders that compose layers."""
