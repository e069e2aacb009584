"""What it costs that a word was typed with other letters, learned from real misspellings."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from typing import Any, TypeAlias

import numpy as np

LONGEST = 32  # characters of a word that count
LONGEST_BLOCK = 3  # characters
START, END = "\x02", "\x03"  # around each word, so that blocks know where they are
UNKNOWN = 8.0  # cost of replacing, adding or leaving out a character if no block says less
# Settings of the learning, tuned on misspellings that no evaluation uses.
N_ROUNDS = 3  # of aligning the words and counting the edits
PRIOR = 5.0  # occurrences of a block that its smaller edits count for
MOST = 3.0  # misspellings that a word counts for, however many it has
LEAST = 0.15  # occurrences that a block needs
# Costs without learning.
VOWELS = "aeiouy"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOWEL, SWAP, DOUBLE = 5.0, 6.0, 5.0

# Cost of a block of the word that was meant, typed as another block.
Blocks: TypeAlias = dict[tuple[str, str], float]
# Pairs of characters, meant and typed; "" for a character that was added or left out.
Alignment: TypeAlias = list[tuple[str, str]]
# Rows of the known blocks of one length, int64 (n,), and their costs, float32 (n,).
Costs: TypeAlias = tuple[np.ndarray, np.ndarray]


class SpellingCosts:
    """Negative log-probabilities that blocks of a word are typed as other blocks.

    After Brill and Moore, "An Improved Error Model for Noisy Channel Spelling Correction" (2000):
    a word is cut into blocks of up to three characters, each of which is typed as itself or as
    another block, such as ph as f. Start and end of the word are characters of their own. The cost
    of a word is that of its cheapest cut.

    blocks (Optional[Dict[Tuple[str, str], float]]): Cost of each block that was meant and the block
        that was typed instead. None for a few rules: vowels, doubled letters and swapped ones.
    """

    def __init__(self, blocks: Blocks | None = None) -> None:
        self.learned = blocks is not None
        self.blocks = blocks = _write_rules() if blocks is None else blocks
        chars = sorted({char for meant, _ in blocks for char in meant})
        self._chars = np.array([ord(char) for char in chars], dtype="int64")
        self._keys: list[np.ndarray] = [np.zeros(1, dtype="int64")]
        self._by_typed: dict[tuple[str, int], Costs] = {}
        for length in range(1, LONGEST_BLOCK + 1):
            some = [pair for pair in blocks if len(pair[0]) == length]
            meant = sorted({block for block, _ in some})
            codes = np.array([[ord(char) for char in block] for block in meant], dtype="int64")
            keys = self._combine(self._number(codes.reshape(len(meant), length).T))
            order = np.argsort(keys)
            self._keys.append(keys[order])
            row_of = {meant[i]: row for row, i in enumerate(order.tolist(), start=1)}
            by_typed: dict[str, list[tuple[int, float]]] = {}
            for pair in some:
                by_typed.setdefault(pair[1], []).append((row_of[pair[0]], blocks[pair]))
            for typed, found in by_typed.items():
                rows, costs = zip(*found)
                self._by_typed[typed, length] = np.array(rows), np.array(costs, dtype="float32")

    @classmethod
    def learn(cls, misspellings: Mapping[str, Sequence[str]]) -> "SpellingCosts":
        """Learn the costs from misspellings.

        The letters of each pair are aligned by the edits that are most probable so far, which are
        then counted again. Around each edit, the blocks with up to three more letters are counted.

        misspellings (Mapping[str, Sequence[str]]): What people write, for each correct word.
        RETURNS (SpellingCosts): The costs.
        """
        pairs, weights = [], []
        for word, found in misspellings.items():
            some = [typed.lower() for typed in found if max(len(typed), len(word)) <= LONGEST]
            pairs += [(word.lower(), typed) for typed in some]
            weights += [min(1.0, MOST / max(1, len(some)))] * len(some)
        singles: Blocks = {}
        alignments: list[Alignment] = []
        for _ in range(N_ROUNDS):
            alignments = _align(pairs, singles)
            singles = _count_singles(alignments, weights)
        return cls(_count_blocks(alignments, weights, singles))

    def to_list(self) -> list[tuple[str, str, float]] | None:
        """Return the learned costs as JSON; None for the rules."""
        return [(*pair, cost) for pair, cost in self.blocks.items()] if self.learned else None

    @classmethod
    def from_list(cls, costs: Sequence[tuple[str, str, float]] | None) -> "SpellingCosts":
        """Restore the costs that `to_list` returned."""
        if costs is None:
            return cls()
        return cls({(meant, typed): float(cost) for meant, typed, cost in costs})

    def score(self, typed: str, words: Sequence[str]) -> np.ndarray:
        """Score words that may have been meant, regardless of case.

        typed (str): What was typed.
        words (Sequence[str]): The nW words.
        RETURNS (ndarray): Their costs, float32 (nW,), from 0.
        """
        typed = START + typed.lower()[:LONGEST] + END
        marked = [START + word.lower()[:LONGEST] + END for word in words]
        lengths = np.array([len(word) for word in marked], dtype="int64")
        n = int(lengths.max(initial=2))
        chars = np.array(marked, dtype=f"U{n}").view("uint32").reshape(len(words), n)
        X = np.ascontiguousarray(chars.T).astype("int64")  # (n, nW)
        numbers = self._number(X)
        # Row of the block that starts at each character, by its length; 0 for an unknown block.
        rows = [self._find(numbers, length) for length in range(LONGEST_BLOCK + 1)]
        left_out = self._cost("", 1, rows[1])
        # The cost of leaving out all characters up to here.
        total = np.zeros((n + 1, len(words)), dtype="float32")
        total[1:] = np.minimum(left_out, UNKNOWN).cumsum(axis=0)
        best: list[np.ndarray] = []  # cost of what is typed so far, by the end in the word
        for i in range(len(typed) + 1):
            if i:
                D = best[i - 1] + UNKNOWN  # a character is added
                same = X == ord(typed[i - 1])
                D[1:] = np.minimum(D[1:], best[i - 1][:-1] + np.where(same, 0, UNKNOWN))
            else:
                D = np.full((n + 1, len(words)), np.inf, dtype="float32")
                D[0] = 0
            for size in range(1, min(i, LONGEST_BLOCK) + 1):
                block = typed[i - size : i]
                added = self.blocks.get(("", block))
                if added is not None:
                    np.minimum(D, best[i - size] + added, out=D)
                for length in range(1, min(LONGEST_BLOCK, n) + 1):
                    if (block, length) in self._by_typed:
                        cost = self._cost(block, length, rows[length])
                        np.minimum(D[length:], best[i - size][:-length] + cost, out=D[length:])
            # Leaving out any number of characters: a running minimum of what remains to be paid.
            best.append(np.minimum.accumulate(D - total, axis=0) + total)
        return best[-1][lengths, np.arange(len(words))]

    def _number(self, codes: Any) -> Any:
        """Number code points from 1 by their place among the known ones; 0 for unknown ones."""
        if not len(self._chars):
            return np.zeros_like(codes)
        at = np.searchsorted(self._chars, codes).clip(max=len(self._chars) - 1)
        return np.where(self._chars[at] == codes, at + 1, 0)

    def _combine(self, numbers: Any) -> Any:
        """Combine the numbers of the characters of blocks, (length, ...), into a key of each."""
        keys = np.zeros_like(numbers[0])
        for row in numbers:
            # A block with an unknown character is unknown.
            keys = np.where((keys < 0) | (row == 0), -1, keys * (len(self._chars) + 1) + row)
        return keys

    def _find(self, numbers: Any, length: int) -> Any:
        """Find the rows of the blocks of one length, (n - length + 1, nW)."""
        n = len(numbers) - length + 1
        if not length or n < 1 or not len(self._keys[length]):
            return np.zeros((max(n, 0), numbers.shape[1]), dtype="int64")
        keys = self._combine([numbers[i : i + n] for i in range(length)])
        at = np.searchsorted(self._keys[length], keys).clip(max=len(self._keys[length]) - 1)
        return np.where(self._keys[length][at] == keys, at + 1, 0)

    def _cost(self, typed: str, length: int, rows: Any) -> Any:
        """Look up the costs of blocks that were typed as another one."""
        costs = np.full(len(self._keys[length]) + 1, np.inf, dtype="float32")
        if (typed, length) in self._by_typed:
            known, values = self._by_typed[typed, length]
            costs[known] = values
        return costs[rows]


def _write_rules() -> Blocks:
    """Write down costs for English spelling, for use without misspellings to learn from."""
    blocks = {(a, b): VOWEL for a in VOWELS for b in VOWELS if a != b}
    blocks |= {(a + b, b + a): SWAP for a in LETTERS for b in LETTERS if a != b}
    blocks |= {(a + a, a): DOUBLE for a in LETTERS}
    blocks |= {(a, a + a): DOUBLE for a in LETTERS}
    return blocks


def _align(pairs: Sequence[tuple[str, str]], costs: Blocks) -> list[Alignment]:
    """Align pairs of words by the edits of one character that cost least; at first, 1 each."""
    chars = sorted({char for pair in pairs for word in pair for char in word})
    number = {char: i for i, char in enumerate(chars, start=1)}
    table = np.full((len(chars) + 1,) * 2, UNKNOWN if costs else 1.0, dtype="float32")
    np.fill_diagonal(table, 0.0)
    for (a, b), cost in costs.items():
        table[number.get(a, 0), number.get(b, 0)] = cost
    n = max((len(word) for pair in pairs for word in pair), default=0)
    X = np.zeros((2, n + 1, len(pairs)), dtype="int64")  # from 1
    for p, pair in enumerate(pairs):
        for side, word in enumerate(pair):
            X[side, 1 : len(word) + 1, p] = [number[char] for char in word]
    moves = np.zeros((n + 1, n + 1, len(pairs)), dtype="int8")  # 0: both, 1: meant, 2: typed
    before = np.zeros((n + 1, len(pairs)), dtype="float32")
    for i in range(n + 1):
        D = np.full_like(before, np.inf)
        for j in range(n + 1):
            a, b = X[0, i], X[1, j]
            options = np.full((3, len(pairs)), np.inf, dtype="float32")
            if i and j:
                options[0] = before[j - 1] + table[a, b]
            if i:
                options[1] = before[j] + table[a, 0]
            if j:
                options[2] = D[j - 1] + table[0, b]
            if i or j:
                moves[i, j] = options.argmin(axis=0)
                D[j] = options.min(axis=0)
            else:
                D[j] = 0.0
        before = D
    return [_trace(*pair, moves[:, :, p]) for p, pair in enumerate(pairs)]


def _trace(meant: str, typed: str, moves: np.ndarray) -> Alignment:
    """Follow the moves from the end of two words to their start."""
    alignment = [(END, END)]
    i, j = len(meant), len(typed)
    while i or j:
        move = moves[i, j]
        a, b = meant[i - 1] if move != 2 else "", typed[j - 1] if move != 1 else ""
        alignment.append((a, b))
        i, j = i - len(a), j - len(b)
    return [(START, START), *reversed(alignment)]


def _count_singles(alignments: Sequence[Alignment], weights: Sequence[float]) -> Blocks:
    """Count edits of single characters, and turn the counts into costs."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    totals: dict[str, float] = defaultdict(float)
    for alignment, weight in zip(alignments, weights):
        for a, b in alignment:
            counts[a, b] += weight
            totals[a] += weight if a else 0.0
            totals[""] += weight if a else 0.0  # a character may be added after each
    return {pair: _to_cost(n, totals[pair[0]], UNKNOWN) for pair, n in counts.items()}


