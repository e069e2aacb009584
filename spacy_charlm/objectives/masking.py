"""Maskings: which words of a batch are hidden, replaced or misspelled."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from spacy.tokens import Doc

from ..checks import MaskingBlock, Range, Seed, Share, Size, checked
from ..errors import Errors
from ..noise.hidden_chars import HiddenChars
from ..noise.typos import SPACE_KINDS, TyposBlock
from ..types import Mask, MaskedDocs, Masking

MASK_TEXT = "[MASK]"  # the word that replaces a hidden one for the tok2vec of another package


class WordMasking:
    """Choose a share of the words and hide most of them behind the mask, some behind random words.

    After Devlin et al., "BERT" (2019). Two things differ. A random word is that of another token of
    the batch, so it is as frequent as in the corpus. Visible words count in the loss as well: with
    hidden words alone, a model has not even learned to copy a vector after millions of words.

    The word of a Doc of one token stays visible, because nothing else tells which word it was, and
    counts like a word that is chosen.

    rate (float): Share of the words that are chosen. 0.15 is recommended.
    mask_share (float): Share of the chosen words that the mask replaces.
    random_share (float): Share of the chosen words that a random word replaces. The others stay
        visible.
    visible_weight (float): Weight in the loss of a word that is not chosen; chosen words have 1.
    visible_share (float): Share of the words that are not chosen and yet count in the loss. Lower
        values are faster, because the head runs only at words that count.
    seed (int): Seed of the generator.
    RAISES (ValueError): If a setting is out of range.
    """

    @checked("spacy-charlm.WordMasking.v1")
    def __init__(
        self,
        rate: Share = 0.15,
        mask_share: Share = 0.8,
        random_share: Share = 0.1,
        visible_weight: Annotated[float, Range(0, 1e6)] = 1.0,
        visible_share: Share = 1.0,
        seed: Seed = 0,
    ) -> None:
        replaced = mask_share + random_share
        if replaced > 1 + 1e-9:
            raise ValueError(Errors.E302.format(name="mask_share + random_share", found=replaced))
        self.rate = rate
        self.mask_share = mask_share
        self.random_share = random_share
        self.visible_weight = visible_weight
        self.visible_share = visible_share
        self.seed = seed
        self._rng = np.random.default_rng(seed)

    def restart(self, *key: int) -> None:
        """Reseed the generator; see `types.Masking`."""
        self._rng = np.random.default_rng([self.seed, *key])

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch; see `types.Masking`."""
        lengths = np.array([len(doc) for doc in docs], dtype="int64")
        mask = self.draw(int(lengths.sum()))
        alone = (np.cumsum(lengths) - 1)[lengths == 1]
        mask.hidden[alone] = False
        mask.source[alone] = alone
        mask.weights[alone] = 1.0
        return mask

    def draw(self, nT: int) -> Mask:
        """Draw the mask of a batch of nT tokens."""
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
    """Apply a mask to a batch.

    docs (Sequence[Doc]): The batch, which does not change.
    mask (Mask): The mask of its nT tokens.
    rebuild (bool): Whether to make new Docs that contain the mask as a word, for a tok2vec that
        does not support `MaskedDocs`.
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
    new_docs, start = [], 0
    for doc in docs:
        spaces = [bool(token.whitespace_) for token in doc]
        texts = words[start : start + len(doc)].tolist()
        new_docs.append(Doc(doc.vocab, words=texts, spaces=spaces))
        start += len(doc)
    return new_docs


Noise = Callable[[Sequence[str], np.random.Generator], list[str]]


class NoiseMasking:
    """Change the characters of some words, in addition to another masking.

    A word with changed characters counts with weight 1, and its target is that of the clean word.
    Words that the other masking hides or replaces are left alone.

    masking (Masking): The other masking.
    noise (Callable[[Sequence[str], Generator], List[str]]): Returns the words with other
        characters.
    seed (int): Seed of the generator.
    """

    def __init__(self, masking: Any, noise: Noise, seed: int) -> None:
        self.masking: Masking = masking
        self.noise = noise
        self.seed = seed
        # Maskings that are nested in each other draw different numbers, even with equal seeds.
        self.depth: int = 1 + getattr(masking, "depth", 0)
        self._rng = np.random.default_rng([seed, self.depth])

    def restart(self, *key: int) -> None:
        """Reseed the generator; see `types.Masking`."""
        self._rng = np.random.default_rng([self.seed, self.depth, *key])
        self.masking.restart(*key)

    def __call__(self, docs: Sequence[Doc]) -> Mask:
        """Draw the mask of a batch; see `types.Masking`."""
        mask = self.masking(docs)
        visible = mask.seen
        visible[list(mask.texts)] = False
        tokens = [token for doc in docs for token in doc]
        indices = [i for i in np.flatnonzero(visible).tolist() if not tokens[i].is_space]
        words = [tokens[i].text for i in indices]
        noisy = self.noise(words, self._rng)
        changed = {i: new for i, old, new in zip(indices, words, noisy) if new != old}
        weights = mask.weights.copy()
        weights[list(changed)] = 1.0
        return Mask(mask.hidden, mask.source, weights, {**mask.texts, **changed})


@checked("spacy-charlm.TypoMasking.v1")
def create_typo_masking_v1(
    masking: MaskingBlock, typos: TyposBlock, seed: Seed = 0
) -> NoiseMasking:
    """Create a masking that adds typos: the objective learns to recognise the intended word.

    masking (Masking): Another masking, such as `spacy-charlm.WordMasking.v1`, with a rate of 0 for
        typos alone. It may itself add typos or hide characters.
    typos (Typos): The typos, of kinds within words only.
    seed (int): Seed of the generator.
    RETURNS (NoiseMasking): The masking.
    RAISES (ValueError): If an argument is something else, or a kind of typo changes spaces.
    """
    if found := sorted(set(typos.kinds) & set(SPACE_KINDS)):
        raise ValueError(Errors.E706.format(found=found[0]))
    return NoiseMasking(masking, typos, seed)


@checked("spacy-charlm.CharMasking.v1")
def create_char_masking_v1(
    masking: MaskingBlock, rate: Share = 0.2, max_run: Size = 3, seed: Seed = 0
) -> NoiseMasking:
    """Create a masking that hides characters within words, single ones and runs.

    masking (Masking): Another masking, such as `spacy-charlm.WordMasking.v1`, with a rate of 0 for
        hidden characters alone. It may itself add typos or hide characters.
    rate (float): Share of the words with hidden characters. Recommended values: 0.1 to 0.3.
    max_run (int): Most characters of a run. Recommended values: 1 to 4.
    seed (int): Seed of the generator.
    RETURNS (NoiseMasking): The masking.
    RAISES (ValueError): If a setting is out of range.
    """
    return NoiseMasking(masking, HiddenChars(rate, max_run), seed)
