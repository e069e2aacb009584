"""Thinc layers: arrays in, arrays out; only `extract_chars` sees a Doc."""
