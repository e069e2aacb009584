"""A text classifier for few labels: pooling over the text, standardisation, linear layer."""

from collections.abc import Callable
from functools import partial

from spacy.ml.models.textcat import NEG_VALUE, resize_and_set_ref
from spacy.tokens import Doc
from thinc.api import (
    Linear,
    Model,
    Ragged,
    chain,
    concatenate,
    glorot_uniform_init,
    list2ragged,
    resizable,
    zero_init,
)
from thinc.layers.resizable import resize_linear_weighted
from thinc.types import Floats2d

from ..checks import Size, checked
from ..errors import Errors
from ..layers.attention import attention
from ..layers.ngram_weights import ngram_weights as add_ngram_weights
from ..layers.ngram_weights import resize_ngram_weights
from ..layers.pool import pool
from ..layers.probabilities import probabilities
from ..layers.standardise import standardise
from ..layers.weigh_words import weigh_words
from ..types import Tok2Vec

# From the vectors of the tokens to one vector per text, whose width is so many times theirs.
POOLINGS: dict[str, tuple[Callable[[], Model[Ragged, Floats2d]], int]] = {
    "mean": (lambda: pool(mean=True), 1),
    "sublinear": (lambda: pool(mean=True), 1),
    "attention": (attention, 1),
    "mean_max": (lambda: concatenate(pool(mean=True), pool()), 2),
}


@checked("spacy-charlm.TextCatMean.v1")
def build_textcat_mean_v1(
    tok2vec: Tok2Vec,
    exclusive_classes: bool,
    pooling: str = "mean",
    ngram_weights: bool = False,
    nO: Size | None = None,
) -> Model[list[Doc], Floats2d]:
    """Classify the pooled vectors of a text, standardised, with one linear layer.

    The model has very few parameters of its own, so it hardly overfits: what it knows is in the
    tok2vec. Averaged vectors of texts differ by a small part of their length. Without the
    standardisation the linear layer needs thousands of updates to find this difference. Use it
    with pretrained weights and a few hundred to a few thousand labels;
    `spacy.TextCatEnsemble.v2` is better with more.

    Texts that it has learned from get nearly all the probability on one class, and so do others.
    `spacy-charlm.calibrate.v1` corrects this in each pipeline that `spacy train` saves.

    tok2vec (Model[List[Doc], List[Floats2d]]): The tok2vec, or a listener.
    exclusive_classes (bool): Whether a text has exactly one class.
    pooling (str): How the vectors of the tokens become one per text: their "mean";
        "sublinear", a mean in which a word that occurs n times counts as the square root of n;
        "attention", a mean with weights from a learned vector, which starts as the plain mean; or
        "mean_max", the mean and the maximum of each dimension.
    ngram_weights (bool): Whether words and bigrams have weights of their own, which are added to
        the logits. They are zero unless `vectors` of `spacy-charlm.LogisticRegression.v1` is set.
    nO (Optional[int]): Number of classes, set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model of a textcat component.
    RAISES (ValueError): If the pooling is unknown.

    Shapes: nD Docs -> scores (nD, nO)
    """
    if pooling not in POOLINGS:
        raise ValueError(
            Errors.E540.format(name="pooling", expected=", ".join(POOLINGS), found=pooling)
        )
    make_pooling, times = POOLINGS[pooling]
    width = tok2vec.maybe_get_dim("nO")
    width = width * times if width is not None else None
    fill: dict[str, float] = {"b": NEG_VALUE if exclusive_classes else 0, "W": 0}
    init_W = zero_init if exclusive_classes else glorot_uniform_init
    output = Linear(nO=nO, nI=width, init_W=init_W)
    logits: Model = resizable(
        output, resize_layer=partial(resize_linear_weighted, fill_defaults=fill)
    )
    scores = probabilities(exclusive_classes)
    head = standardise(width)
    words = weigh_words(tok2vec) if pooling == "sublinear" else tok2vec
    layers: list[Model] = [words, list2ragged(), make_pooling(), head, logits]
    if ngram_weights:
        bag = add_ngram_weights(chain(*layers))
        layers = [bag]
    model: Model = chain(*layers, scores)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("standardise", head)
    model.set_ref("output_layer", output)
    if ngram_weights:
        model.set_ref("ngram_weights", bag)
    model.set_ref("probabilities", scores)
    model.attrs["resize_output"] = partial(_resize, resizable_layer=logits)
    model.attrs["multi_label"] = not exclusive_classes
    if nO is not None:
        model.set_dim("nO", nO)
    return model


def _resize(model: Model, nO: int, resizable_layer: Model) -> Model:
    """Give the model more classes."""
    if "ngram_weights" in model.ref_names:
        resize_ngram_weights(model.get_ref("ngram_weights"), nO)
    return resize_and_set_ref(model, nO, resizable_layer)
