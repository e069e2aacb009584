"""Examples whose texts have typos, and the augmenter that trains a pipeline on them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from spacy.attrs import ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.util import logger

from ..checks import Seed, Share, checked
from ..errors import Errors
from .typos import Typos, TyposBlock, is_word

ATTRS = ["TAG", "POS", "MORPH", "LEMMA", "DEP", "HEAD", "SENT_START"]
ENTITY_ATTRS = ["ENT_IOB", "ENT_TYPE", "ENT_KB_ID", "ENT_ID"]


@checked("spacy-charlm.typo_augmenter.v1")
def create_typo_augmenter_v1(
    typos: TyposBlock, level: Share = 1.0, keep_clean: bool = True, seed: Seed = 0
) -> Callable[[Language, Example], Iterator[Example]]:
    """Create an augmenter for [corpora.train] that adds typos and keeps the labels.

    Typos may change the tokens of a text. An entity that then ends inside a token is dropped, and
    the log of spaCy shows how many were.

    typos (Typos): The typos. Each text draws its own rate evenly around theirs, such as from 0 to
        0.4 around 0.2, so that the pipeline sees clean and noisy texts. A rate of 0.2 per word is
        recommended.
    level (float): Share of the texts that get typos, from 0 to 1.
    keep_clean (bool): Whether a text with typos is added to the clean one, or replaces it.
    seed (int): Seed of the generator.
    RETURNS (Callable[[Language, Example], Iterator[Example]]): The augmenter.
    RAISES (ValueError): If the level is out of range.
    """
    rng = np.random.default_rng(seed)
    reach = min(typos.rate, 1 - typos.rate)  # keeps the mean at the rate for rates above 0.5, too
    n_dropped = 0

    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        nonlocal n_dropped
        noisy = rng.random() < level
        if keep_clean or not noisy:
            yield example
        if noisy:
            rate = rng.uniform(typos.rate - reach, typos.rate + reach)
            noisy_example, counts = make_noisy_example(nlp, example, typos.at(rate), rng)
            yield noisy_example
            before, n_dropped = n_dropped, n_dropped + counts.dropped
            if n_dropped and (not before or len(str(before)) < len(str(n_dropped))):  # 1, 10, 100
                logger.warning(Errors.W700.format(n=n_dropped))

    return augment


class NoiseCounts(NamedTuple):
    """Counts of the typos in one text.

    words (int): Words of the text.
    edited (int): Words that were edited, or have an edited space after them.
    dropped (int): Entities and spans that were dropped.
    """

    words: int = 0
    edited: int = 0
    dropped: int = 0


def make_noisy_example(
    nlp: Language,
    example: Example,
    typos: Typos,
    rng: np.random.Generator,
    *,
    drop_spans: bool = True,
) -> tuple[Example, NoiseCounts]:
    """Make a copy of an Example whose text has typos.

    The labels keep their tokens, which get the same typos. The pipeline tokenises the text, and
    spaCy aligns the two. If the corpus gives the tokens, as with `gold_preproc` and for Docs with
    unknown spaces, they are kept, and spaces are not edited.

    nlp (Language): The pipeline.
    example (Example): The Example, which does not change.
    typos (Typos): The typos.
    rng (Generator): The generator.
    drop_spans (bool): Whether to drop entities and spans that end inside a token of the text. No
        model can predict them: drop them for training, keep them for scores.
    RETURNS (Tuple[Example, NoiseCounts]): The copy and its counts.
    """
    doc = example.reference
    old, old_spaces = [token.text for token in doc], _get_spaces(doc)
    has_given_tokens = _has_given_tokens(nlp, example)
    words, spaces = typos.edit(old, None if has_given_tokens else old_spaces, rng)
    spaces = old_spaces if has_given_tokens else spaces
    edited = sum(a != b for a, b in zip(words, old)) + sum(np.not_equal(spaces, old_spaces))
    # An extra space is part of the text, but not of the labelled token.
    tokens = [new if new == was else new.replace(" ", "") for new, was in zip(words, old)]
    labelled = copy_labels(doc, tokens)
    if has_given_tokens:
        typed = Doc(nlp.vocab, words=tokens, spaces=old_spaces)
    else:
        typed = nlp.make_doc("".join(word + " " * space for word, space in zip(words, spaces)))
    dropped = drop_misaligned_spans(labelled, typed) if drop_spans else 0
    return Example(typed, labelled), NoiseCounts(sum(map(is_word, old)), int(edited), dropped)


def drop_misaligned_spans(doc: Doc, typed: Doc) -> int:
    """Drop the entities and spans that begin or end inside a token of another Doc.

    The tokens of such an entity then count as not annotated, not as outside of an entity.

    doc (Doc): The Doc with labels, which is changed in place.
    typed (Doc): A Doc of the same characters with other spaces and tokens.
    RETURNS (int): Number of entities and spans that were dropped.
    """
    if not doc.ents and not doc.spans:
        return 0
    edges, other_edges = _find_edges(doc), set(_find_edges(typed))

    def is_aligned(span: Span) -> bool:
        return edges[span.start] in other_edges and edges[span.end] in other_edges

    missing = [
        Span(doc, ent.start, ent.end, label=ent.label) for ent in doc.ents if not is_aligned(ent)
    ]
    dropped = len(missing)
    if missing:
        kept = [ent for ent in doc.ents if is_aligned(ent)]
        doc.set_ents(kept, missing=missing, default="unmodified")
    for key, group in list(doc.spans.items()):
        spans = [span for span in group if is_aligned(span)]
        dropped += len(group) - len(spans)
        doc.spans[key] = SpanGroup(doc, name=group.name, attrs=dict(group.attrs), spans=spans)
    return dropped


def copy_labels(doc: Doc, words: Sequence[str]) -> Doc:
    """Make a Doc of other words with the labels of a Doc.

    doc (Doc): The Doc, which does not change.
    words (Sequence[str]): The words, one per token.
    RETURNS (Doc): A Doc of the words with the spaces and labels of the Doc.
    """
    spaces = None if doc.has_unknown_spaces else _get_spaces(doc)
    copy = Doc(doc.vocab, words=list(words), spaces=spaces)
    if len(doc):
        attrs: list[int | str] = [
            attr for attr in ATTRS if doc.has_annotation({"HEAD": "DEP"}.get(attr, attr))
        ]
        attrs += ENTITY_ATTRS
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
    """Copy custom attributes. Those of tokens and spans have character offsets, which change."""
    if not doc.user_data:
        return
    starts = {old.idx: new.idx for old, new in zip(doc, copy)}
    ends = {old.idx + len(old): new.idx + len(new) for old, new in zip(doc, copy)}
    for key, value in doc.user_data.items():
        if isinstance(key, tuple) and len(key) == 4 and key[0] == "._." and key[2] is not None:
            name, start, end = key[1:]
            key = ("._.", name, starts.get(start, start), end and ends.get(end, end))
        copy.user_data[key] = value


def _has_given_tokens(nlp: Language, example: Example) -> bool:
    """Check whether the text has the tokens of its labels instead of those of the pipeline."""
    doc = example.reference
    words = doc.to_array(ORTH)
    return doc.has_unknown_spaces or (
        np.array_equal(words, example.predicted.to_array(ORTH))
        and not np.array_equal(words, nlp.make_doc(doc.text).to_array(ORTH))
    )


def _get_spaces(doc: Doc) -> list[bool]:
    return doc.to_array(SPACY).astype(bool).tolist()


def _find_edges(doc: Doc) -> list[int]:
    """Count the characters, without white space, before each token and in total; (nT + 1,)."""
    sizes = [sum(not char.isspace() for char in token.text) for token in doc]
    return [0, *np.cumsum(sizes).tolist()]
