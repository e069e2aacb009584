"""A Hugging Face encoder: from texts to vectors of word pieces and their offsets."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..compat import require
from ..errors import Errors

Layer = str | int | list[int]
PIECES, LAST = "pieces", "last"
BATCH = 16  # windows that are encoded at a time
WINDOW = 512  # word pieces per window if neither the model nor the tokenizer has a limit
NO_LIMIT = 10**6  # tokenizers without a limit report numbers such as 1e30
WEIGHTS = ("*.safetensors", "*.bin")
TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "vocab.*", "merges.txt", "*.model")


class Pieces(NamedTuple):
    """The word pieces of a text.

    offsets (ndarray): Start and end of each piece in characters, int64 (number of pieces, 2).
    vectors (ndarray): Vectors of the pieces, float32 (number of pieces, nO).
    """

    offsets: np.ndarray
    vectors: np.ndarray


class TransformerEncoder:
    """Encode texts with a transformer, long ones in overlapping windows.

    model (str): Name on the Hugging Face hub, or a folder.
    layer (str, int or List[int]): "pieces" for the input embeddings, "last", the number of a layer
        (0 is the sum of the embeddings), or a list of numbers for the mean of several layers.
    revision (str): Revision of the repository on the hub.
    RAISES (ImportError): If torch or transformers is missing.
    RAISES (ValueError): If the model cannot be loaded, has no fast tokenizer or no such layer.
    """

    def __init__(self, model: str, layer: Layer, revision: str = "main") -> None:
        self._torch = require("torch", extra="transformers", what="A transformer's vectors")
        transformers = require("transformers", extra="transformers", what="A transformer's vectors")
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(model, revision=revision)
            self._model, loaded = transformers.AutoModel.from_pretrained(
                model, revision=revision, output_loading_info=True
            )
        except (OSError, ValueError) as err:
            found = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
            raise ValueError(Errors.E230.format(model=model, found=found)) from err
        if not getattr(self._tokenizer, "is_fast", False):
            raise ValueError(Errors.E231.format(model=model))
        missing = [key for key in loaded["missing_keys"] if not key.startswith("pooler")]
        if missing or self._model.config.is_encoder_decoder:
            found = f"no weights for {', '.join(missing[:3])}" if missing else "an encoder-decoder"
            raise ValueError(Errors.E230.format(model=model, found=found))
        self._model.eval()
        depth = int(self._model.config.num_hidden_layers)
        numbers = [layer] if isinstance(layer, int) else layer
        wrong = (
            numbers not in (PIECES, LAST)
            if isinstance(numbers, str)
            else not numbers
            or not all(isinstance(n, int) and -depth - 1 <= n <= depth for n in numbers)
        )
        if wrong:
            raise ValueError(Errors.E232.format(layer=layer, depth=depth))
        self._layer = layer
        unknown = self._tokenizer.unk_token_id
        self._unknown = -1 if unknown is None else int(unknown)
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        self._window = self._find_window()

    def _find_window(self) -> int:
        """Return the largest number of word pieces that the model can encode at once."""
        positions = getattr(self._model.config, "max_position_embeddings", None) or 0
        embeddings: Any = getattr(self._model, "embeddings", None)
        table: Any = getattr(embeddings, "position_embeddings", None)
        if getattr(table, "padding_idx", None) is not None:
            positions -= table.padding_idx + 1  # RoBERTa's positions start after the padding
        limits = [n for n in (self._tokenizer.model_max_length, positions) if 0 < n < NO_LIMIT]
        return min(limits, default=WINDOW)

    @property
    def nO(self) -> int:
        """Width of a vector."""
        if self._layer == PIECES:
            return int(self._model.get_input_embeddings().weight.shape[1])
        return int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> Iterator[Pieces]:
        """Encode texts.

        texts (Sequence[str]): The texts.
        YIELDS (Pieces): The word pieces of each text. A piece in two windows occurs twice.
        """
        windows = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._window,
            stride=min(64, self._window // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        owners = np.array(windows["overflow_to_sample_mapping"])
        pieces: list[list[Pieces]] = [[] for _ in texts]
        ids = windows["input_ids"]
        for start in range(0, len(ids), BATCH):
            vectors = self._run(ids[start : start + BATCH])
            for i, rows in enumerate(vectors, start=start):
                kept = ~np.array(windows["special_tokens_mask"][i], dtype=bool)
                kept &= np.array(ids[i]) != self._unknown  # one vector for all unknown words
                offsets = np.array(windows["offset_mapping"][i], dtype="int64").reshape(-1, 2)
                pieces[owners[i]].append(Pieces(offsets[kept], rows[kept]))
        nothing = Pieces(np.zeros((0, 2), dtype="int64"), np.zeros((0, self.nO), dtype="float32"))
        for own in pieces:
            all_offsets, all_vectors = zip(*(own or [nothing]))
            yield Pieces(np.concatenate(all_offsets), np.concatenate(all_vectors))

    def _run(self, ids: list[list[int]]) -> list[np.ndarray]:
        """Compute the vectors of some windows, each (number of pieces, nO)."""
        torch = self._torch
        lengths = [len(row) for row in ids]
        pad = self._tokenizer.pad_token_id or 0
        width = max(lengths)
        batch = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
        mask = torch.tensor([[1] * n + [0] * (width - n) for n in lengths])
        with torch.inference_mode():
            if self._layer == PIECES:
                vectors = self._model.get_input_embeddings()(batch.to(self._device))
            else:
                output = self._model(
                    input_ids=batch.to(self._device),
                    attention_mask=mask.to(self._device),
                    output_hidden_states=self._layer != LAST,
                )
                if self._layer == LAST:
                    vectors = output.last_hidden_state
                else:
                    numbers = [self._layer] if isinstance(self._layer, int) else self._layer
                    layers = [output.hidden_states[number] for number in numbers]
                    vectors = torch.stack(layers).mean(dim=0)
        array = vectors.float().cpu().numpy()
        return [array[i, :n] for i, n in enumerate(lengths)]


def digest_model(model: str) -> str | None:
    """Compute a digest of a model's config, weights and tokenizer.

    model (str): Name or folder.
    RETURNS (Optional[str]): The digest; None if there is no such folder.
    """
    folder = Path(model)
    if not (folder / "config.json").is_file():
        return None
    digest = hashlib.blake2b(digest_size=8)
    for pattern in ("config.json", *WEIGHTS, *TOKENIZER):
        for path in sorted(folder.glob(pattern)):
            digest.update(path.name.encode())
            with path.open("rb") as file_:
                while block := file_.read(2**20):
                    digest.update(block)
    return digest.hexdigest()
