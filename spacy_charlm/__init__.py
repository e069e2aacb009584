"""Character-level pretraining for spaCy: read words as characters, learn by predicting vectors."""
