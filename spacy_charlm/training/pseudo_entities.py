"""Annotate the entities of raw text by the vote of pipelines that were trained on some texts."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import spacy
from spacy.attrs import LENGTH, SPACY
from spacy.pipeline import EntityRecognizer
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from ..checks import Count, Range, Seed, check_setting
from ..errors import Errors
from ..layers.crf import add_outside, decode, find_spans
from ..pipeline.ner import CharlmNER
from ..text.prefetch import BoundedTokenizer
from ..text.read_texts import Text, Words, read_docbin
from ..text.text_corpus import Counts, TextCorpus, draw_sample, get_characters
from .raw_labels import LabelledFolder, find_letters, read_batches

Entity: TypeAlias = tuple[int, int, str]  # first token, token after the last one, label
Found: TypeAlias = tuple[set[Entity], set[Entity]]  # by the pipeline as it is; with the bias


@dataclass(frozen=True)
class PseudoEntities:
    """What `label_entities` has written, and how good the vote is.

    labelled (int): Texts whose entities were given.
    texts (int): Raw texts that were annotated.
    known (int): Raw texts that were left out, because they are among the labelled ones or those of
        the development part.
    short (int): Raw texts that were left out, because they have too few words.
    missing (int): Words of the raw texts without annotation.
    labels (Dict[str, int]): Entities of the raw texts by label.
    precision (Optional[float]): Share of the entities found in the development part that are right,
        between 0 and 1; None without one.
    recall (Optional[float]): Share of the entities of the development part that are found.
    f1 (Optional[float]): Their harmonic mean.
    """

    labelled: int
    texts: int
    known: int
    short: int
    missing: int
    labels: dict[str, int]
    precision: float | None
    recall: float | None
    f1: float | None


def label_entities(
    train: Path,
    raw: Path,
    output: Path,
    pipelines: Sequence[Path],
    *,
    min_votes: int = 0,
    bias: float = -2.0,
    repeat: int = 3,
    dev: Path | None = None,
    limit: int = 0,
    min_words: int = 5,
    seed: int = 0,
    show: Callable[[float, int], None] = lambda done, words: None,
) -> PseudoEntities:
    """Annotate the entities of raw texts that pipelines agree on.

    `spacy train` then learns from many more texts, and one pipeline from what several know:
    pseudo-labels, after Lee (2013). An entity with enough votes is annotated. The words of other
    candidates get no annotation: `charlm_ner` and spaCy's `ner` learn nothing there. Candidates are
    the entities with fewer votes, and those that a pipeline finds if the bias of O is added to its
    scores. All other words are O. That unsure words are missing rather than O follows Jie et al.,
    "Better Modeling of Incomplete Annotations for Named Entity Recognition" (2019), who show the
    damage that wrong O do.

    Of entities that overlap, the one with the most votes is annotated, then the longer one, then
    the earlier one. A pipeline runs once per text, and no other component than the one that finds
    entities and the tok2vec that it listens to.

    train (Path): A .spacy file of texts with entities, which is what the pipelines learned from.
    raw (Path): The raw text: see `TextCorpus`. A text of the training or development part is left
        out; texts are compared by their letters and digits, because the files of tokenised corpora
        differ in spaces.
    output (Path): The folder to write to, new or empty: first the labelled texts, then the others,
        in files of 10,000. `spacy train` takes the folder as `paths.train`.
    pipelines (Sequence[Path]): Folders of pipelines with `charlm_ner` or spaCy's `ner`, with the
        same labels, language and tokenizer. Recommended: five, trained with different seeds.
    min_votes (int): Pipelines that have to find an entity; 0 for more than half.
    bias (float): Added to the scores of O, on top of what `tune_entities` has set, to find more
        candidates; 0 for none. It has no effect on spaCy's `ner`. Recommended values: -3 to -1.
    repeat (int): How often each labelled text is written, so that the others do not outweigh them.
    dev (Optional[Path]): A .spacy file of texts with entities, on which the vote is scored. Their
        tokens are kept.
    limit (int): Most raw texts to read, drawn at random from the whole text; 0 for all, in their
        order. Texts that are left out count as well.
    min_words (int): Fewest tokens of a raw text.
    seed (int): Seed of the draw.
    show (Callable[[float, int], None]): Called with the share of the raw text that is done, between
        0 and 1, and the number of words.
    RETURNS (PseudoEntities): Counts, and the scores on the development part.
    RAISES (ValueError): If a setting is out of range, a file cannot be read, the pipelines do not
        fit each other or the labelled texts, or the folder is not empty.
    RAISES (OSError): If there is no pipeline in a folder.
    """
    if not pipelines:
        raise ValueError(Errors.E800)
    for name, value, annotation in (
        ("min_votes", min_votes, Annotated[int, Range(0, len(pipelines))]),
        ("bias", bias, Annotated[float, Range(-1000, 0)]),
        ("repeat", repeat, Annotated[int, Range(1, 1000)]),
        ("limit", limit, Count),
        ("min_words", min_words, Count),
        ("seed", seed, Seed),
    ):
        check_setting("label_entities", name, value, annotation)
    folder = LabelledFolder(output)
    panel = Panel(pipelines, min_votes or len(pipelines) // 2 + 1, bias)
    vocab = spacy.blank(panel.lang).vocab
    docs = _read_labelled(train, vocab)
    dev_docs = _read_labelled(dev, vocab) if dev is not None else []
    unknown = sorted({ent.label_ for doc in docs for ent in doc.ents} - set(panel.labels))
    if unknown:
        raise ValueError(Errors.E805.format(path=train, found=unknown, expected=panel.labels))
    scores = panel.score(dev_docs)
    known = {find_letters(doc.text) for doc in chain(docs, dev_docs)}
    texts, n_characters = _read_raw(raw, vocab, panel.lang, limit, seed)
    counts = Counter(dict.fromkeys(panel.labels, 0))
    n_texts = n_known = n_short = n_missing = 0
    with folder.open(docs, repeat):
        for batch in panel.annotate(texts, n_characters, show):
            for doc, ents, missing in batch:
                if find_letters(doc.text) in known:
                    n_known += 1
                elif len(doc) < min_words:
                    n_short += 1
                else:
                    doc.set_ents(_make_spans(doc, ents), missing=[doc[i : i + 1] for i in missing])
                    folder.add(doc)
                    n_texts += 1
                    n_missing += len(missing)
                    counts.update(label for _, _, label in ents)
    return PseudoEntities(len(docs), n_texts, n_known, n_short, n_missing, dict(counts), *scores)


class Panel:
    """Pipelines that vote on entities.

    paths (Sequence[Path]): Folders of the pipelines, at least one.
    min_votes (int): Pipelines that have to find an entity.
    bias (float): Added to the scores of O to find candidates.
    RAISES (ValueError): If a pipeline has not exactly one component that sets entities, or labels
        or languages differ.
    """

    def __init__(self, paths: Sequence[Path], min_votes: int, bias: float) -> None:
        self.paths, self.min_votes, self.bias = paths, min_votes, bias
        self.finders = [EntityFinder(path) for path in paths]
        first = self.finders[0]
        for finder in self.finders[1:]:
            for what in ("labels", "lang"):
                expected, found = getattr(first, what), getattr(finder, what)
                if expected != found:
                    raise ValueError(
                        Errors.E802.format(
                            what=what, path=finder.path, found=found, expected=expected
                        )
                    )
        self.labels, self.lang = first.labels, first.lang
        # The same one for all, so that they cut long texts at the same places.
        max_length = min(finder.nlp.max_length for finder in self.finders)
        self._tokenizers = [
            BoundedTokenizer(finder.nlp.tokenizer, max_length, finder.nlp.vocab)
            for finder in self.finders
        ]

    def annotate(
        self, texts: Iterable[Text], n_characters: int, show: Callable[[float, int], None]
    ) -> Iterator[list[tuple[Doc, list[Entity], list[int]]]]:
        """Find what the pipelines agree on.

        texts (Iterable[str | Words]): The texts.
        n_characters (int): Their characters.
        show (Callable[[float, int], None]): See `read_batches`.
        YIELDS (List[Tuple[Doc, List[Entity], List[int]]]): For each text of a batch the Doc, its
            entities, and the tokens without annotation. The Docs must not be used after the next
            batch.
        RAISES (ValueError): If the pipelines do not split a text into the same tokens.
        """
        for batch in read_batches(self._tokenizers, texts, n_characters, show):
            self._check_tokens(batch)
            found = [
                finder.find(docs, self.bias)
                for finder, docs in zip(self.finders, batch, strict=True)
            ]
            yield [
                (doc, *count_votes(votes, self.min_votes))
                for doc, votes in zip(batch[0], zip(*found, strict=True), strict=True)
            ]

    def score(self, docs: Sequence[Doc]) -> tuple[float | None, float | None, float | None]:
        """Score the vote on annotated texts.

        docs (Sequence[Doc]): The texts, whose tokens are kept.
        RETURNS (Tuple[Optional[float], Optional[float], Optional[float]]): Precision, recall and
            F1; None without texts.
        """
        texts = [_get_words(doc) for doc in docs]
        examples: list[Example] = []
        for batch in self.annotate(texts, 1, lambda done, words: None):
            for _, ents, _ in batch:
                gold = docs[len(examples)]
                words, spaces = _get_words(gold)
                predicted = Doc(gold.vocab, words=words, spaces=spaces)
                predicted.set_ents(_make_spans(predicted, ents))
                examples.append(Example(predicted, gold))
        scores = get_ner_prf(examples)
        return scores["ents_p"], scores["ents_r"], scores["ents_f"]

    def _check_tokens(self, batch: Sequence[Sequence[Doc]]) -> None:
        for path, docs in zip(self.paths[1:], batch[1:], strict=True):
            for expected, found in zip(batch[0], docs, strict=True):
                rows = [doc.to_array([LENGTH, SPACY]) for doc in (expected, found)]
                if not np.array_equal(rows[0], rows[1]):
                    raise ValueError(
                        Errors.E803.format(
                            first=self.paths[0],
                            path=path,
                            n=len(expected),
                            found=len(found),
                            text=expected.text[:50],
                        )
                    )


class EntityFinder:
    """A pipeline that finds entities.

    path (Path): Its folder.
    RAISES (ValueError): If it has not exactly one component that sets entities, charlm_ner or
        spaCy's ner.
    RAISES (OSError): If there is no pipeline.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nlp = nlp = spacy.load(path)
        names = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]
        self.pipe: Any = nlp.get_pipe(names[0]) if len(names) == 1 else None
        if not isinstance(self.pipe, CharlmNER | EntityRecognizer):
            raise ValueError(Errors.E801.format(path=path, found=names or nlp.pipe_names))
        self.labels = sorted(self.pipe.labels)
        self.lang = nlp.lang or "xx"
        # What is left is the tok2vec; the component itself is called by `find`.
        nlp.select_pipes(
            enable=[
                name
                for name, pipe in nlp.pipeline
                if names[0] in getattr(pipe, "listening_components", ())
            ]
        )

    def find(self, docs: Sequence[Doc], bias: float) -> list[Found]:
        """Find the entities of texts, twice from the same scores.

        docs (Sequence[Doc]): The texts.
        bias (float): Added to the scores of O for the second list.
        RETURNS (List[Tuple[Set[Entity], Set[Entity]]]): For each text the entities as the pipeline
            sets them, and those with the bias. For spaCy's ner both are the same.
        """
        docs = list(self.nlp.pipe(docs))
        if isinstance(self.pipe, EntityRecognizer):
            self.pipe.set_annotations(docs, self.pipe.predict(docs))
            sets = [{(ent.start, ent.end, ent.label_) for ent in doc.ents} for doc in docs]
            return list(zip(sets, sets, strict=True))
        scores = self.pipe.constrain(docs, self.pipe.model.predict(docs))
        sure = self._decode(docs, scores)
        if not bias:
            return list(zip(sure, sure, strict=True))
        more = scores._replace(emissions=add_outside(scores.emissions, bias))
        return list(zip(sure, self._decode(docs, more), strict=True))

    def _decode(self, docs: Sequence[Doc], scores: Any) -> list[set[Entity]]:
        tags = decode(self.pipe.model.ops, scores)
        nO = scores.emissions.dataXd.shape[1]
        labels = self.pipe.labels
        return [
            {(start, end, labels[i]) for start, end, i in find_spans(doc_tags, nO)}
            for doc_tags in np.split(tags, np.cumsum([len(doc) for doc in docs])[:-1])
        ]


