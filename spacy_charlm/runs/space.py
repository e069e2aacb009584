"""The space of a search: settings of a config, and the values that they may take."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors

CHOICES, RANGE, LOG, INTEGERS, WHEN = "choices", "range", "log", "integers", "when"
KINDS = (CHOICES, RANGE, LOG, INTEGERS)

# Values of settings by their dotted paths.
Values = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A setting that a search varies.

    path (str): Its dotted path in the config.
    kind (str): One of KINDS: values to choose from; a range of numbers; a range of numbers whose
        logarithm is drawn evenly; or a range of whole numbers.
    values (List[Any]): The choices, or the two ends of the range.
    when (Mapping[str, List[Any]]): Earlier settings of the space, with the values for which this
        one is varied. Otherwise it keeps the value of the config.
    """

    path: str
    kind: str
    values: list[Any]
    when: Mapping[str, list[Any]] = field(default_factory=dict)

    def is_varied(self, drawn: Values) -> bool:
        """Whether it is varied, given the values of all earlier settings that are."""
        return all(path in drawn and drawn[path] in some for path, some in self.when.items())

    def has(self, value: Any) -> bool:
        """Whether a value is one that may be drawn."""
        if self.kind == CHOICES:
            return value in self.values
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.values[0] <= value <= self.values[1]

    def at(self, share: float) -> Any:
        """Return the value at a share of the range or of the choices, from 0 to below 1."""
        low, high = self.values[0], self.values[-1]
        if self.kind == CHOICES:
            return self.values[int(share * len(self.values))]
        if self.kind == INTEGERS:
            return low + int(share * (high - low + 1))
        if self.kind == LOG:
            return self.shorten(math.exp(math.log(low) + share * math.log(high / low)))
        return self.shorten(low + share * (high - low))

    def shorten(self, x: float) -> float:
        """Round to four digits, within the range: people read and type these numbers."""
        return min(max(float(f"{x:.4g}"), self.values[0]), self.values[1])


class Space:
    """The settings that a search varies.

    settings (Sequence[Setting]): In the order in which they are drawn.
    """

    def __init__(self, settings: Sequence[Setting]) -> None:
        self.settings = list(settings)

    def choose(self, choose: Callable[[Setting], Any]) -> Values:
        """Let a function choose the value of each setting that is varied."""
        drawn: Values = {}
        for setting in self.settings:
            if setting.is_varied(drawn):
                drawn[setting.path] = choose(setting)
        return drawn

    def draw(self, rng: np.random.Generator) -> Values:
        """Draw a value of each setting. What a condition leaves out does not change the others."""
        shares = dict(zip([s.path for s in self.settings], rng.random(len(self.settings))))
        return self.choose(lambda setting: setting.at(shares[setting.path]))

    def describe(self) -> list[dict[str, Any]]:
        """Describe the settings, ready for JSON."""
        return [asdict(setting) for setting in self.settings]


def read_space(section: Mapping[str, Any], path: Path, where: str) -> Space:
    """Read the space of a search.

    section (Mapping[str, Any]): By dotted path in the config, a list of choices, or a section with
        one of `choices`, `range`, `log` and `integers`, and perhaps `when`: other paths of the
        space with a value or a list of values.
    path (Path): The study file, for errors.
    where (str): The part of it, for errors.
    RETURNS (Space): The space.
    RAISES (ValueError): If it is not as described, or empty.
    """

    def check(is_right: bool, dotted: str, expected: str, found: object) -> None:
        if not is_right:
            place = f"{where}, space, {dotted}".rstrip(", ")
            raise ValueError(
                Errors.E677.format(path=path, where=place, expected=expected, found=repr(found))
            )

    settings: list[Setting] = []
    for dotted, found in section.items():
        content: Any = {CHOICES: found} if isinstance(found, list) else found
        check(isinstance(content, dict), dotted, f"a list, or one of {', '.join(KINDS)}", content)
        kinds = [name for name in content if name != WHEN]
        is_known = len(kinds) == 1 and kinds[0] in KINDS
        check(is_known, dotted, f"exactly one of {', '.join(KINDS)}", ", ".join(kinds))
        kind, values = kinds[0], content[kinds[0]]
        check(isinstance(values, list) and len(values) > 0, dotted, "a list of values", values)
        if kind != CHOICES:
            types = int if kind == INTEGERS else int | float
            numbers = [x for x in values if isinstance(x, types) and not isinstance(x, bool)]
            is_range = len(numbers) == len(values) == 2 and values[0] < values[1]
            is_range = is_range and (kind != LOG or values[0] > 0)
            what = "two whole numbers" if kind == INTEGERS else "two numbers"
            what += " above 0" if kind == LOG else ""
            check(is_range, dotted, f"{what}, the smaller one first", values)
        conditions = content.get(WHEN) or {}
        check(isinstance(conditions, dict), dotted, "paths with values in `when`", conditions)
        when = {name: x if isinstance(x, list) else [x] for name, x in conditions.items()}
        earlier = {setting.path: setting for setting in settings}
        for name, some in when.items():
            check(name in earlier, dotted, "earlier settings of the space in `when`", name)
            wrong = [value for value in some if not earlier[name].has(value)]
            check(not wrong, dotted, f"values of `{name}` in `when`", wrong)
        settings.append(Setting(dotted, kind, values, when))
    check(bool(settings), "", "at least one setting", "none")
    return Space(settings)
