r"""Write the WNUT-17 entities as .spacy files, and the raw text to pretrain on.

train.spacy  nine tenths of train.conll (a draw with a seed)
stop.spacy   the other tenth, for early stopping
dev.spacy    dev.conll, for the figures
raw.jsonl    the unlabelled posts, where the file is present, and the first of the IMDB reviews
posts.jsonl  the unlabelled posts alone

The unlabelled posts are those without the posts of dev, so that dev is new to every pipeline.

A line of the .conll files is token TAB BIO tag; a sentence ends at a line with nothing else than
white space. The given tokens are kept: read the files with `gold_preproc = true`.
"""

import gzip
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from wasabi import msg

CLOSING = frozenset([*".,;:!?)]}%…’”", "...", "!!", "!!!", "??", "?!"])
CLITICS = frozenset("'s 'm 're 've 'll 'd n't ’s ’m ’re ’ve ’ll ’d n’t".split())
OPENING = frozenset("([{$#“‘")

Sentence = tuple[list[str], list[str]]


def main(
    data: Annotated[Path, typer.Argument(help="Folder with wnut17/ and imdb/", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
    n_imdb: Annotated[int, typer.Option(help="IMDB reviews to add to the raw text")] = 20_000,
    n_raw: Annotated[int, typer.Option(help="Posts to read; 0 for all")] = 0,
    stop_share: Annotated[float, typer.Option(help="Share of train for early stopping")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split")] = 0,
) -> None:
    """Read, split, write."""
    output.mkdir(parents=True, exist_ok=True)
    vocab = spacy.blank("en").vocab
    try:
        train = list(read_conll(data / "wnut17" / "train.conll"))
        dev = list(read_conll(data / "wnut17" / "dev.conll"))
    except (OSError, ValueError) as error:
        msg.fail(str(error), "`python -m spacy project assets` fetches the files", exits=1)
    stop, train = split_sentences(train, stop_share, seed)
    for name, sentences in (("train", train), ("stop", stop), ("dev", dev)):
        docs = [make_doc(vocab, *sentence) for sentence in sentences]
        DocBin(docs=docs).to_disk(output / f"{name}.spacy")
        n_ents = sum(len(doc.ents) for doc in docs)
        msg.good(f"{len(docs):,} sentences, {n_ents:,} entities: {output / name}.spacy")
    raw, imdb = data / "wnut17" / "raw.txt.gz", data / "imdb" / "unlabelled.jsonl.gz"
    texts: list[str] = []
    if raw.is_file():
        with gzip.open(raw, "rt", encoding="utf8") as file:
            lines = (line.strip() for line in file)
            known = {find_letters("".join(words)) for words, _ in dev} - {""}
            new = (line for line in lines if line and find_letters(line) not in known)
            texts += islice(new, n_raw or None)
    else:
        msg.warn(f"No {raw}: the raw text is IMDB alone")
    n_posts = len(texts)
    srsly.write_jsonl(output / "posts.jsonl", ({"text": text} for text in texts))
    if n_imdb:
        with gzip.open(imdb, "rt", encoding="utf8") as file:
            texts += (srsly.json_loads(line)["text"] for line in islice(file, n_imdb))
    srsly.write_jsonl(output / "raw.jsonl", ({"text": text} for text in texts))
    n_reviews = len(texts) - n_posts
    msg.good(f"{n_posts:,} posts and {n_reviews:,} reviews: {output / 'raw.jsonl'}")


def find_letters(text: str) -> str:
    """Return the letters and digits of a text in lower case: the same however it is tokenised."""
    return "".join(filter(str.isalnum, text.lower()))


def read_conll(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    path (Path): token TAB tag, one a line; white space alone ends a sentence.
    YIELDS (tuple[list[str], list[str]]): Words and BIO tags.
    RAISES (ValueError): If a line is of another form.
    """
    words: list[str] = []
    tags: list[str] = []
    with path.open(encoding="utf8", newline="\n") as file:
        for i, line in enumerate(file):
            if not line.strip():
                if words:
                    yield words, tags
                words, tags = [], []
                continue
            word, _, tag = line.strip("\r\n").partition("\t")
            if not word.strip() or not (tag == "O" or (tag[:2] in ("B-", "I-") and tag[2:])):
                raise ValueError(
                    f"{path}, line {i + 1}: expected a token, a tab and O, B-... or I-..., "
                    f"found {line!r}"
                )
            # spaCy takes an I- without its entity's beginning as an error
            if tag[:2] == "I-" and (not tags or tags[-1][2:] != tag[2:]):
                tag = f"B-{tag[2:]}"
            words.append(word)
            tags.append(tag)
    if words:
        yield words, tags


def make_doc(vocab: Vocab, words: list[str], tags: list[str]) -> Doc:
    """Build a Doc of the given words, with the white space that usually stands between them.

    vocab (Vocab): The Doc's vocab.
    words (list[str]): The tokens.
    tags (list[str]): Their BIO tags.
    RETURNS (Doc): With entities.
    """
    return Doc(vocab, words=words, spaces=guess_spaces(words), ents=tags)


def guess_spaces(words: list[str]) -> list[bool]:
    """Tell after which words white space stands: not before marks that close, nor after opening.

    words (list[str]): The tokens of one sentence.
    RETURNS (list[bool]): One value a token; the last is False.
    """
    spaces = [True] * len(words)
    is_open = False
    for i, word in enumerate(words):
        if word in CLOSING or word.lower() in CLITICS:
            spaces[i - 1] = False
        if word in OPENING:
            spaces[i] = False
        elif word == '"':
            # the first of two straight quotes opens, the second closes
            spaces[i if not is_open else i - 1] = False
            is_open = not is_open
    if spaces:
        spaces[-1] = False
    return spaces


def split_sentences(
    sentences: list[Sentence], share: float, seed: int
) -> tuple[list[Sentence], list[Sentence]]:
    """Draw a share of the sentences; both parts keep the order of the file.

    sentences (list): All of them.
    share (float): Share of the first part, 0 to 1.
    seed (int): Seed of the draw.
    RETURNS (tuple[list, list]): The drawn ones and the others.
    """
    drawn = set(random.Random(seed).sample(range(len(sentences)), round(share * len(sentences))))
    parts: tuple[list[Sentence], list[Sentence]] = ([], [])
    for i, sentence in enumerate(sentences):
        parts[i not in drawn].append(sentence)
    return parts


if __name__ == "__main__":
    typer.run(main)
