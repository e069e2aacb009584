"""Real misspellings from a file, in two parts that share no correct word."""

import random
from pathlib import Path

from ..errors import Errors

TRAINING_SHARE = 0.8  # of the correct words; the rest is for scores


def read_misspellings(
    path: Path, *, share: float = 1.0, rest: bool = False, seed: int = 0
) -> dict[str, list[str]]:
    """Read misspellings, one a line: misspelling, tab, correct word.

    path (Path): The file, such as the Birkbeck corpus (Mitton).
    share (float): Share of the correct words that are taken. 0.8 recommended for training.
    rest (bool): Whether the other words are wanted, such as for scores.
    seed (int): Seed of the division.
    RETURNS (Dict[str, List[str]]): For each correct word, in lower case, what people write.
    RAISES (ValueError): If a line has another form.
    """
    found: dict[str, list[str]] = {}
    with Path(path).open(encoding="utf8") as file_:
        for number, line in enumerate(file_, start=1):
            parts = line.rstrip("\n").split("\t")
            if len(parts) != 2 or not all(parts):
                text = line.rstrip("\n")
                raise ValueError(Errors.E703.format(path=path, line=number, found=text))
            # A token cannot become two words or none.
            if not any(part.isspace() or " " in part for part in parts):
                found.setdefault(parts[1].lower(), []).append(parts[0])
    words = sorted(found)
    random.Random(seed).shuffle(words)
    cut = round(share * len(words))
    return {word: found[word] for word in (words[cut:] if rest else words[:cut])}
