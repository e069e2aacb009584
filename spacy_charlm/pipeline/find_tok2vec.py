"""The tok2vec of another component."""

from spacy.language import Language
from thinc.api import Model

from ..errors import Errors
from ..types import Tok2Vec


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
