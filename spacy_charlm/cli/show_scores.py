"""Rank scores as a table in the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from wasabi import msg

from ..evaluation.rank_scores import RankScore

# Header and format of each field of a score.
COLUMNS = {
    "band": ("place of the word", "{}"),
    "words": ("words", "{:,}"),
    "p_at_1": ("P@1", "{:.1%}"),
    "p_at_10": ("P@10", "{:.1%}"),
    "mrr": ("MRR", "{:.3f}"),
    "cosine": ("cosine", "{:.3f}"),
    "perplexity": ("perplexity", "{:,.0f}"),
}


def show_scores(title: str, scores: Mapping[str, Sequence[RankScore]]) -> None:
    """Print scores, those of each name below the others'.

    title (str): What was looked for.
    scores (Mapping[str, Sequence[RankScore]]): By the name of what was scored.
    """
    msg.divider(title)
    rows = [(name, asdict(score)) for name, found in scores.items() for score in found]
    if not rows:
        msg.warn("There are none of the table's words")
        return
    fields = list(rows[0][1])
    msg.table(
        [(name, *(COLUMNS[field][1].format(row[field]) for field in fields)) for name, row in rows],
        header=("name", *(COLUMNS[field][0] for field in fields)),
        divider=True,
        aligns=("l", "l", *"r" * (len(fields) - 1)),
    )
