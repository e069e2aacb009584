"""From context vectors to predicted vectors."""

import srsly
from thinc.api import Linear, Maxout, Model, chain
from thinc.types import Floats2d

from ..card import name_damage
from ..errors import Errors


def vectors_head(
    nO: int, nI: int, hidden_size: int, maxout_pieces: int
) -> Model[Floats2d, Floats2d]:
    """Predict vectors: maxout, layer normalisation, linear.

    nO (int): Width of the prediction.
    nI (int): Width of the tok2vec.
    hidden_size (int): Width of the hidden layer. 0 leaves the linear layer alone, so that the
        tok2vec's vectors have to hold the target's linearly, and averages of them too.
    maxout_pieces (int): Pieces of the maxout. Recommended value: 3.
    RETURNS (Model[Floats2d, Floats2d]): The layer.
    RAISES (ValueError): If a size is out of range.

    Shapes: context vectors (nR, nI) -> predictions (nR, nO)
    """
    whole = isinstance(hidden_size, int) and isinstance(maxout_pieces, int)
    if not whole or hidden_size < 0 or maxout_pieces < 1:
        raise ValueError(Errors.E308.format(hidden_size=hidden_size, maxout_pieces=maxout_pieces))
    if hidden_size == 0:
        return Linear(nO, nI)
    return chain(
        Maxout(hidden_size, nI, nP=maxout_pieces, normalize=True),
        Linear(nO, hidden_size),
    )


def load_head(data: bytes, source: str) -> Model[Floats2d, Floats2d]:
    """Build a head anew from its weights, whose layers tell its sizes.

    data (bytes): What `Model.to_bytes` of a head wrote.
    source (str): Where it comes from, for the error.
    RETURNS (Model[Floats2d, Floats2d]): The head.
    RAISES (ValueError): If these are not the weights of a head.
    """
    with name_damage(source):
        sizes = {node["name"]: node["dims"] for node in srsly.msgpack_loads(data)["nodes"]}
        output, hidden = sizes["linear"], sizes.get("maxout")
        if hidden is None:
            head = vectors_head(output["nO"], output["nI"], 0, 1)
        else:
            head = vectors_head(output["nO"], hidden["nI"], hidden["nO"], hidden["nP"])
        return head.from_bytes(data)
