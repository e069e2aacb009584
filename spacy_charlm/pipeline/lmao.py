"""Pretraining during training: an objective on the tok2vec that other components share."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import logger
from thinc.api import Model, Optimizer, set_dropout_rate

from ..errors import Errors
from ..text.text_corpus import read_docs
from .find_tok2vec import find_tok2vec

DEFAULTS: dict[str, Any] = {
    "objective": {
        "@architectures": "spacy-charlm.LMAO.v1",
        "target": {"@misc": "spacy-charlm.StaticVectors.v1"},
        "loss": {"@misc": "spacy-charlm.CosineLoss.v1"},
        "head": {
            "@architectures": "spacy-charlm.MaxoutHead.v1",
            "hidden_size": 300,
            "maxout_pieces": 3,
        },
        "masking": {"@misc": "spacy-charlm.WordMasking.v1"},
    },
    "corpus": None,
    "component": "tok2vec",
    "layer": "",
    "weight": 1.0,
    "every": 1,
    "words": 1000,
    "training_docs": True,
}


@Language.factory("charlm_lmao", default_config=DEFAULTS)
class CharlmLMAO(Pipe):
    """Train a pretraining objective in `spacy train`, alongside the labels.

    In each update some words of the texts are hidden, a second pass runs through the tok2vec, and
    its gradients are added to those of the other components. In a trained pipeline the component
    does nothing: it passes Docs through and saves no weights. The callback
    `spacy-charlm.drop_lmao.v1` removes it from what is saved.

    nlp (Language): The pipeline, which tokenizes the raw texts.
    name (str): Name of the component.
    objective (Callable[[Vocab, Model], Model]): Such as `spacy-charlm.LMAO.v1`.
    corpus (Optional[Callable]): A reader of raw text, such as `spacy-charlm.TextCorpus.v1`. It
        starts again when it ends. None trains on the training texts alone.
    component (str): Component with the tok2vec: a shared one, or one with a tok2vec of its own.
    layer (str): Layer in that component's model: "tok2vec" for one of its own.
    weight (float): Factor on the objective's gradients. Recommended values: 0.1 to 1.
    every (int): Run the objective in every n-th update.
    words (int): Words of raw text per update.
    training_docs (bool): Whether the objective is also trained on the training texts.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        *,
        objective: Callable[..., Model],
        corpus: Callable[[Language], Iterable[Doc]] | None,
        component: str,
        layer: str,
        weight: float,
        every: int,
        words: int,
        training_docs: bool,
    ) -> None:
        if not weight > 0 or every < 1 or words < 1:
            raise ValueError(Errors.E740.format(weight=weight, every=every, words=words))
        if corpus is None and not training_docs:
            raise ValueError(Errors.E741)
        self.nlp = nlp
        self.name = name
        self.vocab = nlp.vocab
        self.model: Model | None = None  # only the heads: the tok2vec belongs to another component
        self._make_objective = objective
        self._objective: Any = None
        self._corpus = corpus
        self._component = component
        self._layer = layer
        self._weight = weight
        self._every = every
        self._words = words
        self._training_docs = training_docs
        self._updates = 0
        self._frozen = False  # set in the first update: every access to nlp.config rebuilds it
        self._stream: Iterator[Doc] | None = None
        self._has_texts = False  # whether this pass over the corpus has yielded a text

    @property
    def is_trainable(self) -> bool:
        """True, so that spaCy calls `finish_update`, which trains the heads."""
        return True

    def __call__(self, doc: Doc) -> Doc:
        """Return the Doc unchanged."""
        return doc

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None
    ) -> None:
        """Open the target and put the heads on top of the tok2vec.

        get_examples (Callable): Not used.
        nlp (Optional[Language]): The pipeline.
        RAISES (ValueError): If there is no such tok2vec earlier in the pipeline.
        """
        self.nlp = nlp or self.nlp
        tok2vec = find_tok2vec(self.nlp, self.name, self._component, self._layer)
        objective = self._make_objective(self.vocab, tok2vec)
        objective.initialize()
        self._objective = objective
        _, *heads = objective.layers
        self.model = Model("charlm_lmao_heads", _forward, layers=heads)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Add the objective's gradients to those of the tok2vec.

        examples (Iterable[Example]): The batch.
        drop (float): Dropout.
        sgd (Optional[Optimizer]): If given, the heads are updated at once.
        losses (Optional[Dict[str, float]]): The loss is added here.
        RETURNS (Dict[str, float]): The losses.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        self._updates += 1
        if self._updates == 1:
            self._frozen = self._is_tok2vec_frozen()
        if self._frozen or (self._updates - 1) % self._every:
            return losses
        if self._objective is None:  # training of a loaded pipeline continues
            self.initialize(lambda: [])
        # The reference Docs have the same text, and the syntactic heads that some targets need.
        docs = [eg.reference for eg in examples] if self._training_docs else []
        docs += self._next_texts()
        model = self._objective
        set_dropout_rate(model, drop)
        prediction, backprop = model.begin_update(docs)
        loss, gradient = model.attrs["loss"](model.ops, docs, prediction)
        backprop(gradient * self._weight)
        losses[self.name] += float(loss)
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def finish_update(self, sgd: Optimizer) -> None:
        """Update the heads. The tok2vec is updated by its own component."""
        if self.model is not None:
            self.model.finish_update(sgd)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save nothing."""
        return b""

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "CharlmLMAO":
        """Load nothing."""
        return self

    def to_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> None:
        """Save nothing."""

    def from_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> "CharlmLMAO":
        """Load nothing."""
        return self

    def _next_texts(self) -> list[Doc]:
        """Read raw texts until they have as many words as an update needs."""
        docs: list[Doc] = []
        if self._corpus is None:
            return docs
        n_words = 0
        while n_words < self._words:
            if self._stream is None:
                self._stream = read_docs(self.nlp, self._corpus)
                self._has_texts = False
            doc = next(self._stream, None)
            if doc is None:
                self._stream = None  # start again
                if not self._has_texts:
                    raise ValueError(Errors.E750.format(name=self.name))
                continue
            if len(doc):
                self._has_texts = True
                docs.append(doc)
                n_words += len(doc)
        return docs

    def _is_tok2vec_frozen(self) -> bool:
        """Whether the tok2vec is frozen, so that nothing would be learned; warn if so."""
        frozen = self.nlp.config["training"].get("frozen_components", [])
        if self._component not in frozen:
            return False
        logger.warning(Errors.W750.format(name=self.name, component=self._component))
        return True


def create_drop_lmao_v1() -> Callable[[Language], Language]:
    """Create a callback for [training.before_to_disk] that removes charlm_lmao.

    RETURNS (Callable[[Language], Language]): From the pipeline to a copy without the component.
    """
    return drop_lmao


def drop_lmao(nlp: Language) -> Language:
    """Copy a pipeline without its components of the factory `charlm_lmao`.

    nlp (Language): The pipeline, which is not modified.
    RETURNS (Language): The copy, or the pipeline itself if it has no such component.
    """
    names = [
        name for name in nlp.component_names if nlp.get_pipe_meta(name).factory == "charlm_lmao"
    ]
    if not names:
        return nlp
    config = nlp.config.copy()
    config["nlp"]["pipeline"] = [name for name in nlp.component_names if name not in names]
    for key in ("frozen_components", "annotating_components"):
        given = config["training"].get(key, [])
        config["training"][key] = [name for name in given if name not in names]
    for name in names:
        config["components"].pop(name)
    copy = type(nlp).from_config(config, vocab=nlp.vocab)
    copy.from_bytes(nlp.to_bytes(exclude=["vocab", "config", *names]), exclude=["vocab"])
    copy.meta.update(performance=nlp.meta.get("performance", {}))
    return copy


def _forward(model: Model, X: Any, is_train: bool) -> Any:
    raise NotImplementedError  # the objective runs the heads
