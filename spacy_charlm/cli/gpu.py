"""The option --gpu-id."""

from typing import Annotated

import typer
from spacy.cli._util import setup_gpu

from ..errors import Errors

GpuId = Annotated[int, typer.Option("--gpu-id", "-g", help="GPU ID or -1 for CPU", min=-1)]


def use_gpu(gpu_id: int) -> None:
    """Use a GPU from now on.

    gpu_id (int): Its number; -1 for the CPU.
    RAISES (ValueError): If it cannot be used.
    """
    try:
        setup_gpu(gpu_id)
    except (ValueError, RuntimeError) as err:  # CuPy's errors are RuntimeErrors
        raise ValueError(Errors.E664.format(gpu_id=gpu_id, found=err)) from err
