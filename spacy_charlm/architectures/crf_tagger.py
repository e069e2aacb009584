"""A tagger of entities: a tok2vec, a linear layer and a conditional random field."""

from spacy.tokens import Doc
from thinc.api import Linear, Maxout, Model, chain, list2ragged, with_array

from ..checks import Count, Size, checked
from ..layers.crf import TagScores, crf
from ..types import Tok2Vec


@checked("spacy-charlm.CRF.v1")
def build_crf_v1(
    tok2vec: Tok2Vec, hidden_width: Count = 0, nO: Size | None = None
) -> Model[list[Doc], TagScores]:
    """Score the BILUO tags of each token and the transitions between them.

    With nL labels, the model has (width + 1) * (4 * nL + 1) parameters of its own for the tags, and
    (2 * nL + 1) ** 2 + 8 * nL + 2 for the transitions.

    tok2vec (Model[List[Doc], List[Floats2d]]): The tok2vec, or a listener.
    hidden_width (int): Width of a maxout layer between tok2vec and tags; 0 for none. Recommended
        values: 0 if the tok2vec is trained, 64 to 128 if it is frozen.
    nO (Optional[int]): Number of tags, 4 * nL + 1, set by the component.
    RETURNS (Model[List[Doc], TagScores]): The model of the component charlm_ner.
    RAISES (ValueError): If a setting is out of range.

    Shapes: nD Docs -> emissions (nT, nO) and transitions
    """
    width = tok2vec.maybe_get_dim("nO")
    layers: list[Model] = [tok2vec, list2ragged()]
    if hidden_width:
        hidden: Model = Maxout(nO=hidden_width, nI=width, nP=3, normalize=True, dropout=0.0)
        layers.append(with_array(hidden))
    output = Linear(nO=nO, nI=hidden_width or width)
    transitions = crf(nO)
    model: Model = chain(*layers, with_array(output), transitions)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output_layer", output)
    model.set_ref("crf", transitions)
    return model
