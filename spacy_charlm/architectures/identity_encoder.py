"""An encoder without layers, for pipelines in which speed counts more than context."""

from collections.abc import Callable
from typing import TypeAlias

from thinc.api import Model
from thinc.types import Floats2d

from ..checks import Size, checked

Encoder: TypeAlias = Model[list[Floats2d], list[Floats2d]]


@checked("spacy-charlm.IdentityEncoder.v1")
def build_identity_encoder_v1(width: Size) -> Encoder:
    """Pass the vectors of the embed layer on unchanged.

    The vector of a token then depends on its word alone, and at prediction the embed layer computes
    it once for many texts. The receptive field is one token, and there are no parameters.
    `spacy.MaxoutWindowEncoder.v2` cannot be built with a depth of 0.

    width (int): Width of the vectors, that of the embed layer.
    RETURNS (Model[List[Floats2d], List[Floats2d]]): The encoder.

    Shapes: nD arrays, together (nT, width) -> the same
    """
    return Model("identity_encoder", forward, dims={"nO": width, "nI": width})


def forward(
    model: Encoder, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Floats2d]]]:
    """Return the input."""

    def backprop(dYs: list[Floats2d]) -> list[Floats2d]:
        return dYs

    return Xs, backprop
