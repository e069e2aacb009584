"""Train word vectors on raw text and write them as a folder of spaCy vectors."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args

import numpy as np
import spacy
from spacy.vectors import Mode as VectorsMode
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Ops, get_current_ops

from ..checks import Count, Range, Seed, Size, check_setting
from ..errors import Errors
from ..files import digest, lock_folder
from ..text.text_corpus import TextCorpus
from ..training.checkpoint import ArrayFile, read_arrays, write_arrays
from ..training.pretrain import catch_signals
from .documents import DocumentTrainer
from .ngrams import NgramVocab, count_ngrams, name_ngrams, read_bags, write_bags
from .sphere import PieceTable, SphereTable, Table, draw_sphere, unit
from .tokens import TokenFile, read_tokens, write_tokens
from .windows import WindowTrainer

WORK = "work"  # folder for what an unfinished training needs, inside the output folder
VOCAB, STATE, TEXTS = "vocab.safetensors", "state.safetensors", "texts.bin"
Mode = Literal["document", "window"]
MODES = get_args(Mode)
SECONDS = 60.0  # least time between two checkpoints
AVERAGED = 0.2  # share of the passes, the last ones, after each of which the vectors are averaged
BLOCK = 10_000  # rows that are written at a time
NGRAM_SIZES = (4, 5)  # characters of the parts of words in a table for any word
HASHES = 2  # rows of each part
Show = Callable[[str, float, int, str], None]


@dataclass(frozen=True)
class VectorSettings:
    """What determines the vectors, besides the text.

    mode (str): "document": the n-grams of a text are told from random ones by a vector of the text,
        so that words get similar vectors if they occur in the same texts. "window": words are told
        from random ones by their neighbours, so that they get similar vectors if they can replace
        each other.
    ngrams (int): 1 for words, 2 for words and bigrams; 2 requires the mode "document".
    dim (int): Width of a vector. Recommended values: 100 to 300.
    epochs (int): Passes over the text. Recommended values: 10 to 20; more for small texts.
    rows (int): Most n-grams that get a vector; with `subwords` rows of the table.
    min_count (int): Texts that must contain an n-gram.
    idf (Optional[bool]): Whether the length of a vector is the n-gram's inverse document frequency,
        instead of 1. None for yes if there are bigrams.
    subwords (bool): Whether any word gets a vector, by its n-grams of 4 and 5 characters: a table
        in floret mode. Requires the mode "window".
    lower (bool): Whether words are read in lower case.
    max_words (int): Words to read; 0 for all.
    lang (str): Code of the language whose tokenizer splits the text.
    seed (int): Seed.
    """

    mode: Mode = "document"
    ngrams: Annotated[int, Range(1, 2)] = 1
    dim: Size = 100
    epochs: Size = 20
    rows: Size = 120_000
    min_count: Size = 5
    idf: bool | None = None
    subwords: bool = False
    lower: bool = True
    max_words: Count = 0
    lang: str = "en"
    seed: Seed = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            check_setting("vectors train", each.name, getattr(self, each.name), each.type)
        mode, expected = self.mode, ", ".join(MODES)
        if mode not in MODES:
            raise ValueError(Errors.E540.format(name="mode", expected=expected, found=mode))
        if mode == "window" and self.ngrams == 2:
            raise ValueError(
                Errors.E541.format(expected="the mode document for bigrams", found=mode)
            )
        if mode == "document" and self.subwords:
            raise ValueError(
                Errors.E541.format(expected="the mode window for subwords", found=mode)
            )
        if self.subwords and self.idf:
            raise ValueError(Errors.E541.format(expected="no idf for subwords", found="idf"))

    @property
    def uses_idf(self) -> bool:
        """Whether the length of a vector is the n-gram's inverse document frequency."""
        return self.ngrams == 2 if self.idf is None else self.idf


@dataclass(frozen=True)
class TrainedVectors:
    """What a training has done.

    rows (int): Rows of the table.
    texts (int): Texts that were read.
    words (int): Their words, without white space.
    epoch (int): Passes that are complete.
    stopped (bool): Whether it was stopped. Nothing but the state to resume from is written then.
    """

    rows: int
    texts: int
    words: int
    epoch: int
    stopped: bool


class VectorTrainer(Protocol):
    """Trains tables by passes over a text."""

    @property
    def n_updates(self) -> int:
        """Number of updates of a pass over the texts."""

    def update(self, ops: Ops, epoch: int, number: int, share: float) -> tuple[float, float]:
        """Make one update: see `DocumentTrainer.update`."""


