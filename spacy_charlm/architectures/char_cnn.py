"""The character CNN as an embed layer for `spacy.Tok2Vec.v2`."""

from typing import Annotated

from thinc.api import HashEmbed, Linear, Maxout, Model
from thinc.types import Floats2d, Ints2d

from ..checks import (
    Length,
    LexiconsBlock,
    Range,
    Seed,
    Share,
    Size,
    TableBlock,
    check_memory,
    checked,
)
from ..errors import Errors
from ..layers.conv import conv
from ..layers.embed_chars import embed_chars
from ..layers.embed_ngrams import embed_ngrams
from ..layers.embed_words import embed_words
from ..layers.mix_words import mix_words
from ..layers.read_words import VectorsDropout, read_words
from ..layers.vector_table import vector_table
from ..types import Tok2Vec

TABLE = "spacy-charlm.VectorTable.v1"
LEXICONS = "spacy-charlm.Lexicons.v1"


@checked("spacy-charlm.CharCNN.v1")
def build_char_cnn_v1(
    width: Size,
    windows: list[Length] = [3, 5],  # noqa: B006
    filters: list[Size] = [96, 128],  # noqa: B006
    char_width: Size = 32,
    char_rows: Size = 1000,
    max_chars: Size = 32,
    attrs: list[str] = ["SHAPE"],  # noqa: B006
    rows: list[Size] = [500],  # noqa: B006
    normalise: str = "none",
    include_static_vectors: bool = False,
    vectors_dropout: Share = 0.0,
    ngrams: list[Length] = [3, 4, 5],  # noqa: B006
    ngram_rows: Size = 20000,
    cache_size: Annotated[int, Range(0, 10**8)] = 20000,
    seed: Seed = 0,
    table: TableBlock | None = None,
    lexicons: LexiconsBlock | None = None,
) -> Tok2Vec:
    """Build word vectors from characters, n-grams, attributes, static vectors and lists of names.

    Each distinct word of a batch is read once. Convolutions of several windows run over its
    characters, and each filter keeps its maximum over the word. The maxima are concatenated with
    the sum of the vectors of the word's hashed character n-grams and with the vectors of its
    hashed attributes. A maxout layer with layer normalisation mixes them. Every filter runs over
    the whole word (receptive field: `max_chars` characters). With the defaults and width 96 the
    layer has 2.15 million parameters, 1.92 million of them in the table of the n-grams.

    After Kim et al., "Character-Aware Neural Language Models" (2016), with maxout instead of
    highway layers; n-grams after Bojanowski et al., "Enriching Word Vectors with Subword
    Information" (2017); hashed attributes as in spaCy's MultiHashEmbed.

    width (int): Width of the output and of the attributes' tables. Recommended values: 96 to 300.
    windows (List[int]): Characters that the filters of each convolution see, odd numbers.
    filters (List[int]): Number of filters of each convolution, as many values as `windows`.
    char_width (int): Width of a character's vector. Recommended values: 16 to 64.
    char_rows (int): Rows of the character table, 4 of them reserved. No two characters of a block
        of that many consecutive code points share a row. Recommended values: 300 (Latin) to 2000.
    max_chars (int): Characters read per word. A longer word keeps its first and its last ones.
        Recommended values: 24 to 64.
    attrs (List[str]): Lexical attributes to embed in addition to the characters; may be empty.
    rows (List[int]): Rows of the attributes' hash tables, as many values as `attrs`.
    normalise (str): Unicode form in which words are read: "none", "NFC" or "NFKC".
    include_static_vectors (bool): Whether to use the vocab's vectors in addition.
    vectors_dropout (float): Share of tokens whose whole static vector, and whose features from
        lists, are hidden in training, so that the model learns to use characters and context.
        `training.dropout` does not change it. Recommended values: 0 to 0.5.
    ngrams (List[int]): Sizes of the character n-grams, which are read in lower case. They
        distinguish words as well as the hashed NORM does, and a misspelled word keeps most of
        them. May be empty. Recommended values: 3, 4, 5.
    ngram_rows (int): Rows of the n-grams' hash table. Recommended values: 10000 to 50000.
    cache_size (int): Number of words whose vectors are kept between batches at prediction.
    seed (int): Seed of the attributes' hashes and of `vectors_dropout`.
    table (Optional[Callable]): Block such as `spacy-charlm.VectorTable.v1`: static vectors that are
        saved with the weights, in place of those of the vocab.
    lexicons (Optional[Callable]): Block such as `spacy-charlm.Lexicons.v1`: lists of names as
        features of words, which are saved with the weights.
    RETURNS (Model[List[Doc], List[Floats2d]]): The embed layer.
    RAISES (ValueError): If an argument is out of its range or lists differ in length.

    Shapes: nD Docs -> nD arrays of words (nT, width)
    """
    if len(windows) != len(filters) or not windows:
        raise ValueError(
            Errors.E407.format(
                first="windows",
                n_first=len(windows),
                second="filters",
                n_second=len(filters),
                hint="each convolution needs both, and there is at least one",
            )
        )
    if len(attrs) != len(rows):
        raise ValueError(
            Errors.E407.format(
                first="attrs",
                n_first=len(attrs),
                second="rows",
                n_second=len(rows),
                hint="each attribute needs the number of rows of its table",
            )
        )
    if table is not None and include_static_vectors:
        raise ValueError(Errors.E291)
    blocks = [block for block in (table, lexicons) if block is not None]
    tables = [
        vector_table(block.width, block, fuzzy=block is table and table.fuzzy) for block in blocks
    ]
    has_vectors = bool(blocks) or include_static_vectors
    reader = read_words(
        attrs=attrs,
        nV=char_rows,
        max_chars=max_chars,
        normalise=normalise,
        include_static_vectors=include_static_vectors,
        tables=tables,
    )
    chars = embed_chars(
        char_width, char_rows, [conv(nF, char_width, w) for nF, w in zip(filters, windows)]
    )
    hashes: list[Model[Ints2d, Floats2d]] = [
        HashEmbed(width, nV, column=i, seed=seed + i + 1) for i, nV in enumerate(rows)
    ]
    # The sample has the width of the vocab's vectors.
    nM = None if include_static_vectors else sum(block.width for block in blocks)
    vectors = Linear(nO=width, nI=nM) if has_vectors else None
    grams = embed_ngrams(width, ngram_rows, ngrams) if ngrams else None
    nI = sum(filters) + width * (len(hashes) + has_vectors + bool(ngrams))
    check_memory(
        "spacy-charlm.CharCNN.v1",
        width=3 * width * nI,
        char_rows=char_rows * char_width,
        filters=sum(nF * char_width * w for nF, w in zip(filters, windows)),
        rows=width * sum(rows),
        ngram_rows=width * ngram_rows * bool(ngrams),
        cache_size=width * cache_size,
    )
    mix = Maxout(width, nI, nP=3, normalize=True, dropout=0.0)
    words = mix_words(width, chars, hashes, vectors, mix, ngrams=grams)
    dropout = VectorsDropout(vectors_dropout, seed)
    model = embed_words(reader, words, dropout=dropout, cache_size=cache_size)
    model.attrs["reads_masks"] = True
    model.attrs["architecture"] = "spacy-charlm.CharCNN.v1"
    model.attrs["settings"] = {
        "width": width,
        "windows": list(windows),
        "filters": list(filters),
        "char_width": char_width,
        "char_rows": char_rows,
        "max_chars": max_chars,
        "attrs": list(attrs),
        "rows": list(rows),
        "normalise": normalise,
        "include_static_vectors": include_static_vectors,
        "ngrams": list(ngrams),
        "ngram_rows": ngram_rows,
        "seed": seed,
        # Without the paths: loaded weights bring the table and the lists.
        "table": table and {"@misc": TABLE, "path": None, "width": table.width},
        "lexicons": lexicons and {"@misc": LEXICONS, "names": lexicons.names, "path": None},
    }
    return model
