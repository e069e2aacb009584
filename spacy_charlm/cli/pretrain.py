"""`charlm pretrain`: pretraining that can be stopped, resumed, watched and evaluated."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from spacy.cli._util import import_code, parse_config_overrides, show_validation_error
from wasabi import msg

from .gpu import GpuId, use_gpu
from .show_errors import show_errors

if TYPE_CHECKING:
    from ..training.worker import Trainer


@show_errors("The pretraining cannot continue.")
def pretrain_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, typer.Argument(help="Config, as for spacy pretrain", exists=True, dir_okay=False)
    ],
    output: Annotated[Path, typer.Argument(help="Folder for weights, log and checkpoints")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint")] = False,
    init: Annotated[Path | None, typer.Option(help="Weights to start from")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check and measure")] = False,
    workers: Annotated[int, typer.Option(help="Ray processes per update", min=1)] = 1,
    prefetch: Annotated[int, typer.Option(help="Processes that tokenise ahead", min=0)] = 0,
    code_path: Annotated[Path | None, typer.Option("--code", "-c", help="Code to import")] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Pretrain a tok2vec, as spacy pretrain does, with evaluation, checkpoints and resume.

    Writes model-last.bin and, with development texts, model-best.bin for spacy train, a log and
    checkpoints. Override settings of the config as in spaCy: --paths.raw_text texts.jsonl
    """
    from ..report.table import show_rows
    from ..training.crew import Crew
    from ..training.pretrain import LAST, LOG, pretrain
    from ..training.pretrain import dry_run as run_dry
    from ..training.read_config import read_config
    from ..training.worker import Worker

    overrides = parse_config_overrides(ctx.args)
    import_code(code_path)
    use_gpu(gpu_id)
    try:
        with show_validation_error(config_path):
            config = read_config(config_path, overrides)
            if workers > 1:
                trainer: Trainer = Crew(
                    config,
                    init,
                    n_workers=workers,
                    prefetch=prefetch,
                    use_gpu=gpu_id >= 0,
                    code=code_path,
                )
            else:
                trainer = Worker(config, init, prefetch=prefetch)
        try:
            if dry_run:
                show_rows(run_dry(trainer), n_text=1)
                return
            outcome = pretrain(trainer, output, resume=resume)
        finally:
            trainer.close()
    except KeyboardInterrupt:
        msg.warn(f"Stopped without saving. Add --resume to continue from a checkpoint: {output}")
        raise typer.Exit(130) from None
    _plot(output / LOG)
    if outcome.stopped:
        msg.warn(f"Stopped and saved. Add --resume to the same command to continue: {output}")
        raise typer.Exit(130)
    msg.good(
        f"{outcome.progress.words:,} words in {outcome.progress.step:,} updates", output / LAST
    )


def _plot(log: Path) -> None:
    """Draw the learning curves if the extra for it is installed."""
    from ..report.learning_curve import plot_logs
    from ..training.pretrain import CURVE

    picture = log.with_name(CURVE)
    if not log.stat().st_size:
        return  # the run was stopped before the first line
    try:
        plot_logs([log], picture)
    except (ImportError, OSError) as err:
        msg.info(str(err))
    else:
        msg.info(f"Learning curves: {picture}")