def train_vectors(
    path: Path,
    output: Path,
    settings: VectorSettings,
    *,
    resume: bool = False,
    show: Show = lambda title, done, words, note: None,
) -> TrainedVectors:
    """Train vectors of words, or of words and bigrams, and write them in spaCy's format.

    Each text is tokenised once; its words are kept as numbers in files in `output`, and so are the
    vectors of the texts. Memory therefore grows with the number of distinct n-grams and the longest
    texts, not with the number of texts. Ctrl-C stops after the current update; `resume` goes on
    from there and gives the same vectors. The same settings and text give the same vectors on the
    same machine.

    path (Path): Texts, in any format that `spacy-charlm.TextCorpus.v1` reads.
    output (Path): Folder to write to, for `paths.target_vectors`, `initialize.vectors` or
        `spacy.load`. Vectors that are there are replaced at the end. The key of a bigram is both
        words with a space in between.
    settings (VectorSettings): The settings.
    resume (bool): Whether to continue a training that was stopped.
    show (Callable): Called often with what is being done, its share that is done, the number of
        words, and a note.
    RETURNS (TrainedVectors): Sizes, and whether it was stopped.
    RAISES (ValueError): If the text has too few words, there is nothing to resume or something that
        would be lost, or another process is using the folder.
    RAISES (OSError): If the folder cannot be written to.
    """
    work = output / WORK
    origin = {**asdict(settings), "text": digest(path) if path.exists() else ""}
    with lock_folder(output):
        if resume:
            _check_state(work, origin)
        elif (work / STATE).exists():
            raise ValueError(Errors.E252.format(path=output))
        work.mkdir(exist_ok=True)
        if not resume:
            _prepare(path, work, settings, origin, show)
        outcome = _train(work, output, settings, origin, show)
        if not outcome.stopped:
            shutil.rmtree(work)
    return outcome


def _prepare(
    path: Path, work: Path, settings: VectorSettings, origin: dict[str, Any], show: Show
) -> None:
    """Tokenise the texts and choose the n-grams."""
    nlp, corpus = spacy.blank(settings.lang), TextCorpus(path, max_length=0)
    tokens = write_tokens(
        nlp,
        corpus,
        work,
        lower=settings.lower,
        max_words=settings.max_words,
        show=lambda done, words: show("Tokenising", done, words, ""),
    )
    vocab = count_ngrams(tokens, settings.ngrams, settings.min_count, settings.rows)
    if settings.mode == "document":
        write_bags(tokens, vocab, settings.ngrams, work)
    arrays = {"codes": vocab.codes, "counts": vocab.counts}
    write_arrays(work / VOCAB, ArrayFile({"words": tokens.words, "origin": origin}, arrays))


