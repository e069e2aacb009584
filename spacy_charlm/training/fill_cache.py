"""Encode a whole corpus ahead, so that pretraining needs no transformer."""

from collections.abc import Callable, Iterator
from typing import Any

from spacy.schemas import ConfigSchemaPretrain
from spacy.util import dot_to_object, load_model_from_config, registry
from thinc.api import Config

from ..errors import Errors
from ..targets.transformer_vectors import TransformerVectors
from .rounds import Rounds, scan_corpus


def fill_cache(config: Config, show: Callable[[float, int], None]) -> tuple[int, int]:
    """Write the vectors of all texts of a pretraining to the caches that its config names.

    Vectors that a cache has already, from a run that was stopped, are not computed again.

    config (Config): Config for pretraining, not interpolated.
    show (Callable[[float, int], None]): Called with the share that is done and the words so far.
    RETURNS (Tuple[int, int]): Number of texts added, and of all texts. The chunks of a long text
        count one by one.
    RAISES (ValueError): If no target has a cache.
    """
    nlp = load_model_from_config(config)
    filled = nlp.config.interpolate()
    settings: Any = registry.resolve(filled["pretraining"], schema=ConfigSchemaPretrain)
    targets = [t for t in find_targets(filled["pretraining"]["objective"]) if t.cache is not None]
    if not targets:
        raise ValueError(Errors.E236)
    corpora = [settings["corpus"]]
    dev = (filled.get("charlm") or {}).get("dev_corpus")
    if dev and dot_to_object(filled, dev).get("path") is not None:
        corpora.append(dev)
    added = total = words = 0
    for target in targets:
        target.open(nlp.vocab)
    try:
        for number, dotted in enumerate(corpora):
            corpus = registry.resolve({"corpus": dot_to_object(filled, dotted)})["corpus"]
            scan = scan_corpus(nlp, corpus)
            n_characters = 0
            for steps in Rounds(nlp, corpus, settings["batcher"]).read(0):
                for docs in (docs for step in steps for _, docs in step):
                    added += sum(target.fill(docs) for target in targets)
                    total += len(docs)
                    words += sum(map(len, docs))
                    n_characters += sum(len(doc.text) for doc in docs)
                    share = min(n_characters / scan.characters, 1.0) if scan else 0.0
                    show((number + share) / len(corpora), words)
    finally:
        for target in targets:
            target.close()
    return added, total


def find_targets(block: dict[str, Any]) -> Iterator[TransformerVectors]:
    """Build the transformer targets in a block of a config, and in the blocks inside it."""
    if block.get("@misc") == "spacy-charlm.TransformerVectors.v1":
        yield registry.resolve({"target": block})["target"]
        return
    for inner in block.values():
        if isinstance(inner, dict):
            yield from find_targets(inner)
