"""`python -m spacy charlm ...`: one thin command per file over a plain function.

spaCy imports this module at the start of each of its commands, so it imports nothing heavy.
Each command imports its function when it runs.
"""

import typer
from spacy.cli._util import app as spacy_app

from .doctor import doctor_cli
from .init import init_cli
from .inspect import inspect_cli
from .label import label_cli
from .label_entities import label_entities_cli
from .neighbours import neighbours_cli
from .plot import plot_cli
from .pretrain import pretrain_cli
from .probe import probe_cli
from .quantize import quantize_cli
from .reliability import reliability_cli
from .robustness import robustness_cli
from .study import study_cli
from .vectors import cache_cli, distil_cli, train_cli
from .words import words_cli

app = typer.Typer(
    name="charlm",
    help="Character-level pretraining for spaCy.",
    no_args_is_help=True,
)
spacy_app.add_typer(app)


@app.callback()
def main() -> None:
    """Character-level pretraining for spaCy."""


# Options that the command does not have override the config, as in spaCy's own commands.
OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("init", context_settings=OVERRIDES)(init_cli)
app.command("pretrain", context_settings=OVERRIDES)(pretrain_cli)
app.command("label")(label_cli)
app.command("label-entities")(label_entities_cli)
app.command("study")(study_cli)
app.command("probe", context_settings=OVERRIDES)(probe_cli)
app.command("inspect", context_settings=OVERRIDES)(inspect_cli)
app.command("doctor", context_settings=OVERRIDES)(doctor_cli)
app.command("plot")(plot_cli)
app.command("neighbours")(neighbours_cli)
app.command("words")(words_cli)
app.command("robustness")(robustness_cli)
app.command("reliability")(reliability_cli)
app.command("quantize")(quantize_cli)
vectors = typer.Typer(help="Train vectors, or compute them by a transformer", no_args_is_help=True)
vectors.command("train")(train_cli)
vectors.command("cache", context_settings=OVERRIDES)(cache_cli)
vectors.command("distil")(distil_cli)
app.add_typer(vectors, name="vectors")
