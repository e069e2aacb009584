"""Which words are hidden, by what, and how much each counts."""

from collections.abc import Sequence

import numpy as np
from spacy.tokens import Doc

from ..errors import Errors
from ..types import Mask, MaskedDocs

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
