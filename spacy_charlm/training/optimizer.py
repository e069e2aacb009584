"""Adam whose schedules advance by themselves, and which lets pretrained layers learn slowly."""

from collections.abc import Iterable
from typing import Any

from thinc.api import Model, Optimizer

# An optimizer sees the id of a layer and never the layer; `spacy train` makes its optimizer after
# the pipeline is initialised, so what is said there of a layer has to wait here. Ids are unique.
_LEARN_RATE_SCALES: dict[int, float] = {}


def scale_learn_rate(layer: Model, scale: float) -> None:
    """Let a layer and all within it learn at another rate than the rest.

    layer (Model): Such as a pretrained tok2vec.
    scale (float): Factor on the learning rate of every `spacy-charlm.Adam.v1`.
    """
    _LEARN_RATE_SCALES.update((node.id, scale) for node in layer.walk())


class SelfSteppingOptimizer(Optimizer):
    """An optimizer that advances its schedules once per update of the model.

    `spacy pretrain` never calls `step_schedules`, so that a learning rate which warms up from zero
    stays there for ever. Here the next update, told by a parameter that comes round again, does.
    Layers named to `scale_learn_rate` learn at their own rate.
    """

    def __init__(self, learn_rate: Any, **settings: Any) -> None:
        self._steps = 0
        super().__init__(learn_rate, **settings)

    def __call__(self, key: tuple[int, str], weights: Any, gradient: Any, **kwargs: Any) -> Any:
        """Update one parameter: see `thinc.optimizers.Optimizer`."""
        if self.nr_update[key] > self._steps:
            self._steps = self.nr_update[key]
            super().step_schedules()
        scale = kwargs.pop("lr_scale", 1.0) * _LEARN_RATE_SCALES.get(key[0], 1.0)
        return super().__call__(key, weights, gradient, lr_scale=scale, **kwargs)

    def step_schedules(self) -> None:
        """Do nothing: `spacy train` calls this after each update, which has stepped already."""


def finish_update(model: Model, optimizer: Optimizer) -> None:
    """Update a model by its gradients, and advance the schedules of an optimizer that does not.

    model (Model): The model.
    optimizer (Optimizer): Any optimizer of thinc.
    """
    before = _count_updates(optimizer)
    model.finish_update(optimizer)
    # As in our own: where no parameter had a gradient yet, there was no update.
    if _count_updates(optimizer) > before:
        optimizer.step_schedules()


def get_steps(optimizer: Optimizer) -> int:
    """Count how often the schedules of an optimizer have advanced.

    optimizer (Optimizer): Any optimizer of thinc.
    RETURNS (int): The steps; those of thinc's own are its updates.
    """
    if isinstance(optimizer, SelfSteppingOptimizer):
        return optimizer._steps
    return _count_updates(optimizer)


def set_steps(optimizer: Optimizer, steps: int) -> None:
    """Advance the schedules of a fresh optimizer to a step.

    optimizer (Optimizer): A fresh optimizer.
    steps (int): What `get_steps` returned.
    """
    for _ in range(steps):
        Optimizer.step_schedules(optimizer)
    if isinstance(optimizer, SelfSteppingOptimizer):
        optimizer._steps = steps


def _count_updates(optimizer: Optimizer) -> int:
    return max(optimizer.nr_update.values(), default=0)


def create_adam_v1(
    learn_rate: float | list[float] | Iterable[float] = 0.001,
    L2: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    grad_clip: float = 1.0,
    L2_is_weight_decay: bool = True,
    use_averages: bool = True,
) -> Optimizer:
    """Create thinc's Adam with schedules that also advance in `spacy pretrain`.

    The arguments are those of `Adam.v1`, schedules are allowed for the learning rate.

    learn_rate (float | Iterable[float]): Learning rate or schedule, one step per update.
    L2 (float): Regularisation.
    beta1 (float): Decay of the first moment.
    beta2 (float): Decay of the second moment.
    eps (float): Keeps the division by the second moment finite.
    grad_clip (float): Longest gradient of one parameter; 0 clips none.
    L2_is_weight_decay (bool): Whether L2 decays the weights, as in AdamW.
    use_averages (bool): Whether averaged parameters are kept; they are what is saved.
    RETURNS (Optimizer): The optimizer.
    """
    return SelfSteppingOptimizer(
        learn_rate,
        L2=L2,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        grad_clip=grad_clip,
        L2_is_weight_decay=L2_is_weight_decay,
        use_averages=use_averages,
    )
