"""Load pretrained weights into a component: the callback for `initialize.after_init`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import logger
from thinc.api import Model

from ..card import apply_weights, read_card, read_weights
from ..checks import Count, checked
from ..errors import Errors
from ..pipeline.find_tok2vec import get_layer
from .optimizer import check_optimizer, scale_learn_rate

# From the pipeline, the component and the loaded layer, as `LogisticRegression`.
Fit = Callable[[Language, str, Model], Any]


@checked("spacy-charlm.load_weights.v1")
def create_load_weights_v1(
    path: Path | None = None,
    component: str = "tok2vec",
    layer: str = "",
    learn_rate_scale: float = 1.0,
    delay: Count = 0,
    fit: Fit | None = None,
) -> Callable[[Language], Language]:
    """Create a callback that loads pretrained weights after the pipeline has been initialised.

    It compares the card with the model first and lists the differences. spaCy's `init_tok2vec`
    raises an error about shapes instead, or does nothing if the config has no [pretraining] block.
    The callback does nothing while all components are disabled, as in `spacy pretrain`, so that one
    config works for both commands.

    path (Optional[Path]): File that `spacy pretrain` wrote, such as "pretrain/model-last.bin". With
        None the weights stay random.
    component (str): Name of the component that receives the weights.
    layer (str): Name of the layer in its model, such as "tok2vec"; empty for the whole model.
    learn_rate_scale (float): Factor on the learning rate of the loaded layers, so that they change
        more slowly than new ones. Requires the optimizer `spacy-charlm.Adam.v1`.
        Recommended values: 0.05 to 1.
    delay (int): First updates in which the loaded layers stay as they are. Requires the same
        optimizer. Recommended values: 0 to 200.
    fit (Optional[Callable]): Block such as `spacy-charlm.LogisticRegression.v1`, which fits text
        classifiers to the loaded layers; None starts them as their architecture does.
    RETURNS (Callable[[Language], Language]): The callback.
    RAISES (ValueError): When the callback runs: if the weights are missing, damaged or do not fit.
    """

    def load_weights(nlp: Language) -> Language:
        _check_init_tok2vec(nlp)
        if path is not None and nlp.pipe_names:
            model = _find_layer(nlp, component, layer)
            load_into(model, Path(path))
            if learn_rate_scale != 1.0 or delay:
                check_optimizer(nlp, learn_rate_scale)
                scale_learn_rate(model, learn_rate_scale, delay)
            if fit is not None:
                fit(nlp, component, model)
        return nlp

    return load_weights


def load_into(model: Model, path: Path) -> None:
    """Load weights into a layer after comparing the two.

    model (Model): The layer, initialised.
    path (Path): File that `spacy pretrain` wrote.
    RAISES (ValueError): If the weights are missing, damaged or do not fit.
    """
    weights = read_weights(read_file(path), str(path))
    apply_weights(weights, model, str(path))
    card = read_card(weights)
    if card is None:
        logger.info("Loaded pretrained weights without a card from %s", path)
    else:
        words, target = card.get("words"), (card.get("target") or {}).get("name")
        logger.info("Loaded weights pretrained on %s words (target: %s): %s", words, target, path)


def _find_layer(nlp: Language, component: str, layer: str) -> Model:
    model = get_layer(nlp, component)
    if model is None:
        names = [name for name in nlp.component_names if get_layer(nlp, name) is not None]
        raise ValueError(Errors.E504.format(component=component, names=names))
    found = get_layer(nlp, component, layer)
    if found is None:
        refs = model.ref_names
        raise ValueError(Errors.E505.format(layer=layer, component=component, names=refs))
    return found


def _check_init_tok2vec(nlp: Language) -> None:
    """Raise an error if spaCy would silently ignore `init_tok2vec`."""
    init_tok2vec = nlp.config.interpolate()["initialize"].get("init_tok2vec")
    if init_tok2vec and not nlp.config.get("pretraining"):
        raise ValueError(Errors.E506.format(path=init_tok2vec))


def read_file(path: Path) -> bytes:
    """Read a file of weights, or name the weights that its folder holds instead."""
    if not path.is_file():
        raise ValueError(Errors.E502.format(path=path, found=_list_weights(path.parent)))
    return path.read_bytes()


def _list_weights(folder: Path) -> str:
    if not folder.is_dir():
        return f"no folder {folder}"
    names = sorted(entry.name for entry in folder.glob("*.bin"))
    return f"in that folder: {', '.join(names)}" if names else "no .bin file in that folder"
