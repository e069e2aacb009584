"""Adam whose schedules advance by themselves, with a slower or later start for single layers."""

from collections.abc import Iterable
from typing import Any

from spacy.language import Language
from thinc.api import Model, Optimizer

from ..errors import Errors

ADAM = "spacy-charlm.Adam.v1"
# `spacy train` creates its optimizer after the pipeline has been initialised, and an optimizer gets
# only the id of a layer. So factors and delays set during initialisation are kept here. Ids are
# unique.
_LEARN_RATE_SCALES: dict[int, tuple[float, int]] = {}


def scale_learn_rate(layer: Model, scale: float, delay: int = 0) -> None:
    """Set a factor on the learning rate of a layer and all its sublayers.

    layer (Model): The layer, such as a pretrained tok2vec.
    scale (float): Factor on the learning rate, in every `spacy-charlm.Adam.v1`.
    delay (int): First updates of a training in which the layer stays as it is.
    """
    _LEARN_RATE_SCALES.update((node.id, (scale, delay)) for node in layer.walk())


def check_optimizer(nlp: Language, scale: float) -> None:
    """Check that `spacy train` will apply what `scale_learn_rate` sets.

    nlp (Language): The pipeline.
    scale (float): The factor.
    RAISES (ValueError): If the factor is negative, or the optimizer of [training] is another one.
    """
    optimizer = nlp.config["training"].get("optimizer", {}).get("@optimizers")
    if scale < 0 or optimizer != ADAM:
        raise ValueError(Errors.E507.format(scale=scale, found=optimizer, expected=ADAM))


class SelfSteppingOptimizer(Optimizer):
    """An optimizer that advances its schedules once per update of the model.

    `spacy pretrain` never calls `step_schedules`, so a learning rate that warms up from zero stays
    at zero. This optimizer steps them itself as soon as any parameter is updated again.
    `scale_learn_rate` sets factors on the learning rates of single layers, and delays.
    """

    def __init__(self, learn_rate: Any, **settings: Any) -> None:
        self._steps = 0
        super().__init__(learn_rate, **settings)

    def __call__(self, key: tuple[int, str], weights: Any, gradient: Any, **kwargs: Any) -> Any:
        """Update one parameter: see `thinc.optimizers.Optimizer`."""
        if self.nr_update[key] > self._steps:
            self._steps = self.nr_update[key]
            super().step_schedules()
        if self.averages is not None and key not in self.averages:
            # thinc starts them at zero, which the first evaluation of `spacy train` would see.
            self.averages[key] = weights.copy()
        scale, delay = _LEARN_RATE_SCALES.get(key[0], (1.0, 0))
        scale *= kwargs.pop("lr_scale", 1.0) * (self._steps >= delay)
        return super().__call__(key, weights, gradient, lr_scale=scale, **kwargs)

    def step_schedules(self) -> None:
        """Do nothing: `spacy train` calls this after each update, which has already stepped."""


def finish_update(model: Model, optimizer: Optimizer) -> None:
    """Update a model by its gradients, and step schedules that do not step themselves.

    model (Model): The model.
    optimizer (Optimizer): Any optimizer of thinc.
    """
    before = _count_updates(optimizer)
    model.finish_update(optimizer)
    # Before any parameter has a gradient, there is no update: see SelfSteppingOptimizer.
    if _count_updates(optimizer) > before:
        optimizer.step_schedules()


def get_steps(optimizer: Optimizer) -> int:
    """Return how many steps the schedules of an optimizer have made.

    optimizer (Optimizer): Any optimizer of thinc.
    RETURNS (int): The steps. For optimizers of thinc this is the number of updates.
    """
    if isinstance(optimizer, SelfSteppingOptimizer):
        return optimizer._steps
    return _count_updates(optimizer)


def set_steps(optimizer: Optimizer, steps: int) -> None:
    """Advance the schedules of a new optimizer to a step.

    optimizer (Optimizer): A new optimizer.
    steps (int): Number of steps, from `get_steps`.
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

    The arguments are those of `Adam.v1`. Only the learning rate can be a schedule.

    learn_rate (float | Iterable[float]): Learning rate or schedule, one step per update.
    L2 (float): L2 regularisation. Recommended values: 0 to 0.01.
    beta1 (float): Decay rate of the first moment.
    beta2 (float): Decay rate of the second moment.
    eps (float): Added to the denominator, so that it is never zero.
    grad_clip (float): Maximum norm of the gradient of one parameter; 0 disables clipping.
    L2_is_weight_decay (bool): Whether L2 is applied as weight decay, as in AdamW.
    use_averages (bool): Whether to keep a moving average of the parameters, which is then saved.
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
