"""Noisy characters in, the clean word's vector out: denoising as a masking."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spacy.tokens import Doc

from ..errors import Errors
from ..noise.hidden_chars import HiddenChars
from ..noise.typos import SPACE_KINDS, TRAINING_SHARE, Typos, default_kinds, read_misspellings
from ..types import Mask, MaskedDocs, Masking

MASK_TEXT = "[MASK]"  # what a tok2vec that is not ours reads in place of a hidden word


class WordMasking:
    """Hide a share of the words, most of them behind a mask, some behind another word.

    The other word is that of a token of the same batch: it comes from the corpus, as often as it
    occurs there. Devlin et al., "BERT" (2019), with weighted visible words: a cloze objective that
    learns at hidden words alone has, after millions of words, not even learned to copy a vector.

    rate (float): Share of the words that are to be predicted without being seen.
    mask_share (float): Share of those that the mask replaces.
    random_share (float): Share of those that a random word replaces; the rest stay as they are.
    visible_weight (float): Weight in the loss of a word outside the rate; hidden words have 1.
    visible_share (float): Share of the words outside the rate that are sampled into the loss.
        Less is faster, since the head runs at the words that count only.
    seed (int): Seed of the generator.
    """

    def __init__(
        self,
        rate: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        visible_weight: float = 1.0,
        visible_share: float = 1.0,
        seed: int = 0,
    ) -> None:
        shares = {
            "rate": rate,
            "mask_share": mask_share,
            "random_share": random_share,
            "mask_share + random_share": mask_share + random_share,
            "visible_share": visible_share,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1 + 1e-9:
                raise ValueError(Errors.E302.format(name=name, found=share))
        if not visible_weight >= 0:
            raise ValueError(Errors.E303.format(found=visible_weight))
        self.rate = rate
        self.mask_share = mask_share
        self.random_share = random_share
        self.visible_weight = visible_weight
        self.visible_share = visible_share
        self.seed = seed
        self._rng = np.random.default_rng(seed)

    def restart(self, *key: int) -> None:
        """Draw from here on as `key` tells: see `types.Masking`."""
        self._rng = np.random.default_rng([self.seed, *key])

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch: see `types.Masking`."""
        return self.draw(sum(len(doc) for doc in docs))

    def draw(self, nT: int) -> Mask:
        """Draw the mask of a batch of nT tokens, whatever they are."""
        chosen = self._rng.random(nT) < self.rate
        roll = self._rng.random(nT)
        hidden = chosen & (roll < self.mask_share)
        replaced = chosen & ~hidden & (roll < self.mask_share + self.random_share)
        source = np.arange(nT)
        source[replaced] = self._rng.integers(0, max(nT, 1), int(replaced.sum()))
        sampled = self._rng.random(nT) < self.visible_share
        weights = np.where(chosen, 1.0, sampled * self.visible_weight).astype("float32")
        return Mask(hidden, source, weights)


def hide_words(docs: Sequence[Doc], mask: Mask, *, rebuild: bool) -> list[Doc]:
    """Put the mask over a batch.

    docs (Sequence[Doc]): The batch, which stays as it is.
    mask (Mask): The mask of its nT tokens.
    rebuild (bool): Whether to make new Docs that contain the mask as a word, for a tok2vec that
        knows nothing of `MaskedDocs`.
    RETURNS (List[Doc]): The batch with hidden words.
    """
    masked = MaskedDocs(docs, mask.hidden, mask.source, mask.texts)
    return spell_masks(masked) if rebuild else masked


def spell_masks(docs: MaskedDocs) -> list[Doc]:
    """Make new Docs that contain the mask as a word."""
    words = np.array([token.text for doc in docs for token in doc], dtype=object)
    words = words[docs.source]
    for token, text in docs.texts.items():
        words[token] = text
    words[docs.hidden] = MASK_TEXT
    hidden_docs, start = [], 0
    for doc in docs:
        spaces = [bool(token.whitespace_) for token in doc]
        texts = words[start : start + len(doc)].tolist()
        hidden_docs.append(Doc(doc.vocab, words=texts, spaces=spaces))
        start += len(doc)
    return hidden_docs


Noise = Callable[[Sequence[str], np.random.Generator], list[str]]


