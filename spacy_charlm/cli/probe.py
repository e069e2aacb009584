"""`charlm probe`: a linear classifier on the frozen vectors of a tok2vec."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code, parse_config_overrides, setup_gpu, show_validation_error
from spacy.util import load_config
from wasabi import msg

from .show_errors import show_errors


@show_errors("The probe cannot run.")
def probe_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, typer.Argument(help="Config for spacy pretrain or train", exists=True, dir_okay=False)
    ],
    weights: Annotated[str, typer.Argument(help="Such as pretrain/model-last.bin, or none")],
    train: Annotated[Path, typer.Option(help="Labelled texts to draw from: .jsonl(.gz), .spacy")],
    dev: Annotated[Path | None, typer.Option(help="Labelled texts to score on")] = None,
    n_dev: Annotated[int, typer.Option(help="Without --dev: texts of --train to score on")] = 0,
    task: Annotated[str, typer.Option(help="cats, ents, tag, pos or auto")] = "auto",
    n_labels: Annotated[int, typer.Option(help="Labels per draw, of texts or tokens")] = 1000,
    draws: Annotated[int, typer.Option(help="Number of draws")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of shuffle, folds and weights")] = 0,
    limit_dev: Annotated[int, typer.Option(help="Most texts to score on; 0 for all")] = 0,
    component: Annotated[str | None, typer.Option(help="Component with the tok2vec")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer in its model")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the scores to this .json, .csv or .md file")
    ] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    use_gpu: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """Score a logistic regression on the frozen vectors of a tok2vec.

    Pretrained weights are compared with random weights, target vectors and the most frequent
    label. Settings of the config are overridden as in spaCy's commands:
    --paths.target_vectors vectors.txt.gz
    """
    from ..evaluation.probe import probe
    from ..report.table import check_ending, show_table, write_table

    if output is not None:
        check_ending(output)
    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    setup_gpu(use_gpu)
    weights_path = None if weights == "none" else Path(weights)
    try:
        with show_validation_error(config_path):
            config = load_config(config_path, overrides=overrides, interpolate=True)
            scores = probe(
                config,
                weights_path,
                train,
                dev,
                n_dev=n_dev,
                task=task,
                n_labels=n_labels,
                draws=draws,
                seed=seed,
                limit_dev=limit_dev,
                component=component,
                layer=layer,
            )
    except KeyboardInterrupt:
        msg.warn("Stopped before there was a score; nothing was written.")
        raise typer.Exit(130) from None
    show_table([score for score in scores if score.metric != "C"], "probe")
    if output is not None:
        write_table(
            scores,
            output,
            config=config_path.name,
            weights=None if weights_path is None else weights_path.name,
            overrides={name: Path(str(value)).name for name, value in overrides.items()},
            train=train.name,
            dev=None if dev is None else dev.name,
            seed=seed,
        )
        msg.good(f"Wrote the scores to {output}")
