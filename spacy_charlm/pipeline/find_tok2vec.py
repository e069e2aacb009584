"""Find the tok2vec of a pipeline, of one of its components, or of a config."""

from contextlib import suppress
from typing import Any

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2Vec as Tok2VecComponent
from spacy.util import load_model_from_config, registry
from thinc.api import Config, Model

from ..errors import Errors
from ..targets.static_vectors import StaticVectors
from ..types import Target, Tok2Vec

LISTENER = "tok2vec-listener"


def get_layer(nlp: Language, component: str, layer: str = "") -> Model | None:
    """Get the model of a component, or a layer of it.

    nlp (Language): The pipeline.
    component (str): Name of the component; it may be disabled.
    layer (str): Name of the layer; "" for the whole model.
    RETURNS (Optional[Model]): None if there is no such component, model or layer.
    """
    if component not in nlp.component_names:
        return None
    model = getattr(nlp.get_pipe(component), "model", None)
    if not isinstance(model, Model) or not layer:
        return model if isinstance(model, Model) else None
    return model.get_ref(layer) if model.has_ref(layer) else None


def get_tok2vec(nlp: Language) -> Tok2Vec:
    """Get the first tok2vec of a pipeline: a tok2vec component, or one within a component.

    nlp (Language): The pipeline.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer.
    RAISES (ValueError): If no component has one.
    """
    for name, component in nlp.pipeline:
        layer = "tok2vec" if get_layer(nlp, name, "tok2vec") is not None else ""
        if layer or isinstance(component, Tok2VecComponent):
            with suppress(ValueError):  # a listener uses the vectors of another component
                return find_tok2vec(nlp, "", name, layer)
    raise ValueError(Errors.E620.format(names=nlp.pipe_names))


def find_tok2vec(nlp: Language, name: str, component: str, layer: str) -> Tok2Vec:
    """Find the tok2vec of a component for another component, which must come later.

    nlp (Language): The pipeline.
    name (str): The component that needs the tok2vec.
    component (str): The component with the tok2vec.
    layer (str): Layer in its model; "" for the whole model.
    RETURNS (Model[List[Doc], List[Floats2d]]): The tok2vec.
    RAISES (ValueError): If there is none.
    """
    names = nlp.component_names  # frozen ones are disabled while the pipeline is initialised
    before = names[: names.index(name)] if name in names else names
    if component not in before:
        raise ValueError(Errors.E742.format(name=name, component=component, names=before))
    model = get_layer(nlp, component)
    if model is None:
        raise ValueError(Errors.E749.format(component=component))
    found = get_layer(nlp, component, layer)
    # The whole model of a tagger gives vectors of tokens as well: the tags.
    if found is None or (not layer and model.has_ref("tok2vec")):
        refs = model.ref_names
        raise ValueError(Errors.E743.format(component=component, layer=layer, refs=refs))
    # In NER and parser, the tok2vec is followed by a layer of their own.
    while "list2array" in [node.name for node in found.layers]:
        found = found.layers[0]
    if found.name == LISTENER:
        raise ValueError(Errors.E744.format(component=component))
    return found


def load_tok2vec(
    config: Config, component: str | None = None, layer: str | None = None
) -> tuple[Language, Tok2Vec]:
    """Build the pipeline of a config and find its tok2vec, as `spacy pretrain` does.

    A listener is followed to the component that it listens to.

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
    model: Any = get_layer(nlp, component, layer)
    if model is not None and model.name == LISTENER:
        upstream = model.upstream_name
        model = get_layer(nlp, "tok2vec" if upstream == "*" else upstream)
    where = f"'{component}'" + (f", layer '{layer}'," if layer else "")
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
    """Open the target vectors of a config, or those of the vocab if it names no target.

    config (Config): Interpolated config.
    nlp (Language): Its pipeline.
    RETURNS (Optional[Target]): None if there are no vectors, or the target predicts ids or has no
        vectors of tokens.
    """
    block = ((config.get("pretraining") or {}).get("objective") or {}).get("target")
    if not block or block.get("path", "") is None:
        if not nlp.vocab.vectors.size:
            return None
        block = None
    target: Any = registry.resolve({"target": block})["target"] if block else StaticVectors()
    if target.kind != "vectors" or target.unit != "token":
        return None
    target.open(nlp.vocab)
    return target
