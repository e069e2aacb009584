"""Words of a table that are spelled nearly like another word."""

from collections.abc import Sequence

import numpy as np
from spacy.matcher.levenshtein import levenshtein

MOST_EDITS = 0.5  # edits for each character of the word: one that is further away is another word
# What the two take from the cosine: chosen on misspellings that no score uses.
EDIT_COST = 4.0  # of a word that differs in every character
PLACE_COST = 0.1  # for each ten times further down in the table, which has frequent words first


class Spellings:
    """Finds words by their letters, where the letters are what is known of a word.

    words (Sequence[str]): The table's words, the frequent ones first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._lower = [word.lower() for word in words]
        self._lengths = np.array([len(word) for word in self._lower], dtype="int64")

    def find(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """Find the words that become the given one by few edits, upper and lower case alike.

        Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals"
        (1966), by spaCy's own function.

        word (str): Any word.
        RETURNS (Tuple[ndarray, ndarray]): Their rows, int64 (nN,), and what their spelling and
            their place in the table cost, float64 (nN,).
        """
        typed = word.lower()
        most = max(1, int(MOST_EDITS * len(typed)))
        rows = np.flatnonzero(abs(self._lengths - len(typed)) <= most)
        edits = np.array([levenshtein(typed, self._lower[row], most) for row in rows.tolist()])
        near = edits <= most
        rows, edits = rows[near], edits[near]
        return rows, EDIT_COST * edits / max(1, len(typed)) + PLACE_COST * np.log10(rows + 1)
