"""Training of target vectors on raw text, by texts or by windows of words."""