def count_votes(found: Sequence[Found], min_votes: int) -> tuple[list[Entity], list[int]]:
    """Choose the entities of a text by the votes of pipelines.

    found (Sequence[Tuple[Set[Entity], Set[Entity]]]): For each pipeline the entities that it votes
        for, and further candidates.
    min_votes (int): Votes that an entity needs.
    RETURNS (Tuple[List[Entity], List[int]]): The entities, none of which overlap, and the tokens of
        all other candidates, in order.
    """
    votes = Counter(chain.from_iterable(ents for ents, _ in found))
    ranked = sorted(votes, key=lambda ent: (-votes[ent], ent[0] - ent[1], ent))
    chosen: list[Entity] = []
    used: set[int] = set()
    for ent in ranked:
        tokens = range(ent[0], ent[1])
        if votes[ent] >= min_votes and used.isdisjoint(tokens):
            chosen.append(ent)
            used.update(tokens)
    candidates = set().union(*chain.from_iterable(found))
    unsure = {i for start, end, _ in candidates for i in range(start, end)}
    return sorted(chosen), sorted(unsure - used)


def _read_labelled(path: Path, vocab: Vocab) -> list[Doc]:
    docs = list(read_docbin(path, vocab))
    if not any(doc.ents for doc in docs):
        raise ValueError(Errors.E804.format(path=path, n=len(docs)))
    return docs


def _read_raw(
    path: Path, vocab: Vocab, lang: str, limit: int, seed: int
) -> tuple[Iterator[Text], int]:
    """Read all texts, or draw some from all. Return them and the number of their characters."""
    corpus, counts = TextCorpus(path, max_length=0), Counts()
    texts: Iterable[Text] = corpus.read(vocab, 0, counts)
    if limit:
        texts = draw_sample(texts, limit, random.Random(seed))
        if not texts:
            raise ValueError(Errors.E105.format(path=path, counts=counts))
        n_characters = sum(len(get_characters(text)) for text in texts)
    else:
        n_characters = corpus.measure(lang).characters
    # A Doc would bring its annotation, and the vocab of another pipeline.
    return (_get_words(text) if isinstance(text, Doc) else text for text in texts), n_characters


def _get_words(doc: Doc) -> Words:
    return Words([token.text for token in doc], [bool(token.whitespace_) for token in doc])


def _make_spans(doc: Doc, ents: Iterable[Entity]) -> list[Span]:
    return [Span(doc, start, end, label=label) for start, end, label in ents]