def _count_blocks(
    alignments: Sequence[Alignment], weights: Sequence[float], singles: Blocks
) -> Blocks:
    """Count the blocks around each edit, and turn the counts into costs."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    totals: dict[str, float] = defaultdict(float)
    smaller: Blocks = {}  # what the edits of a block cost one by one
    for alignment, weight in zip(alignments, weights):
        word = "".join(a for a, _ in alignment)
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + LONGEST_BLOCK) + 1):
                totals[word[start:end]] += weight
        for pair, cost in _cut_blocks(alignment, singles):
            counts[pair] += weight
            smaller[pair] = min(cost, smaller.get(pair, cost))
    blocks = {pair: cost for pair, cost in singles.items() if pair[0] != pair[1]}
    for pair, n in counts.items():
        if n >= LEAST:
            cost = _to_cost(n, totals[pair[0]], smaller[pair])
            if cost < smaller[pair]:
                blocks[pair] = cost
    return blocks


def _cut_blocks(alignment: Alignment, singles: Blocks) -> Iterator[tuple[tuple[str, str], float]]:
    """Cut out the blocks that have an edit, with the cost of the edits one by one."""
    for start in range(len(alignment)):
        meant = typed = ""
        cost, edited = 0.0, False
        for a, b in alignment[start : start + LONGEST_BLOCK + 1]:
            meant, typed = meant + a, typed + b
            cost += singles[a, b]
            edited = edited or a != b
            if max(len(meant), len(typed)) > LONGEST_BLOCK:
                break
            if edited and meant and len(meant + typed) > 2:
                yield (meant, typed), cost


def _to_cost(n: float, total: float, otherwise: float) -> float:
    """Turn a count into a cost, with a prior of some occurrences at another cost."""
    return -log((n + PRIOR * exp(-otherwise)) / (total + PRIOR))
