"""The tok2vec of another component."""

from typing import Any

from spacy.language import Language
from spacy.util import load_model_from_config, registry
from thinc.api import Config, Model

from ..errors import Errors
from ..targets.static_vectors import StaticVectors
from ..types import Target, Tok2Vec


def load_tok2vec(
    config: Config, component: str | None = None, layer: str | None = None
) -> tuple[Language, Tok2Vec]:
    """Build a pipeline and find its tok2vec, as `spacy pretrain` does.

    config (Config): Interpolated config.
    component (Optional[str]): Component with the tok2vec; by default that of [pretraining], or
        "tok2vec".
    layer (Optional[str]): Layer in that component's model; by default that of [pretraining].
    RETURNS (Tuple[Language, Model]): The pipeline and the tok2vec, with random weights.
    RAISES (ValueError): If there is no such tok2vec.
    """
    pretraining = config.get("pretraining") or {}
    component = component or pretraining.get("component") or "tok2vec"
    layer = pretraining.get("layer") or "" if layer is None else layer
    nlp = load_model_from_config(config, auto_fill=True)
    if component not in nlp.component_names:
        raise ValueError(Errors.E610.format(component=component, names=nlp.component_names))
    with nlp.select_pipes(enable=[]):
        nlp.initialize()
    model: Any = getattr(nlp.get_pipe(component), "model", None)
    where = f"'{component}'" + (f", layer '{layer}'," if layer else "")
    if model is not None and layer:
        model = model.get_ref(layer) if model.has_ref(layer) else None
    if model is not None and model.name == "tok2vec-listener":
        upstream = model.upstream_name
        model = getattr(nlp.get_pipe("tok2vec" if upstream == "*" else upstream), "model", None)
    if model is None:
        raise ValueError(Errors.E611.format(where=where, found="does not exist or has no model"))
    sample = [nlp.make_doc("Give it a doc to infer shapes")]
    # A model of another kind may fail in any way here.
    try:
        model.initialize(X=sample)
        vectors = model.predict(sample)
        is_tok2vec = isinstance(vectors, list) and vectors[0].shape[0] == len(sample[0])
    except (ValueError, TypeError, AttributeError, KeyError) as err:
        found = f"cannot read a text alone ({str(err).splitlines()[0]})"
        raise ValueError(Errors.E611.format(where=where, found=found)) from err
    if not is_tok2vec:
        raise ValueError(Errors.E611.format(where=where, found="gives something else"))
    return nlp, model


def open_target(config: Config, nlp: Language) -> Target | None:
    """Open the target that a config names, or the vectors of the vocab where it names none.

    config (Config): Interpolated config.
    nlp (Language): Its pipeline.
    RETURNS (Optional[Target]): None where there are no vectors.
    """
    block = ((config.get("pretraining") or {}).get("objective") or {}).get("target")
    if not block or block.get("path", "") is None:
        if not nlp.vocab.vectors.size:
            return None
        block = None
    target: Any = registry.resolve({"target": block})["target"] if block else StaticVectors()
    target.open(nlp.vocab)
    return target


def find_tok2vec(nlp: Language, name: str, component: str, layer: str) -> Tok2Vec:
    """Find the tok2vec of another component.

    nlp (Language): The pipeline.
    name (str): The component that asks.
    component (str): The component with the tok2vec, which has to stand before it.
    layer (str): Layer in its model; "" for the whole.
    RETURNS (Model[List[Doc], List[Floats2d]]): The tok2vec.
    RAISES (ValueError): If there is none.
    """
    names = nlp.component_names  # frozen ones are disabled while the pipeline is initialised
    before = names[: names.index(name)] if name in names else names
    if component not in before:
        raise ValueError(Errors.E742.format(name=name, component=component, names=before))
    model = getattr(nlp.get_pipe(component), "model", None)
    if not isinstance(model, Model):
        raise ValueError(Errors.E749.format(component=component))
    # A tagger's whole model gives vectors for tokens, too: the tags.
    if (layer and not model.has_ref(layer)) or (not layer and model.has_ref("tok2vec")):
        refs = model.ref_names
        raise ValueError(Errors.E743.format(component=component, layer=layer, refs=refs))
    found = model.get_ref(layer) if layer else model
    # The tok2vec of NER and parser is followed by a layer of their own.
    while "list2array" in [node.name for node in found.layers]:
        found = found.layers[0]
    if found.name == "tok2vec-listener":
        raise ValueError(Errors.E744.format(component=component))
    return found
