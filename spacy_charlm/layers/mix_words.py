"""Mix the characters, the lexical attributes and the static vector of each word."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from thinc.api import Model
from thinc.types import Floats2d, Ints2d, Ragged

from ..types import WordChars

MixModel: TypeAlias = Model[WordChars, Floats2d]


def mix_words(
    nO: int,
    chars: Model[Ragged, Floats2d],
    attrs: Sequence[Model[Ints2d, Floats2d]],
    vectors: Model[Floats2d, Floats2d] | None,
    mix: Model[Floats2d, Floats2d],
    *,
    ngrams: Model[Ragged, Floats2d] | None = None,
) -> MixModel:
    """Concatenate the features of each word and reduce them to the width of the word vectors.

    nO (int): Width of the word vectors.
    chars (Model[Ragged, Floats2d]): Embeds the characters of the words.
    attrs (Sequence[Model[Ints2d, Floats2d]]): Each embeds one column of the attributes (nW, nA).
    vectors (Optional[Model[Floats2d, Floats2d]]): Projects the static vectors and the features
        from lists (nW, nM).
    mix (Model[Floats2d, Floats2d]): Maps the concatenation to the word vectors.
    ngrams (Optional[Model[Ragged, Floats2d]]): Embeds the n-grams of the words in lower case.
    RETURNS (Model[WordChars, Floats2d]): The layer.

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
    model: MixModel, words: WordChars, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], WordChars]]:
    """Run each layer on its input, then mix the results."""
    xp: Any = model.ops.xp
    *layers, mix = model.layers
    results = [layer(X, is_train) for layer, X in zip(layers, _get_inputs(model, words))]
    Y, backprop_mix = mix(xp.hstack([Yl for Yl, _ in results]), is_train)

    def backprop(dY: Floats2d) -> WordChars:
        if not len(dY):
            return words  # the backprop of thinc's HashEmbed fails on an empty batch
        dX = backprop_mix(dY)
        start = 0
        for Yl, backprop_layer in results:
            end = start + Yl.shape[1]
            backprop_layer(model.ops.as_contig(dX[:, start:end]))
            start = end
        return words  # characters and ids have no gradient

    return Y, backprop


def init(model: MixModel, X: WordChars | None = None, Y: Floats2d | None = None) -> None:
    """Initialise each layer; the sample determines the width of the static vectors."""
    *layers, mix = model.layers
    inputs = _get_inputs(model, X) if X is not None else [None] * len(layers)
    for layer, Xl in zip(layers, inputs):
        layer.initialize(X=Xl)
    mix.initialize()


def _get_inputs(model: MixModel, words: WordChars) -> list:
    inputs = [Ragged(words.chars, words.char_lengths), *[words.attrs] * model.attrs["n_attrs"]]
    if model.attrs["reads_vectors"]:
        inputs.append(words.vectors)
    if model.attrs["reads_ngrams"]:
        inputs.append(Ragged(words.lower_chars, words.char_lengths))
    return inputs
