"""Label raw text by a classifier that was trained on a few labelled texts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import spacy

from ..text.prefetch import BoundedTokenizer
from ..text.read_texts import read_docbin
from ..text.text_corpus import Counts, TextCorpus
from .raw_labels import LabelledFolder, find_letters, read_batches
from .vector_classifier import VectorClassifier


@dataclass(frozen=True)
class PseudoLabels:
    """What `label_texts` has written.

    labelled (int): Texts whose labels were given.
    texts (int): Raw texts that were labelled.
    known (int): Raw texts that were left out, because they are among the labelled ones or those of
        the development part.
    bare (int): Raw texts that were left out, because none of their words has a vector.
    labels (Dict[str, int]): Raw texts by label.
    C (float): Inverse strength of the regularisation that was chosen.
    accuracy (Optional[float]): Share of the labels of the development part that are right, between
        0 and 1; None without one.
    """

    labelled: int
    texts: int
    known: int
    bare: int
    labels: dict[str, int]
    C: float
    accuracy: float | None


def label_texts(
    train: Path,
    raw: Path,
    vectors: Path,
    output: Path,
    *,
    dev: Path | None = None,
    limit: int = 0,
    multilabel: bool = False,
    lang: str = "en",
    seed: int = 0,
    show: Callable[[float, int], None] = lambda done, words: None,
) -> PseudoLabels:
    """Give raw texts the labels that a logistic regression on vectors of texts predicts.

    `spacy train` then learns from many more texts than have labels: pseudo-labels, after Lee
    (2013), from a teacher that knows more about texts than its student, as in Turc et al.,
    "Well-Read Students Learn Better" (2019). The classifier is a `VectorClassifier`; its vectors
    are not needed after that.

    train (Path): A .spacy file of texts with categories.
    raw (Path): The raw text: see `TextCorpus`. A text of the training or development part is left
        out, so that no text is learned with two labels, and none that the pipeline is scored on.
        Texts are compared by their letters and digits.
    vectors (Path): Vectors of words, or of words and bigrams, such as `charlm vectors train` writes
        in the mode document: see `StaticVectors`.
    output (Path): The folder to write to, new or empty: first the labelled texts, then the others,
        in files of 10,000. `spacy train` takes the folder as `paths.train`.
    dev (Optional[Path]): A .spacy file of texts with categories, on which the regression is scored.
    limit (int): Most raw texts to read; 0 for all.
    multilabel (bool): Whether a text may have any number of labels. Otherwise it has one.
    lang (str): Language of the texts.
    seed (int): Seed of the cross-validation.
    show (Callable[[float, int], None]): Called with the share of the raw text that is done, between
        0 and 1, and the number of words.
    RETURNS (PseudoLabels): Counts, and the accuracy on the development part.
    RAISES (ValueError): If a file cannot be read, the labels or vectors do not fit, or the folder
        is not empty.
    """
    folder = LabelledFolder(output)
    nlp = spacy.blank(lang)
    docs = list(read_docbin(train, nlp.vocab))
    dev_docs = list(read_docbin(dev, nlp.vocab)) if dev is not None else []
    teacher = VectorClassifier(vectors, exclusive=not multilabel)
    C = teacher.fit(docs, train, seed=seed)
    accuracy = teacher.score(dev_docs, dev) if dev is not None else None
    known = {find_letters(doc.text) for doc in chain(docs, dev_docs)}
    corpus = TextCorpus(raw, max_length=0, limit=limit)
    size = corpus.measure(nlp.lang or "xx")
    texts = corpus.read(nlp.vocab, 0, Counts())
    tokenizer = BoundedTokenizer(nlp.tokenizer, nlp.max_length, nlp.vocab)
    counts = Counter(dict.fromkeys(teacher.labels, 0))
    n_texts = n_known = n_bare = 0
    with folder.open(docs):
        for (batch,) in read_batches([tokenizer], texts, size.characters, show):
            new = [doc for doc in batch if find_letters(doc.text) not in known]
            n_known += len(batch) - len(new)
            for doc, cats in zip(new, teacher.label(new), strict=True):
                if cats is None:
                    n_bare += 1
                    continue
                doc.cats = cats
                folder.add(doc)
                n_texts += 1
                counts.update(label for label, value in cats.items() if value)
    return PseudoLabels(len(docs), n_texts, n_known, n_bare, dict(counts), C, accuracy)
