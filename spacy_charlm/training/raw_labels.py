"""What labels for raw text have in common: reading the text, writing the folder to train on."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.util import minibatch

from ..errors import Errors
from ..files import make_folder
from ..text.prefetch import BoundedTokenizer
from ..text.read_texts import Text
from ..text.split_texts import split_text

BATCH = 200  # texts at a time
SHARD = 10_000  # texts of a file
LABELLED = "labelled.spacy"
RAW = "raw-{:05d}.spacy"  # sorts after the labelled texts, which are thus read first


class LabelledFolder:
    """A folder for `paths.train` of `spacy train`: labelled texts, then raw ones with labels.

    path (Path): The folder, new or empty.
    RAISES (ValueError): If it has files.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(Errors.E556.format(path=path))
        self.path = path
        self._shard = DocBin()
        self._n_shards = 0

    @contextmanager
    def open(self, docs: Sequence[Doc], repeat: int = 1) -> Iterator[None]:
        """Write the labelled texts and begin with the others. After a failure, nothing is left.

        docs (Sequence[Doc]): The labelled texts.
        repeat (int): How often each of them is written.
        YIELDS (None): While texts are added.
        RAISES (OSError): If the folder cannot be written to.
        """
        make_folder(self.path)
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.path)
            bin_ = DocBin(docs=list(docs) * repeat, store_user_data=True)
            bin_.to_disk(self.path / LABELLED)
            yield
            if len(self._shard):
                self._save()
            stack.pop_all()  # everything is there: keep it

    def add(self, doc: Doc) -> None:
        """Add a raw text with its labels.

        doc (Doc): The text. It is not needed after the call.
        """
        self._shard.add(doc)
        if len(self._shard) >= SHARD:
            self._save()

    def _save(self) -> None:
        self._shard.to_disk(self.path / RAW.format(self._n_shards))
        self._shard, self._n_shards = DocBin(), self._n_shards + 1


def read_batches(
    tokenizers: Sequence[BoundedTokenizer],
    texts: Iterable[Text],
    n_characters: int,
    show: Callable[[float, int], None],
) -> Iterator[list[list[Doc]]]:
    """Tokenise texts in batches, by several tokenizers alike.

    tokenizers (Sequence[BoundedTokenizer]): The tokenizers, with the same `max_length`.
    texts (Iterable[Text]): The texts.
    n_characters (int): Their characters.
    show (Callable[[float, int], None]): Called with the share of the texts that is done, between
        0 and 1, and the number of words.
    YIELDS (List[List[Doc]]): For each tokenizer the Docs of the batch, which must not be used after
        the next one.
    """
    characters = words = 0
    for batch in minibatch(texts, BATCH):
        with ExitStack() as stack:
            for tokenizer in tokenizers:
                stack.enter_context(tokenizer.memory_zone())
            docs = [
                [doc for text in batch for doc in split_text(tokenizer, text, 0)]
                for tokenizer in tokenizers
            ]
            yield docs
            characters += sum(len(doc.text) for doc in docs[0])
            words += sum(map(len, docs[0]))
        show(min(1.0, characters / n_characters), words)


def find_letters(text: str) -> str:
    """Find what identifies a text, however it was split into words.

    text (str): The text.
    RETURNS (str): Its letters and digits in lower case; without any, all but its white space.
    """
    return "".join(filter(str.isalnum, text.lower())) or "".join(text.split())