class NoiseMasking:
    """Change the characters of some words, beside what another masking hides.

    A word whose characters have changed counts with weight 1: its target is that of the clean
    word. Words that the other masking hides or replaces stay as that leaves them.

    masking (Masking): The other masking.
    make_noise (Callable): Makes the noise at the first batch: a file that it needs is not read
        in every `spacy train`.
    seed (int): Seed of the generator.
    """

    def __init__(self, masking: Any, make_noise: Callable[[], Noise], seed: int) -> None:
        if not callable(masking):
            raise ValueError(Errors.E304.format(name="masking.masking", found=masking))
        self.masking: Masking = masking
        self.seed = seed
        self._make_noise = make_noise
        self._noise: Noise | None = None
        # Noise upon noise, and the masking below, draw apart though their seeds be equal.
        self.depth: int = 1 + getattr(masking, "depth", 0)
        self._rng = np.random.default_rng([seed, self.depth])

    def restart(self, *key: int) -> None:
        """Draw from here on as `key` tells: see `types.Masking`."""
        self._rng = np.random.default_rng([self.seed, self.depth, *key])
        self.masking.restart(*key)

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch: see `types.Masking`."""
        if self._noise is None:
            self._noise = self._make_noise()
        mask = self.masking(docs)
        seen = ~mask.hidden & (mask.source == np.arange(len(mask.source)))
        seen[list(mask.texts)] = False
        tokens = [token for doc in docs for token in doc]
        places = [i for i in np.flatnonzero(seen).tolist() if not tokens[i].is_space]
        words = [tokens[i].text for i in places]
        noisy = self._noise(words, self._rng)
        changed = {i: new for i, old, new in zip(places, words, noisy) if new != old}
        weights = mask.weights.copy()
        weights[list(changed)] = 1.0
        return Mask(mask.hidden, mask.source, weights, {**mask.texts, **changed})


def create_typo_masking_v1(
    masking: Any,
    rate: float = 0.2,
    kinds: list[str] | None = None,
    per: str = "word",
    keyboard: str = "qwerty",
    keep_first: bool = False,
    keep_last: bool = False,
    misspellings: Path | None = None,
    seed: int = 0,
) -> NoiseMasking:
    """Create a masking that makes typos: the objective learns to see the word that was meant.

    masking (Masking): What hides words beside; `spacy-charlm.WordMasking.v1` with rate 0 for typos
        alone. Noise can be put on noise.
    rate (float): Edits per word, or per character. Recommended values: 0.1 to 0.3 per word.
    kinds (Optional[List[str]]): key, swap, drop, insert, repeat, case, lookalike, accent, natural;
        None for the first five, and natural where there are misspellings.
    per (str): What the rate counts: word, of which none has more than one edit, or character.
    keyboard (str): qwerty, qwertz or azerty.
    keep_first (bool): Whether the first character of a word stays.
    keep_last (bool): Whether the last character of a word stays.
    misspellings (Optional[Path]): For "natural": a file of misspelling, tab, correct word, of whose
        words 80 % are used.
    seed (int): Seed of all that is drawn.
    RETURNS (NoiseMasking): The masking.
    RAISES (ValueError): If a setting is out of range.
    """
    names = default_kinds(misspellings) if kinds is None else kinds
    for name in sorted(set(names) & set(SPACE_KINDS)):
        raise ValueError(Errors.E706.format(found=name))

    def make(natural: dict[str, list[str]] | None) -> Typos:
        return Typos(
            rate,
            names,
            per=per,
            keyboard=keyboard,
            keep_first=keep_first,
            keep_last=keep_last,
            misspellings=natural,
        )

    # The settings are checked now, as if there were a misspelling; the file is read when needed.
    checked = make(None if misspellings is None else {"": []})

    def make_noise() -> Typos:
        if misspellings is None:
            return checked
        return make(read_misspellings(misspellings, share=TRAINING_SHARE))

    return NoiseMasking(masking, make_noise, seed)


def create_char_masking_v1(
    masking: Any, rate: float = 0.2, max_run: int = 3, seed: int = 0
) -> NoiseMasking:
    """Create a masking that hides characters, single ones and runs, within words.

    masking (Masking): What hides words beside; `spacy-charlm.WordMasking.v1` with rate 0 for
        characters alone.
    rate (float): Share of the words with hidden characters. Recommended values: 0.1 to 0.3.
    max_run (int): Most characters of a run. Recommended values: 1 to 4.
    seed (int): Seed of all that is drawn.
    RETURNS (NoiseMasking): The masking.
    RAISES (ValueError): If a setting is out of range.
    """
    noise = HiddenChars(rate, max_run)
    return NoiseMasking(masking, lambda: noise, seed)
