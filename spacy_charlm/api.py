"""The public Python API: what a notebook needs, one function per task.

Everything is imported when it is called, so that `import spacy_charlm` costs nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language
    from thinc.api import Config

    from .training.pretrain import Outcome
    from .training.pseudo_entities import PseudoEntities
    from .training.pseudo_labels import PseudoLabels
    from .types import Score
    from .vectors.train_vectors import TrainedVectors

T = TypeVar("T", bound=Path | str)


def pretrain(
    config: "Config | Path | str",
    output: Path | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    init: Path | str | None = None,
    prefetch: int = 0,
    workers: int = 1,
) -> "Outcome":
    """Pretrain a tok2vec on raw text, as `charlm pretrain` does.

    Example:
        import spacy_charlm
        spacy_charlm.pretrain(
            "configs/pretrain/cosine.cfg",
            "pretrain",
            overrides={"paths.raw_text": "text.jsonl", "paths.target_vectors": "vectors.txt"},
        )

    config (Config | Path | str): A pretraining config, or its path.
    output (Path | str): Folder for model-best.bin, model-last.bin, log.jsonl and checkpoints.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name, such as "paths.raw_text".
    resume (bool): Whether to continue from the newest checkpoint in `output`.
    init (Optional[Path | str]): Weights to start from.
    prefetch (int): Number of processes that tokenize ahead.
    workers (int): Number of processes that share each update. More than one needs the extra `ray`.
    RETURNS (Outcome): Updates, words, the best score, and whether it was stopped early.
    RAISES (ValueError): If a setting, config, texts or checkpoint do not fit.
    """
    from .checks import Count, Size, check_setting
    from .training.crew import Crew
    from .training.pretrain import pretrain as run
    from .training.worker import Trainer, Worker

    check_setting("pretrain", "workers", workers, Size)
    check_setting("pretrain", "prefetch", prefetch, Count)
    filled = _read_config(config, overrides, interpolate=False)
    start = None if init is None else Path(init)
    if workers > 1:
        trainer: Trainer = Crew(filled, start, n_workers=workers, prefetch=prefetch)
    else:
        trainer = Worker(filled, start, prefetch=prefetch)
    try:
        return run(trainer, Path(output), resume=resume)
    finally:
        trainer.close()


def load(weights: Path | str, lang: str = "en") -> "Language":
    """Load a pretrained tok2vec into a blank pipeline.

    The weights say how the tok2vec is built, so no config is needed.

    Example:
        import spacy_charlm
        nlp = spacy_charlm.load("pretrain/model-last.bin")
        nlp("A wonderfull film.").tensor.shape

    weights (Path | str): What `spacy pretrain` or `charlm pretrain` wrote.
    lang (str): Language of the pipeline.
    RETURNS (Language): A pipeline with the component `tok2vec`.
    RAISES (ValueError): If the file is missing or damaged, or does not say enough to build the
        tok2vec.
    """
    from .evaluation.inspect_weights import load_pretrained

    return load_pretrained(Path(weights), lang)


@overload
def embed(
    texts: Sequence[str], model: "Language | Path | str", level: Literal["text"] = "text"
) -> "np.ndarray": ...


@overload
def embed(
    texts: Sequence[str], model: "Language | Path | str", level: Literal["token"]
) -> "list[np.ndarray]": ...


def embed(
    texts: Sequence[str], model: "Language | Path | str", level: Literal["text", "token"] = "text"
) -> Any:
    """Compute vectors of texts, or of their tokens in context.

    Example:
        import spacy_charlm
        X = spacy_charlm.embed(["A fine film.", "Dull."], "pretrain/model-last.bin")  # (2, 96)

    texts (Sequence[str]): The texts.
    model (Language | Path | str): A pipeline, its name or folder, or a file of weights.
    level (str): "text" for the mean over each text, "token" for one vector per token.
    RETURNS (ndarray | List[ndarray]): float32 (nD, nO); or for each text (nT, nO).
    RAISES (ValueError): If the model has no tok2vec, or `texts` is one string.
    """
    import spacy

    from .errors import Errors
    from .evaluation.text_vectors import embed_texts, embed_tokens

    given = _list_strings("texts", texts)
    if level not in ("text", "token"):
        raise ValueError(Errors.E622.format(found=repr(level)))
    if isinstance(model, str | Path):
        is_weights = Path(model).is_file() or Path(model).suffix == ".bin"
        model = load(model) if is_weights else spacy.load(model)
    return embed_texts(model, given) if level == "text" else embed_tokens(model, given)


def nearest_words(
    words: Sequence[str],
    weights: Path | str,
    vectors: Path | str,
    *,
    k: int = 5,
    lang: str = "en",
) -> dict[str, list[tuple[str, float]]]:
    """Find the words of a table that are nearest to any words, also misspelled or unseen ones.

    Example:
        import spacy_charlm
        spacy_charlm.nearest_words(["wonderfull"], "pretrain/model-last.bin", "vectors.txt")

    words (Sequence[str]): The words.
    weights (Path | str): Weights of a pretrained tok2vec.
    vectors (Path | str): GloVe or word2vec text, or a folder of spaCy vectors: the candidates.
    k (int): Number of neighbours of each word.
    lang (str): Language of the words.
    RETURNS (Dict[str, List[Tuple[str, float]]]): For each word its neighbours with their cosines,
        the nearest first.
    RAISES (ValueError): If a file is missing or damaged, or `words` is one string.
    """
    from .evaluation.word_neighbours import WordNeighbours

    given = _list_strings("words", words)
    table = WordNeighbours(Path(weights), Path(vectors), lang=lang)
    return dict(zip(given, table.find(given, k)))


def add_typos(
    text: str,
    rate: float = 0.2,
    *,
    kinds: Sequence[str] | None = None,
    misspellings: Path | str | None = None,
    lang: str = "en",
    seed: int = 0,
) -> str:
    """Add typos to a text.

    Example:
        import spacy_charlm
        spacy_charlm.add_typos("The plot is thin, but the actors are wonderful.", rate=0.3)

    text (str): The text.
    rate (float): Share of the words that get a typo.
    kinds (Optional[Sequence[str]]): Kinds of typos, see `spacy-charlm.Typos.v1`; None for
        neighbouring keys, swaps, dropped, inserted and repeated characters.
    misspellings (Optional[Path | str]): File of real misspellings, for the kind "natural".
    lang (str): Language of the text, whose rules split it into words.
    seed (int): Seed of the generator.
    RETURNS (str): The text with typos. Nothing else changes.
    """
    import numpy as np
    import spacy

    from .noise.typos import Typos

    path = None if misspellings is None else Path(misspellings)
    typos = Typos(rate, None if kinds is None else list(kinds), misspellings=path)
    doc = spacy.blank(lang).make_doc(text)
    words = [token.text for token in doc]
    spaces = [bool(token.whitespace_) for token in doc]
    edited, edited_spaces = typos.edit(words, spaces, np.random.default_rng(seed))
    return "".join(word + " " * space for word, space in zip(edited, edited_spaces))


def probe(
    config: "Config | Path | str",
    weights: Path | str | None,
    train: Path | str,
    dev: Path | str | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> "list[Score]":
    """Score a logistic regression on the frozen vectors of a tok2vec, as `charlm probe` does.

    Example:
        import spacy_charlm
        spacy_charlm.probe(
            "configs/pretrain/cosine.cfg", "pretrain/model-last.bin", "labelled.jsonl", n_dev=1000
        )

    config (Config | Path | str): Config with the tok2vec, or its path.
    weights (Optional[Path | str]): Weights of the tok2vec; None for random weights only.
    train (Path | str): Labelled texts, .jsonl or .spacy.
    dev (Optional[Path | str]): Labelled texts to score on; or set `n_dev`.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name, such as "paths.target_vectors".
    **settings (Any): `n_dev`, `task`, `n_labels`, `draws`, `seed`, `limit_dev`, `component`,
        `layer`, as in the command.
    RETURNS (List[Score]): The scores.
    """
    from .evaluation.probe import probe as run

    filled = _read_config(config, overrides, interpolate=True)
    weights_path = None if weights is None else Path(weights)
    dev_path = None if dev is None else Path(dev)
    return run(filled, weights_path, Path(train), dev_path, **settings)


def label_texts(
    train: Path | str,
    text: Path | str,
    vectors: Path | str,
    output: Path | str,
    *,
    dev: Path | str | None = None,
    limit: int = 0,
    multilabel: bool = False,
    lang: str = "en",
    seed: int = 0,
) -> "PseudoLabels":
    """Label raw text from a few labelled texts, as `charlm label` does.

    Example:
        import spacy_charlm
        spacy_charlm.label_texts("train.spacy", "text.jsonl", "vectors", "labelled")

    train (Path | str): A .spacy file of texts with categories.
    text (Path | str): The raw text.
    vectors (Path | str): Vectors that were trained on documents, such as `train_vectors` writes.
    output (Path | str): The folder to write to, new or empty; `paths.train` of `spacy train`.
    dev (Optional[Path | str]): A .spacy file of other labelled texts, to score the labels on.
    limit (int): Most raw texts to read; 0 for all.
    multilabel (bool): Whether a text may have any number of labels.
    lang (str): Language of the texts.
    seed (int): Seed of the cross-validation.
    RETURNS (PseudoLabels): Counts of the texts and labels, and the accuracy on `dev`.
    RAISES (ValueError): If a file cannot be read, labels or vectors do not fit, or the folder is
        not empty.
    """
    from .training.pseudo_labels import label_texts as run

    dev = None if dev is None else Path(dev)
    settings: dict[str, Any] = {"limit": limit, "multilabel": multilabel}
    settings |= {"lang": lang, "seed": seed}
    return run(Path(train), Path(text), Path(vectors), Path(output), dev=dev, **settings)


def label_entities(
    train: Path | str,
    text: Path | str,
    output: Path | str,
    pipelines: Sequence[Path | str],
    *,
    dev: Path | str | None = None,
    min_votes: int = 0,
    bias: float = -2.0,
    repeat: int = 3,
    limit: int = 0,
    min_words: int = 5,
    seed: int = 0,
) -> "PseudoEntities":
    """Annotate raw text with the entities that pipelines agree on, as `charlm label-entities` does.

    Example:
        import spacy_charlm
        folders = [f"training-{seed}/model-best" for seed in range(5)]
        spacy_charlm.label_entities("train.spacy", "text.jsonl", "labelled", folders)

    train (Path | str): A .spacy file of texts with entities.
    text (Path | str): The raw text.
    output (Path | str): The folder to write to, new or empty; `paths.train` of `spacy train`.
    pipelines (Sequence[Path | str]): Folders of pipelines that were trained on `train`.
    dev (Optional[Path | str]): A .spacy file of other texts with entities, to score the vote on.
    min_votes (int): Pipelines that have to find an entity; 0 for more than half.
    bias (float): Added to the scores of O to find the words that get no annotation; 0 for none.
    repeat (int): How often each text of `train` is written.
    limit (int): Most raw texts to read, drawn at random; 0 for all.
    min_words (int): Fewest tokens of a raw text.
    seed (int): Seed of the draw.
    RETURNS (PseudoEntities): Counts of the texts and entities, and the scores on `dev`.
    RAISES (ValueError): If a setting is out of range, a file cannot be read, the pipelines do not
        fit, or the folder is not empty.
    """
    from .training.pseudo_entities import label_entities as run

    paths = [Path(path) for path in _list_strings("pipelines", pipelines)]
    dev = None if dev is None else Path(dev)
    settings: dict[str, Any] = {"min_votes": min_votes, "bias": bias, "repeat": repeat}
    settings |= {"limit": limit, "min_words": min_words, "seed": seed}
    return run(Path(train), Path(text), Path(output), paths, dev=dev, **settings)


def train_vectors(
    texts: Path | str, output: Path | str, *, resume: bool = False, **settings: Any
) -> "TrainedVectors":
    """Train word vectors on raw text, as `charlm vectors train` does: targets for pretraining.

    Example:
        import spacy_charlm
        spacy_charlm.train_vectors("text.jsonl", "vectors", mode="document", ngrams=2)

    texts (Path | str): Texts, in any format that pretraining reads.
    output (Path | str): Folder to write to, in spaCy's format.
    resume (bool): Whether to continue a training that Ctrl-C has stopped.
    **settings (Any): See `spacy_charlm.vectors.train_vectors.VectorSettings`.
    RETURNS (TrainedVectors): Rows, texts, words, passes, and whether it was stopped.
    RAISES (ValueError): If a setting is out of range, the text has too few words, or there is
        nothing to resume.
    """
    from .vectors.train_vectors import VectorSettings
    from .vectors.train_vectors import train_vectors as run

    return run(Path(texts), Path(output), VectorSettings(**settings), resume=resume)


def _list_strings(name: str, given: Sequence[T]) -> list[T]:
    from .errors import Errors

    if isinstance(given, str):
        raise ValueError(Errors.E621.format(name=name, found=repr(given[:50])))
    return list(given)


def _read_config(
    config: "Config | Path | str", overrides: Mapping[str, Any] | None, *, interpolate: bool
) -> "Config":
    from thinc.api import Config

    from .training.read_config import read_config

    given = config if isinstance(config, Config) else Path(config)
    return read_config(given, overrides, interpolate=interpolate)
