"""Named entity recognition by a conditional random field on top of a tok2vec."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Annotated, Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_get_examples
from thinc.api import Model
from thinc.types import Ragged

from ..checks import Range, check_setting
from ..errors import Errors
from ..layers.crf import (
    IMPOSSIBLE,
    TagGroups,
    TagScores,
    compute_loss,
    decode,
    find_spans,
    list_tags,
)

Weight = Annotated[float, Range(0, 1000)]
DEFAULTS: dict[str, Any] = {
    "model": {
        "@architectures": "spacy-charlm.CRF.v1",
        "hidden_width": 0,
        "tok2vec": {
            "@architectures": "spacy.HashEmbedCNN.v2",
            "pretrained_vectors": None,
            "width": 96,
            "depth": 4,
            "embed_size": 2000,
            "window_size": 1,
            "maxout_pieces": 3,
            "subword_features": True,
        },
    },
    "segmentation_weight": 0.0,
    "scorer": {"@scorers": "spacy.ner_scorer.v1"},
}


@Language.factory(
    "charlm_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config=DEFAULTS,
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
class CharlmNER(TrainablePipe):
    """Recognise named entities by the best sequence of tags, in place of spaCy's `ner`.

    spaCy's `ner` decides token by token and cannot take a decision back. A conditional random field
    compares whole sequences, and `spacy-charlm.tune_entities.v1` can balance precision and recall
    after training. Entities that are already set are kept, as are blocked tokens; no entity begins
    or ends in white space, or crosses the start of a sentence. Tokens without annotation, and
    entities that do not match the tokens, say nothing in training: any tag is right there.

    `segmentation_weight` adds a second task on the same scores: where entities begin and end,
    whatever their labels are. With few annotated texts, the boundaries of unseen names are then
    learned from all labels together. It adds no parameters, and the loss takes at most half as long
    again.

    The labels are fixed when the model is initialised.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    model (Model[List[Doc], TagScores]): A model of the architecture `spacy-charlm.CRF.v1`.
    segmentation_weight (float): Factor on the negative log-likelihood of the segmentation, which is
        added to that of the entities; 0 for none. With one label both are the same. Recommended
        values: 0 to 1.
    scorer (Optional[Callable]): The scoring method.
    RAISES (ValueError): If the model is another one, or the weight is out of range.
    """

    def __init__(
        self,
        nlp: Language,
        name: str = "charlm_ner",
        *,
        model: Model[list[Doc], TagScores],
        segmentation_weight: Weight = 0.0,
        scorer: Callable[..., dict[str, Any]] | None,
    ) -> None:
        if not model.has_ref("crf"):
            raise ValueError(Errors.E764.format(name=name, found=model.name))
        check_setting(name, "segmentation_weight", segmentation_weight, Weight)
        super().__init__(nlp.vocab, model, name, labels=[])
        self.segmentation_weight = segmentation_weight
        self.scorer = scorer

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of entities."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """The labels, for `spacy init labels`."""
        return list(self.cfg["labels"])

    def add_label(self, label: str) -> int:
        """Add a label, before the model is initialised.

        label (str): The label.
        RETURNS (int): 0 if the component has it already, otherwise 1.
        RAISES (ValueError): If the label is not a name, or the number of labels is fixed.
        """
        if not isinstance(label, str) or not label.strip():
            raise ValueError(Errors.E760.format(name=self.name, found=label))
        if label in self.labels:
            return 0
        nO = self.model.get_ref("crf").maybe_get_dim("nO")
        if nO is not None and len(self.labels) >= TagGroups(nO).nL:
            raise ValueError(Errors.E763.format(name=self.name, found=label))
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Add the labels and initialise the model.

        get_examples (Callable[[], Iterable[Example]]): Texts with entities.
        nlp (Optional[Language]): The pipeline.
        labels (Optional[Sequence[str]]): The labels, as `spacy init labels` writes them; by default
            those of the texts.
        RAISES (ValueError): If there are no labels, or some are not names.
        """
        validate_get_examples(get_examples, "CharlmNER.initialize")
        if labels is None:
            labels = sorted({ent.label_ for eg in get_examples() for ent in eg.reference.ents})
        elif not isinstance(labels, list | tuple):
            raise ValueError(Errors.E760.format(name=self.name, found=labels))
        for label in labels:
            self.add_label(label)
        if not self.labels:
            raise ValueError(Errors.E761.format(name=self.name))
        for ref in ("output_layer", "crf"):
            self.model.get_ref(ref).set_dim("nO", len(list_tags(self.labels)))
        self.model.initialize(X=[eg.predicted for eg in islice(get_examples(), 10)])

    def predict(self, docs: Iterable[Doc]) -> list[np.ndarray]:
        """Find the best tags.

        docs (Iterable[Doc]): The Docs, which are not modified.
        RETURNS (List[ndarray]): For each Doc the columns of the tags of its tokens.
        """
        docs = list(docs)
        lengths = [len(doc) for doc in docs]
        if not any(lengths):
            return [np.zeros(0, dtype="int32") for _ in docs]
        tags = decode(self.model.ops, self.constrain(docs, self.model.predict(docs)))
        return np.split(tags, np.cumsum(lengths)[:-1])

    def constrain(self, docs: Sequence[Doc], scores: TagScores) -> TagScores:
        """Make tags impossible by what is known about the tokens, as spaCy's `ner` does.

        docs (Sequence[Doc]): The Docs.
        scores (TagScores): Their scores.
        RETURNS (TagScores): The scores with other emissions.
        """
        attrs = np.concatenate(
            [doc.to_array(["ENT_IOB", "IS_SPACE", "SENT_START"]) for doc in docs]
        )
        ent_iob, is_space, sent_start = attrs.T
        nO = len(list_tags(self.labels))
        groups = TagGroups(nO)
        penalties = np.zeros((len(attrs), nO), dtype="float32")
        penalties[sent_start == 1, groups.inside] = IMPOSSIBLE
        penalties[sent_start == 1, groups.last] = IMPOSSIBLE
        # All tags but O and I: no entity begins or ends here.
        penalties[is_space == 1, : groups.inside.start] = IMPOSSIBLE
        # Entities that are set, and blocked tokens, are outside of new ones.
        penalties[(ent_iob == 1) | (ent_iob == 3)] = IMPOSSIBLE
        penalties[:, groups.outside] = 0
        X = scores.emissions
        return scores._replace(
            emissions=Ragged(X.dataXd + self.model.ops.asarray2f(penalties), X.lengths)
        )

    def set_annotations(self, docs: Iterable[Doc], tags: Sequence[np.ndarray]) -> None:
        """Set the entities, and leave those that are set already.

        docs (Iterable[Doc]): The Docs.
        tags (Sequence[ndarray]): Their tags, as `predict` returns them.
        """
        labels = self.labels
        nO = len(list_tags(labels))
        for doc, doc_tags in zip(docs, tags):
            found = find_spans(doc_tags, nO)
            ents = [Span(doc, start, end, label=labels[i]) for start, end, i in found]
            known = doc.to_array("ENT_IOB") != 0
            if not known.any():
                doc.set_ents(ents)
                continue
            doc.set_ents(ents, default="unmodified")
            missing = np.flatnonzero(doc.to_array("ENT_IOB") == 0).tolist()
            doc.set_ents([], outside=[doc[i : i + 1] for i in missing], default="unmodified")

    def get_loss(self, examples: Iterable[Example], scores: TagScores) -> tuple[float, TagScores]:
        """Compute the negative log-likelihood of the entities, summed over the batch.

        That of the segmentation is added, times `segmentation_weight`.

        examples (Iterable[Example]): The batch.
        scores (TagScores): The scores of its predicted Docs.
        RETURNS (Tuple[float, TagScores]): The loss and its derivative.
        RAISES (ValueError): If a label is unknown, or the scores are not finite.
        """
        xp: Any = self.model.ops.xp
        arrays = (scores.emissions.dataXd, *scores[1:])
        if not all(xp.isfinite(array).all() for array in arrays):
            raise ValueError(Errors.E767.format(name=self.name))
        columns = {tag: i for i, tag in enumerate(list_tags(self.labels))}
        tags: list[int] = []
        for eg in examples:
            for tag in eg.get_aligned_ner():
                if tag is None or tag == "-":
                    tags.append(-1)
                elif tag in columns:
                    tags.append(columns[tag])
                else:
                    text, label = eg.reference.text[:30], tag[2:]
                    raise ValueError(
                        Errors.E762.format(
                            name=self.name, expected=list(self.labels), found=label, text=text
                        )
                    )
        known = np.array(tags, dtype="int64")
        return compute_loss(self.model.ops, scores, known, self.segmentation_weight)
