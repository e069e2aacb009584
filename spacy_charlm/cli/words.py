"""`charlm words`: which words a pipeline with charlm_lmfao sees behind masks."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .show_errors import show_errors


@show_errors("The words cannot be scored.")
def words_cli(
    pipeline: Annotated[str, typer.Argument(help="Pipeline with charlm_lmfao")],
    text: Annotated[Path, typer.Argument(help="Held-out text: .txt, .jsonl, .spacy, a folder")],
    limit: Annotated[int, typer.Option(help="Texts at most; 0 for all")] = 1_000,
    rate: Annotated[float, typer.Option(help="Share of the words to hide")] = 0.15,
    seed: Annotated[int, typer.Option(help="Which words are hidden", min=0)] = 0,
    misspellings: Annotated[
        Path | None,
        typer.Option(
            help="Score suggestions for these: misspelling TAB word; a fifth of the words counts",
            exists=True,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the scores there, as JSON")] = None,
) -> None:
    """Hide words of held-out texts, and score how well the pipeline finds them; correct spellings.

    Every word of the component's table is a candidate. The perplexity is that of a softmax of the
    cosines, its temperature fitted on every other text; a table of n words that knew nothing would
    have a perplexity of n.
    """
    from dataclasses import asdict

    import spacy
    import srsly

    from ..errors import Errors
    from ..evaluation.word_prediction import score_masked_words, score_suggestions
    from ..pipeline.lmfao import CharlmLMFAO
    from ..text.text_corpus import create_text_corpus_v1
    from ..training.progress import ShowProgress
    from .show_scores import show_scores

    nlp = spacy.load(pipeline)
    component = next((p for _, p in nlp.pipeline if isinstance(p, CharlmLMFAO)), None)
    if component is None:
        raise ValueError(Errors.E748.format(path=pipeline, found=", ".join(nlp.pipe_names)))
    docs = list(create_text_corpus_v1(text, limit=limit)(nlp))
    n_words = sum(map(len, docs))
    bar = ShowProgress("Reading")
    found = score_masked_words(
        component,
        docs,
        rate=rate,
        seed=seed,
        show=lambda words: bar.update(words / max(1, n_words), words),
    )
    bar.close(done=True)
    suggested = []
    if misspellings is not None:
        bar = ShowProgress("Spelling")
        suggested = score_suggestions(component, misspellings, bar.update)
        bar.close(done=True)
    show_scores("masked words", {Path(pipeline).name: found.scores})
    msg.info(
        f"{found.candidates:,} candidates; {found.no_target:.1%} of the masked words are none of "
        f"them and do not count; temperature {found.temperature:.3f}"
    )
    if misspellings is not None:
        show_scores("suggestions for misspelled words", {Path(pipeline).name: suggested})
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = {**asdict(found), "suggestions": [asdict(score) for score in suggested]}
        srsly.write_json(output, content)
        msg.good(f"Wrote the scores to {output}")
