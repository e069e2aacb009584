"""Components of a spaCy pipeline."""
