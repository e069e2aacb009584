"""Mix the characters, the lexical attributes and the static vector of each word."""

from collections.abc import Callable, Sequence
from typing import Any

from thinc.api import Model
from thinc.types import Floats2d, Ints2d, Ragged

from ..types import CharBatch

MixModel = Model[CharBatch, Floats2d]


def mix_words(
    nO: int,
    chars: Model[Ragged, Floats2d],
    attrs: Sequence[Model[Ints2d, Floats2d]],
    vectors: Model[Floats2d, Floats2d] | None,
    mix: Model[Floats2d, Floats2d],
    *,
    ngrams: Model[Ragged, Floats2d] | None = None,
) -> MixModel:
    """Join what is known of each word and reduce it to the width of the word vectors.

    nO (int): Width of the word vectors.
    chars (Model[Ragged, Floats2d]): From the characters of the words.
    attrs (Sequence[Model[Ints2d, Floats2d]]): From lexical attributes (nW, nA), one each.
    vectors (Optional[Model[Floats2d, Floats2d]]): From static vectors (nW, nM).
    mix (Model[Floats2d, Floats2d]): From all of them side by side to the output.
    ngrams (Optional[Model[Ragged, Floats2d]]): From the characters of the words in lower case.
    RETURNS (Model[CharBatch, Floats2d]): The layer.

    Shapes: nW words -> (nW, nO)
    """
    layers: list[Model] = [chars, *attrs]
    if vectors is not None:
        layers.append(vectors)
    if ngrams is not None:
        layers.append(ngrams)
    return Model(
        "mix_words",
        forward,
        init=init,
        dims={"nO": nO},
        layers=[*layers, mix],
        attrs={
            "n_attrs": len(attrs),
            "reads_vectors": vectors is not None,
            "reads_ngrams": ngrams is not None,
        },
    )


def forward(
    model: MixModel, batch: CharBatch, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], CharBatch]]:
    """Run every part on its own piece of the batch, then mix."""
    xp: Any = model.ops.xp
    *parts, mix = model.layers
    results = [part(X, is_train) for part, X in zip(parts, _inputs(model, batch))]
    Y, backprop_mix = mix(xp.hstack([Yp for Yp, _ in results]), is_train)

    def backprop(dY: Floats2d) -> CharBatch:
        if not len(dY):
            return batch  # thinc's HashEmbed cannot go back through an empty batch
        dX = backprop_mix(dY)
        start = 0
        for Yp, backprop_part in results:
            end = start + Yp.shape[1]
            backprop_part(model.ops.as_contig(dX[:, start:end]))
            start = end
        return batch  # characters and ids have no gradient

    return Y, backprop


def init(model: MixModel, X: CharBatch | None = None, Y: Floats2d | None = None) -> None:
    """Initialise every part; the width of the static vectors comes from the sample."""
    *parts, mix = model.layers
    inputs = _inputs(model, X) if X is not None else [None] * len(parts)
    for part, Xp in zip(parts, inputs):
        part.initialize(X=Xp)
    mix.initialize()


def _inputs(model: MixModel, batch: CharBatch) -> list:
    inputs = [Ragged(batch.chars, batch.char_lengths), *[batch.attrs] * model.attrs["n_attrs"]]
    if model.attrs["reads_vectors"]:
        inputs.append(batch.vectors)
    if model.attrs["reads_ngrams"]:
        inputs.append(Ragged(batch.lower_chars, batch.char_lengths))
    return inputs
