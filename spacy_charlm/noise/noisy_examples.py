"""Typos in training: `spacy-charlm.typos.v1`, for [corpora.train.augmenter]."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from spacy.attrs import ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.util import logger

from ..errors import Errors
from .typos import TRAINING_SHARE, Typos, default_kinds, is_word, read_misspellings


def drop_misfits(doc: Doc, typed: Doc) -> int:
    """Give up the entities and spans whose ends are inside a token of another Doc.

    The tokens of such an entity count as not annotated, rather than as outside of an entity.

    doc (Doc): The Doc with labels, which is changed.
    typed (Doc): The same characters with other spaces and tokens.
    RETURNS (int): How many entities and spans are given up.
    """
    if not doc.ents and not doc.spans:
        return 0
    own, theirs = _edges(doc), set(_edges(typed))

    def fits(span: Span) -> bool:
        return own[span.start] in theirs and own[span.end] in theirs

    dropped = 0
    misfits = [Span(doc, ent.start, ent.end, label=ent.label) for ent in doc.ents if not fits(ent)]
    if misfits:
        kept = [ent for ent in doc.ents if fits(ent)]
        doc.set_ents(kept, missing=misfits, default="unmodified")
        dropped += len(misfits)
    for key, group in list(doc.spans.items()):
        spans = [span for span in group if fits(span)]
        dropped += len(group) - len(spans)
        doc.spans[key] = SpanGroup(doc, name=group.name, attrs=dict(group.attrs), spans=spans)
    return dropped


def _edges(doc: Doc) -> list[int]:
    """Characters, without white space, before each token and after the last one; (nT + 1,)."""
    sizes = [sum(not char.isspace() for char in token.text) for token in doc]
    return [0, *np.cumsum(sizes).tolist()]


ATTRS = ["TAG", "POS", "MORPH", "LEMMA", "DEP", "HEAD", "SENT_START"]
ENTITY = ["ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "ENT_ID"]


class NoiseCounts(NamedTuple):
    """What typos have done to a text.

    words (int): Its words.
    edited (int): How many of them, or of the spaces behind them, were edited.
    given_up (int): Entities and spans that ended inside a token of the new text.
    """

    words: int = 0
    edited: int = 0
    given_up: int = 0


def make_noisy_example(
    nlp: Language,
    example: Example,
    typos: Typos,
    rng: np.random.Generator,
    *,
    give_up: bool = True,
) -> tuple[Example, NoiseCounts]:
    """Write an Example anew with typos.

    The labels keep their tokens, with the typos in them. The text is tokenised by the pipeline,
    and spaCy aligns the two. An entity that ends inside a token of the text cannot be found there:
    for training it is given up, and its tokens count as not annotated. Where the corpus gives the
    tokens, as with `gold_preproc` and for Docs with unknown spaces, they stay, and spaces are not
    edited.

    nlp (Language): The pipeline.
    example (Example): The Example, which stays as it is.
    typos (Typos): What makes the typos.
    rng (Generator): Where chance comes from.
    give_up (bool): Whether entities and spans are given up.
    RETURNS (Tuple[Example, NoiseCounts]): Noisy text beside the labels of the clean one, and what
        was done.
    """
    doc = example.reference
    old, old_spaces = [token.text for token in doc], _read_spaces(doc)
    given = _tokens_are_given(nlp, example)
    words, spaces = typos.edit(old, None if given else old_spaces, rng)
    spaces = old_spaces if given else spaces
    edited = sum(a != b for a, b in zip(words, old)) + sum(np.not_equal(spaces, old_spaces))
    # A space too many is one of the text; the label's token has none.
    tokens = [new if new == was else new.replace(" ", "") for new, was in zip(words, old)]
    noisy = copy_labels(doc, tokens)
    if given:
        typed = Doc(nlp.vocab, words=tokens, spaces=old_spaces)
    else:
        typed = nlp.make_doc("".join(word + " " * space for word, space in zip(words, spaces)))
    given_up = drop_misfits(noisy, typed) if give_up else 0
    return Example(typed, noisy), NoiseCounts(sum(map(is_word, old)), int(edited), given_up)


def copy_labels(doc: Doc, words: Sequence[str]) -> Doc:
    """Make a Doc of other words with the labels of a Doc.

    doc (Doc): The Doc, which stays as it is.
    words (Sequence[str]): As many words as it has tokens.
    RETURNS (Doc): The words, its spaces and its labels.
    """
    spaces = None if doc.has_unknown_spaces else _read_spaces(doc)
    copy = Doc(doc.vocab, words=list(words), spaces=spaces)
    if len(doc):
        attrs: list[int | str] = [
            attr for attr in ATTRS if doc.has_annotation({"HEAD": "DEP"}.get(attr, attr))
        ]
        attrs += ENTITY
        values: Any = doc.to_array(attrs)
        copy.from_array(attrs, values)
    copy.cats = dict(doc.cats)
    for key, group in doc.spans.items():
        spans = [
            Span(copy, span.start, span.end, label=span.label, kb_id=span.kb_id, span_id=span.id)
            for span in group
        ]
        copy.spans[key] = SpanGroup(copy, name=group.name, attrs=dict(group.attrs), spans=spans)
    _copy_user_data(doc, copy)
    return copy


def _copy_user_data(doc: Doc, copy: Doc) -> None:
    """Copy custom attributes: those of tokens and spans are kept by the place of their text."""
    if not doc.user_data:
        return
    starts = {old.idx: new.idx for old, new in zip(doc, copy)}
    ends = {old.idx + len(old): new.idx + len(new) for old, new in zip(doc, copy)}
    for key, value in doc.user_data.items():
        if isinstance(key, tuple) and len(key) == 4 and key[0] == "._." and key[2] is not None:
            name, start, end = key[1:]
            key = ("._.", name, starts.get(start, start), end and ends.get(end, end))
        copy.user_data[key] = value


def _tokens_are_given(nlp: Language, example: Example) -> bool:
    """Whether the tokens of an Example's text are those of its labels, and not the pipeline's."""
    doc = example.reference
    words = doc.to_array(ORTH)
    return doc.has_unknown_spaces or (
        np.array_equal(words, example.predicted.to_array(ORTH))
        and not np.array_equal(words, nlp.make_doc(doc.text).to_array(ORTH))
    )


def _read_spaces(doc: Doc) -> list[bool]:
    """Whether a space follows each token."""
    return doc.to_array(SPACY).astype(bool).tolist()


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
