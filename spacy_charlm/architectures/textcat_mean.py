"""A text classifier for few labels: mean over the text, standardisation, linear layer."""

from functools import partial

from spacy.ml.models.textcat import NEG_VALUE, resize_and_set_ref
from spacy.tokens import Doc
from thinc.api import (
    Linear,
    Model,
    chain,
    glorot_uniform_init,
    list2ragged,
    reduce_mean,
    resizable,
    zero_init,
)
from thinc.layers.resizable import resize_linear_weighted
from thinc.types import Floats2d

from ..checks import Size, checked
from ..layers.probabilities import probabilities
from ..layers.standardise import standardise
from ..types import Tok2Vec


@checked("spacy-charlm.TextCatMean.v1")
def build_textcat_mean_v1(
    tok2vec: Tok2Vec, exclusive_classes: bool, nO: Size | None = None
) -> Model[list[Doc], Floats2d]:
    """Classify the mean of a text's vectors, standardised, with one linear layer.

    The model has very few parameters of its own, so it hardly overfits: what it knows is in the
    tok2vec. Averaged vectors of texts differ by a small part of their length. Without the
    standardisation the linear layer needs thousands of updates to find this difference. Use it
    with pretrained weights and a few hundred to a few thousand labels;
    `spacy.TextCatEnsemble.v2` is better with more.

    Texts that it has learned from get nearly all the probability on one class, and so do others.
    `spacy-charlm.calibrate.v1` corrects this in each pipeline that `spacy train` saves.

    tok2vec (Model[List[Doc], List[Floats2d]]): The tok2vec, or a listener.
    exclusive_classes (bool): Whether a text has exactly one class.
    nO (Optional[int]): Number of classes, set by the component.
    RETURNS (Model[List[Doc], Floats2d]): The model of a textcat component.

    Shapes: nD Docs -> scores (nD, nO)
    """
    width = tok2vec.maybe_get_dim("nO")
    fill: dict[str, float] = {"b": NEG_VALUE if exclusive_classes else 0, "W": 0}
    init_W = zero_init if exclusive_classes else glorot_uniform_init
    output = Linear(nO=nO, nI=width, init_W=init_W)
    logits: Model = resizable(
        output, resize_layer=partial(resize_linear_weighted, fill_defaults=fill)
    )
    scores = probabilities(exclusive_classes)
    head = standardise(width)
    model: Model = chain(tok2vec, list2ragged(), reduce_mean(), head, logits, scores)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("standardise", head)
    model.set_ref("output_layer", output)
    model.set_ref("probabilities", scores)
    model.attrs["resize_output"] = partial(resize_and_set_ref, resizable_layer=logits)
    model.attrs["multi_label"] = not exclusive_classes
    if nO is not None:
        model.set_dim("nO", nO)
    return model
