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
from ..noise.typos import Typos, default_kinds


def create_typos_v1(
    rate: float = 0.2,
    kinds: list[str] | None = None,
    per: str = "word",
    keyboard: str = "qwerty",
    keep_first: bool = False,
    keep_last: bool = False,
    misspellings: Path | None = None,
    level: float = 1.0,
    keep_clean: bool = True,
    seed: int = 0,
) -> Callable[[Language, Example], Iterator[Example]]:
    """Create an augmenter that adds typos and leaves the labels right.

    rate (float): Edits per word, or per character; each text draws its own rate evenly around it,
        of 0.2 from 0 to 0.4, so that a pipeline meets clean and noisy texts. 0.2 per word
        recommended.
    kinds (Optional[List[str]]): key, swap, drop, insert, repeat, case, lookalike, accent, natural,
        missing_space, extra_space; None for the first five, and natural where there are
        misspellings. Typos may change the tokens: an entity that then ends inside a token is given
        up, and counted in spaCy's log.
    per (str): What the rate counts: word, of which none has more than one edit, or character.
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
    if not 0 <= level <= 1:
        raise ValueError(Errors.E707.format(found=level))
    natural = None
    if misspellings is not None:
        natural = read_misspellings(misspellings, share=TRAINING_SHARE)
    typos = Typos(
        rate,
        default_kinds(misspellings) if kinds is None else kinds,
        per=per,
        keyboard=keyboard,
        keep_first=keep_first,
        keep_last=keep_last,
        misspellings=natural,
    )
    rng = np.random.default_rng(seed)
    reach = min(rate, 1 - rate)  # so that the mean is the rate, also of rates above a half
    given_up = 0

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        nonlocal given_up
        noisy = rng.random() < level
        if keep_clean or not noisy:
            yield example
        if noisy:
            drawn = rng.uniform(rate - reach, rate + reach)
            noisy_example, counts = make_noisy_example(nlp, example, typos.at(drawn), rng)
            yield noisy_example
            before, given_up = given_up, given_up + counts.given_up
            if given_up and (not before or len(str(before)) < len(str(given_up))):  # 1, 10, 100
                logger.warning(Errors.W700.format(given_up=given_up))

    return augment
