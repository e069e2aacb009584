"""Read whole texts as characters, and find the tokens among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from spacy.attrs import IDX, LENGTH, SPACY
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Ints1d, Ragged

from ..checks import Size, checked
from .characters import add_bounds, check_table, find_rows, get_codes

Texts: TypeAlias = Sequence[Doc] | Sequence[str]
CharReader: TypeAlias = Model[Texts, Ragged]


@dataclass(frozen=True)
class TokenOffsets:
    """Where the tokens of a batch stand among its characters.

    Offsets are positions in the output of `read_chars`. The offset of a character within its text,
    as in `token.idx`, is the difference to the offset at which the text starts.

    starts (Ints1d): Offset of the first character of each token, int32 (nT,).
    ends (Ints1d): Offset behind the last character of each token, int32 (nT,). The space that
        follows a token belongs to none.
    text_starts (Ints1d): Offset of the first character of each text, int32 (nD,).
    lengths (Ints1d): Tokens per Doc, int32 (nD,).
    """

    starts: Ints1d
    ends: Ints1d
    text_starts: Ints1d
    lengths: Ints1d


@checked("read_chars")
def read_chars(nV: Size = 1000, *, bounds: bool = False) -> CharReader:
    """Read the characters of whole texts, spaces included, as rows of the character table.

    nV (int): Rows of the character table: see `find_rows`. Recommended values: 300 (Latin) to 2000.
    bounds (bool): Whether a start row and an end row enclose each text.
    RETURNS (Model[List[Union[Doc, str]], Ragged]): The layer. It has no parameters.
    RAISES (ValueError): If the table has only reserved rows.

    Shapes: nD Docs or strings -> rows of the table, int32 (nC,), in nD sequences
    """
    check_table(nV)
    return Model("read_chars", forward, dims={"nV": nV}, attrs={"bounds": bounds})


def forward(model: CharReader, texts: Texts, is_train: bool) -> tuple[Ragged, Callable]:
    """Map every character to its row."""
    strings = [text if isinstance(text, str) else text.text for text in texts]
    lengths: Any = np.array([len(string) for string in strings], dtype="int32")
    rows: Any = find_rows(get_codes(strings), model.get_dim("nV"))
    if model.attrs["bounds"]:
        rows = add_bounds(rows, lengths)
        lengths += 2

    def backprop(dYr: Ragged) -> list:
        return []  # a text has no gradient

    return Ragged(model.ops.asarray1i(rows), model.ops.asarray1i(lengths)), backprop


def find_tokens(model: CharReader, docs: Sequence[Doc]) -> TokenOffsets:
    """Find the tokens of a batch among the characters that the layer reads from it.

    model (Model[List[Union[Doc, str]], Ragged]): What `read_chars` returned.
    docs (Sequence[Doc]): The batch.
    RETURNS (TokenOffsets): Arrays on the layer's device.
    """
    ops, bound = model.ops, int(model.attrs["bounds"])
    tokens = [doc.to_array([IDX, LENGTH, SPACY]).astype("int32") for doc in docs]
    lengths: Any = np.array([len(doc) for doc in docs], dtype="int32")
    # A text ends with its last token and the space that follows it.
    n_chars = np.array([each[-1].sum() if len(each) else 0 for each in tokens], dtype="int32")
    text_starts = np.cumsum(n_chars + 2 * bound, dtype="int32") - n_chars - bound
    offsets, sizes, _ = np.concatenate([np.zeros((0, 3), dtype="int32"), *tokens]).T
    starts = offsets + np.repeat(text_starts, lengths)
    return TokenOffsets(
        starts=ops.asarray1i(starts),
        ends=ops.asarray1i(starts + sizes),
        text_starts=ops.asarray1i(text_starts),
        lengths=ops.asarray1i(lengths),
    )
