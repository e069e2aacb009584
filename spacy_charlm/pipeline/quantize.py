"""Make a pipeline smaller on disk: arrays in 8 or 16 bits, and no strings that nothing reads."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import srsly
from spacy.language import Language
from thinc.api import Config, Model, deserialize_attr, serialize_attr

from ..card import name_damage
from ..errors import Errors
from ..files import make_folder
from ..quantized import DTYPES, MAX_INT8, QUANTIZED_ATTR, quantize_weights, unpack_arrays

Callback = Callable[[Language], Language]

DEQUANTIZE = "spacy-charlm.dequantize.v1"
# Components that read no other strings of the vocab than their labels.
READ_LABELS = (
    "charlm_lmao",
    "charlm_ner",
    "ner",
    "parser",
    "senter",
    "sentencizer",
    "tagger",
    "textcat",
    "textcat_multilabel",
    "tok2vec",
)


class QuantizedParams:
    """An attribute that makes a layer read quantised parameters.

    thinc asks the type of an attribute how it is read: here, it becomes float32 parameters. It is
    left out when the layer is saved, so what is saved is ordinary float32 weights.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@serialize_attr.register(QuantizedParams)
def _leave_out(_: Any, value: Any, name: str, model: Model) -> bytes:
    raise TypeError  # thinc then leaves the attribute out


@deserialize_attr.register(QuantizedParams)
def _read_params(default: Any, value: bytes, name: str, model: Model) -> Any:
    with name_damage(f"the layer {model.name}", Errors.E555):
        arrays = unpack_arrays(value)
        if not arrays.keys() <= set(model.param_names):
            raise ValueError(f"parameters that it does not have: {', '.join(arrays)}")
    ops: Any = model.ops
    for param, values in arrays.items():
        model.set_param(param, ops.asarray(values))
    return default


def create_dequantize_v1(then: Callback | None = None) -> Callback:
    """Create a callback for [nlp.after_pipeline_creation] that reads quantised files.

    `charlm quantize` writes it into the config of the pipeline. In memory all arrays are float32,
    and a pipeline that is saved again is as large as before.

    then (Optional[Callable[[Language], Language]]): A callback for the same event to run next.
    RETURNS (Callable[[Language], Language]): The callback.
    """

    def after_pipeline_creation(nlp: Language) -> Language:
        for model in _find_models(nlp).values():
            for node in model.walk():
                if node.param_names:
                    node.attrs[QUANTIZED_ATTR] = QuantizedParams()
        return then(nlp) if then is not None else nlp

    return after_pipeline_creation


def quantize_pipeline(
    nlp: Language, output: Path, dtype: str = "int8", *, keep_strings: bool = False
) -> Language:
    """Save a pipeline with smaller files. `spacy.load` reads it as any other pipeline.

    Arrays of 1,000 numbers or more are quantised, the others stay float32. The words of the
    training texts are left out of the vocab if there are no vectors and lookups, and all components
    are known to read nothing but their labels from it.

    nlp (Language): The pipeline; it does not change.
    output (Path): The folder, which is new or empty.
    dtype (str): "int8" (one scale per row) or "float16".
    keep_strings (bool): Whether to keep all strings of the vocab.
    RETURNS (Language): The pipeline as it is loaded from the folder.
    RAISES (ValueError): If the folder is not empty, the dtype is unknown, or a component does not
        get its arrays back.
    """
    if dtype not in DTYPES:
        expected = " or ".join(DTYPES)
        raise ValueError(Errors.E540.format(name="dtype", expected=expected, found=dtype))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(Errors.E556.format(path=output))
    models = _find_models(nlp)
    packed = {}
    for name, model in models.items():
        weights = srsly.msgpack_loads(model.to_bytes())
        quantize_weights(weights, dtype)
        packed[name] = srsly.msgpack_dumps(weights)
    make_folder(output)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, output)
        nlp.to_disk(output)
        for name, data in packed.items():
            path = output / name / "model"
            if path.is_file():
                path.write_bytes(data)
        if not keep_strings and _reads_labels_only(nlp):
            labels = {label for _, pipe in nlp.components for label in getattr(pipe, "labels", ())}
            srsly.write_json(output / "vocab" / "strings.json", sorted(labels))
        _add_callback(nlp.config).to_disk(output / "config.cfg", interpolate=False)
        loaded = spacy.load(output)
        for name, model in _find_models(loaded).items():
            _check_arrays(name, models[name], model)
        stack.pop_all()  # everything is there: keep it
    return loaded


def _add_callback(config: Config) -> Config:
    """Add the callback that lets a pipeline read quantised files to its config."""
    config = Config(config).copy()
    block = config["nlp"].get("after_pipeline_creation")
    if not block or block.get("@callbacks") != DEQUANTIZE:
        block = {"@callbacks": DEQUANTIZE, **({"then": block} if block else {})}
        config["nlp"]["after_pipeline_creation"] = block
    return config


def _find_models(nlp: Language) -> dict[str, Model]:
    models = {name: getattr(pipe, "model", None) for name, pipe in nlp.components}
    return {name: model for name, model in models.items() if isinstance(model, Model)}


def _reads_labels_only(nlp: Language) -> bool:
    factories = {nlp.get_pipe_meta(name).factory for name, _ in nlp.components}
    has_tables = nlp.vocab.vectors.size or len(nlp.vocab.lookups)
    return factories <= set(READ_LABELS) and not has_tables


def _check_arrays(name: str, expected: Model, found: Model) -> None:
    """Compare the arrays of a model with those that were quantised.

    Some components make layers after the callback has run; these cannot read quantised arrays.
    """
    for node, other in zip(expected.walk(), found.walk()):
        for param in node.param_names:
            values, read = (
                each.ops.to_numpy(each.get_param(param)) if each.has_param(param) else None
                for each in (node, other)
            )
            if values is None and read is None:
                continue
            if values is None or read is None or read.shape != values.shape:
                raise ValueError(Errors.E557.format(name=name, layer=node.name, param=param))
            # Half a step of int8, which is more than one of float16.
            tolerance = np.abs(values).max(initial=0) * (0.51 / MAX_INT8)
            if not np.allclose(values, read, rtol=0, atol=tolerance):
                raise ValueError(Errors.E557.format(name=name, layer=node.name, param=param))
