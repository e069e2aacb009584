"""`charlm probe`: a linear classifier on the frozen vectors of a tok2vec."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
from wasabi import msg

from .gpu import GpuId, use_gpu
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
    n_dev: Annotated[
        int, typer.Option(help="Without --dev: texts of --train to score on", min=0)
    ] = 0,
    task: Annotated[str, typer.Option(help="cats, ents, tag, pos or auto")] = "auto",
    n_labels: Annotated[
        int, typer.Option(help="Labels per draw, of texts or tokens", min=1)
    ] = 1000,
    draws: Annotated[int, typer.Option(help="Number of draws", min=1)] = 3,
    seed: Annotated[
        int, typer.Option(help="Seed of shuffle, folds and weights", min=0, max=2**31)
    ] = 0,
    limit_dev: Annotated[int, typer.Option(help="Most texts to score on; 0 for all", min=0)] = 0,
    component: Annotated[str | None, typer.Option(help="Component with the tok2vec")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer in its model")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the scores to this .json, .csv or .md file")
    ] = None,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Score a logistic regression on the frozen vectors of a tok2vec.

    Pretrained weights are compared with random weights, target vectors and the most frequent
    label. Settings of the config are overridden as in spaCy's commands:
    --paths.target_vectors vectors.txt.gz
    """
    from ..evaluation.probe import probe
    from ..report.table import check_ending, show_table, write_table
    from ..training.read_config import read_config

    if output is not None:
        check_ending(output)
    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    use_gpu(gpu_id)
    weights_path = None if weights == "none" else Path(weights)
    try:
        with show_validation_error(config_path):
            config = read_config(config_path, overrides, interpolate=True)
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
