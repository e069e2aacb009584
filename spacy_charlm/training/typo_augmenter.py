"""Typos in training: `spacy-charlm.typos.v1`, for [corpora.train.augmenter]."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from spacy.language import Language
from spacy.training import Example
from spacy.util import logger

from ..errors import Errors
from ..noise.misspellings import TRAINING_SHARE, read_misspellings
from ..noise.noisy_docs import make_noisy_example
from ..noise.typos import COMMON_KINDS, Typos


def create_typos_v1(
    rate: float = 0.2,
    kinds: list[str] | None = None,
    keyboard: str = "qwerty",
    keep_first: bool = False,
    keep_last: bool = False,
    misspellings: Path | None = None,
    level: float = 1.0,
    keep_clean: bool = True,
    seed: int = 0,
) -> Callable[[Language, Example], Iterator[Example]]:
    """Create an augmenter that adds typos and leaves the labels right.

    rate (float): Share of the words with an edit; each text draws its own share up to twice that,
        so that a pipeline meets clean and noisy texts. 0.2 recommended.
    kinds (Optional[List[str]]): key, swap, drop, insert, repeat, case, lookalike, accent, natural,
        missing_space, extra_space; None for the first five. Another space changes the tokens: an
        entity that then ends inside a token is given up, and counted in spaCy's log.
    keyboard (str): qwerty, qwertz or azerty.
    keep_first (bool): Whether the first character of a word stays.
    keep_last (bool): Whether the last character of a word stays.
    misspellings (Optional[Path]): For "natural": a file of misspelling, tab, correct word, of whose
        words 80 % are used.
    level (float): Share of the texts that are written anew.
    keep_clean (bool): Whether the clean text is given beside the noisy one.
    seed (int): Seed of all that is drawn.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    RAISES (ValueError): If a setting is out of range.
    """
    natural = None
    if misspellings is not None:
        natural = read_misspellings(misspellings, share=TRAINING_SHARE)
    typos = Typos(
        rate,
        kinds or COMMON_KINDS,
        keyboard=keyboard,
        keep_first=keep_first,
        keep_last=keep_last,
        misspellings=natural,
    )
    rng = np.random.default_rng(seed)
    counts = {"dropped": 0}

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        noisy = rng.random() < level
        if keep_clean or not noisy:
            yield example
        if noisy:
            typos.rate = min(1.0, 2 * rate * rng.random())
            noisy_example, dropped = make_noisy_example(nlp, example, typos, rng)
            yield noisy_example
            if dropped:
                counts["dropped"] += dropped
                logger.info(Errors.W700.format(**counts))

    return augment
