"""`charlm doctor`: what is installed, how fast it is, and how to solve known problems."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from spacy.cli._util import parse_config_overrides, show_validation_error
from spacy.util import load_config
from wasabi import msg

from ..errors import Errors
from .show_errors import show_errors

if TYPE_CHECKING:
    from ..machine import Machine


@show_errors("The doctor cannot run.")
def doctor_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path | None,
        typer.Option("--config", help="Config to check as well", exists=True, dir_okay=False),
    ] = None,
    measure: Annotated[bool, typer.Option(help="Measure matrix products (takes a second)")] = True,
) -> None:
    """Print versions, speed, and solutions of known problems.

    The exit code is 1 if one of the problems is serious. Settings of the config are overridden as
    in spaCy's commands: --initialize.init_tok2vec x.bin
    """
    from ..evaluation.doctor import diagnose
    from ..training.read_config import read_config

    if ctx.args and config_path is None:
        msg.fail("The doctor cannot run.", Errors.E644.format(found=ctx.args[0]), exits=1)
    config = None
    if config_path is not None:
        overrides = parse_config_overrides(ctx.args)
        with show_validation_error(config_path):
            read_config(config_path)
            # The doctor itself finds settings that are unknown.
            config = load_config(config_path, overrides=overrides, interpolate=True)
    machine, findings = diagnose(config, measure=measure)
    show_machine(machine)
    msg.divider("findings")
    for finding in findings:
        if finding.serious:
            msg.fail(finding.text)
        else:
            msg.warn(finding.text)
    n_serious = sum(finding.serious for finding in findings)
    if n_serious:
        msg.fail(f"{n_serious} serious of {len(findings)} findings", exits=1)
    if not findings:
        msg.good("Nothing to fix.")


def show_machine(machine: "Machine") -> None:
    """Print versions, hardware and speed as tables."""
    from ..machine import OPTIONAL, PRODUCT
    from ..report.table import show_rows

    msg.divider("versions")
    rows = [("Python", machine.python)]
    rows += [(name, version or "-") for name, version in machine.versions.items()]
    cupy = ", ".join(f"{name} {version}" for name, version in machine.cupy.items())
    at = len(rows) - len(OPTIONAL)
    show_rows([*rows[:at], ("CuPy", cupy or "-"), *rows[at:]], n_text=2)
    msg.divider("machine")
    threads = ", ".join(f"{name}={value}" for name, value in machine.threads.items())
    blas = machine.blas
    if machine.blas_threads is not None:
        blas += f", threads: {machine.blas_threads}"
    shape = " x ".join(map(str, PRODUCT))
    rows = [
        ("graphics card", machine.card or "-"),
        ("NVIDIA driver", machine.driver or "-"),
        ("NumPy's BLAS", blas),
        ("thinc on the CPU", machine.ops),
        ("usable cores", str(machine.cores)),
        ("set in the environment", threads or "-"),
    ]
    rows += [
        (f"{name}, float32 {shape}", f"{speed:.0f} GFLOP/s")
        for name, speed in machine.gflops.items()
    ]
    show_rows(rows, n_text=2)
