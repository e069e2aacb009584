"""Thinc layers: arrays in, arrays out. Only `read_words` and `read_chars` know what a Doc is."""