def _train(
    work: Path, output: Path, settings: VectorSettings, origin: dict[str, Any], show: Show
) -> TrainedVectors:
    """Train from the beginning or from a checkpoint, and write the vectors."""
    found = read_arrays(work / VOCAB)
    tokens = read_tokens(work, found.settings["words"])
    codes = found.arrays["codes"]
    vocab = NgramVocab(
        codes, name_ngrams(codes, tokens.words), found.arrays["counts"], tokens.n_texts
    )
    ops = get_current_ops()
    trainer, tables = _make_trainer(ops, work, tokens, vocab, settings)
    words = tables["words"].arrays
    words["sum"] = ops.alloc2f(*words["values"].shape)
    done = _load_state(work, tables) if (work / STATE).exists() else 0
    total = trainer.n_updates * settings.epochs
    n_averaged = max(1, round(AVERAGED * settings.epochs))
    n_words = len(tokens.ids)
    saved = time.monotonic()
    loss = weight = 0.0
    with catch_signals() as signals:
        while done < total and not signals:
            epoch, number = divmod(done, trainer.n_updates)
            found_loss, pairs = trainer.update(ops, epoch, number, 1 - done / total)
            loss, weight = 0.99 * loss + found_loss, 0.99 * weight + pairs
            done += 1
            share = done / total
            note = f"loss {loss / max(weight, 1.0):.3f}"
            show("Training", share, round(share * settings.epochs * n_words), note)
            if done % trainer.n_updates == 0:
                if epoch >= settings.epochs - n_averaged:
                    words["sum"] += words["values"]
                if time.monotonic() - saved > SECONDS:
                    _save_state(work, tables, done, origin)
                    saved = time.monotonic()
        stopped = done < total
        if stopped:
            _save_state(work, tables, done, origin)
    if not stopped:
        values = ops.to_numpy(words["sum"]) / n_averaged
        _write_vectors(output, settings, vocab, values)
    rows = settings.rows if settings.subwords else len(vocab)
    return TrainedVectors(rows, tokens.n_texts, n_words, done // trainer.n_updates, stopped)


def _make_trainer(
    ops: Ops,
    work: Path,
    tokens: TokenFile,
    vocab: NgramVocab,
    settings: VectorSettings,
) -> tuple[VectorTrainer, dict[str, Table]]:
    rng = np.random.default_rng(settings.seed)
    if settings.subwords:
        pieces, starts = _find_pieces(_make_subword_vectors(settings), vocab.names)
        words: Table = PieceTable(
            *_draw_rows(ops, rng, settings.rows, settings.dim), pieces, starts
        )
    else:
        words = SphereTable(*_draw_rows(ops, rng, len(vocab), settings.dim))
    if settings.mode == "document":
        texts = _draw_texts(work / TEXTS, rng, tokens.n_texts, settings.dim)
        bags = read_bags(work)
        trainer: VectorTrainer = DocumentTrainer(vocab, bags, words, texts, settings.seed)
        return trainer, {"words": words, "texts": texts}
    row_of = np.full(len(tokens.words), -1, dtype="int32")
    row_of[vocab.codes] = np.arange(len(vocab))  # the code of a word is its id
    contexts = SphereTable(*_draw_rows(ops, rng, len(vocab), settings.dim))
    trainer = WindowTrainer(tokens, row_of, words, contexts, settings.seed)
    return trainer, {"words": words, "contexts": contexts}


def _draw_rows(ops: Ops, rng: np.random.Generator, n: int, nO: int) -> tuple[Any, Any]:
    return ops.asarray2f(draw_sphere(rng, n, nO)), ops.alloc1f(n)


def _draw_texts(path: Path, rng: np.random.Generator, n: int, nO: int) -> SphereTable:
    """Draw the vectors of the texts in a file that is mapped into memory."""
    values = np.memmap(path, dtype="float32", mode="w+", shape=(n, nO))
    for start in range(0, n, BLOCK):
        end = min(start + BLOCK, n)
        values[start:end] = draw_sphere(rng, end - start, nO)
    return SphereTable(values, np.zeros(n, dtype="float32"))


def _save_state(work: Path, tables: dict[str, Table], done: int, origin: dict[str, Any]) -> None:
    """Write a checkpoint. The one before stays valid until the new one is complete."""
    arrays = {}
    for name, table in tables.items():
        for key, array in table.arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
                shutil.copyfile(work / TEXTS, work / f"{done}-{TEXTS}")
            else:
                arrays[f"{name}.{key}"] = array if isinstance(array, np.ndarray) else array.get()
    write_arrays(work / STATE, ArrayFile({"updates": done, "origin": origin}, arrays))
    for copy in work.glob(f"*-{TEXTS}"):
        if copy.name != f"{done}-{TEXTS}":
            copy.unlink()


def _load_state(work: Path, tables: dict[str, Table]) -> int:
    """Load a checkpoint and return the number of updates before it."""
    state = read_arrays(work / STATE)
    done = int(state.settings["updates"])
    for name, table in tables.items():
        for key, array in table.arrays.items():
            if isinstance(array, np.memmap):
                path = work / f"{done}-{TEXTS}"
                array[:] = np.memmap(path, dtype="float32", mode="r", shape=array.shape)
            elif isinstance(array, np.ndarray):
                array[:] = state.arrays[f"{name}.{key}"]
            else:
                array.set(state.arrays[f"{name}.{key}"])
    return done


def _check_state(work: Path, origin: dict[str, Any]) -> None:
    """Check that there is a checkpoint, of the same settings and text."""
    if not (work / STATE).exists():
        raise ValueError(Errors.E253.format(path=work.parent))
    before = read_arrays(work / STATE).settings["origin"]
    changed = [name for name in origin if origin[name] != before.get(name)]
    if changed:
        lines = ", ".join(f"{name}: {before.get(name)}, now {origin[name]}" for name in changed)
        raise ValueError(Errors.E254.format(path=work.parent, found=lines))


def _make_subword_vectors(settings: VectorSettings) -> Vectors:
    """Make an empty table in floret mode."""
    least, most = NGRAM_SIZES
    return Vectors(
        strings=Vocab().strings,
        mode=VectorsMode.floret,
        data=np.zeros((settings.rows, settings.dim), dtype="float32"),
        minn=least,
        maxn=most,
        hash_count=HASHES,
    )


def _find_pieces(vectors: Vectors, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows whose mean is the vector of each word: see `PieceTable`."""
    n_rows = vectors.shape[0]
    rows: list[int] = []
    lengths = []
    for word in words:
        # spaCy has no public name for the rows of a word. A test compares them with its vectors.
        found = [
            hashed % n_rows
            for ngram in vectors._get_ngrams(word)
            for hashed in vectors._get_ngram_hashes(ngram)
        ]
        rows += found
        lengths.append(len(found))
    return np.array(rows, dtype="int32"), np.concatenate([[0], np.cumsum(lengths)])


def _write_vectors(output: Path, settings: VectorSettings, vocab: NgramVocab, values: Any) -> None:
    """Write a blank pipeline with the vectors."""
    nlp = spacy.blank(settings.lang)
    if settings.subwords:
        table = _make_subword_vectors(settings)
        table.data[:] = values
    else:
        values = unit(values)
        if settings.uses_idf:
            values = values * vocab.idf().reshape(-1, 1)
        keys = [nlp.vocab.strings.add(name) for name in vocab.names]
        table = Vectors(strings=nlp.vocab.strings, data=values, keys=keys)
    table.name = f"{settings.lang}_{settings.mode}_vectors"
    nlp.vocab.vectors = table
    nlp.meta["description"] = (
        f"Vectors trained by `charlm vectors train --mode {settings.mode} --ngrams "
        f"{settings.ngrams}` on {vocab.n_texts:,} texts"
    )
    nlp.to_disk(output)
