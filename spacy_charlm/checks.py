"""Ranges of settings: written once, in the annotation, and checked whenever the part is built.

spaCy's config validation checks types only, and lets numbers in quotes pass.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from .errors import Errors

F = TypeVar("F", bound=Callable[..., Any])

# spaCy does not check what a block of its own builds, in place of a plain value.
PLAIN: dict[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    str: (str, "text"),
    Path: ((str, Path), "a path"),
}
MAX_VALUES = 2**31  # parameters of a model: 8 GB in float32


@dataclass(frozen=True)
class Range:
    """The values that a number may have, both ends included."""

    least: float
    most: float


@dataclass(frozen=True)
class Block:
    """A block of its own with a registered name.

    example (str): The line with such a name.
    has (Tuple[str, ...]): Attributes of what it builds.
    lacks (Tuple[str, ...]): Attributes that give away a block of another kind.
    """

    example: str
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


Size = Annotated[int, Range(1, 10**8)]
Count = Annotated[int, Range(0, 10**12)]
Length = Annotated[int, Range(1, 1000)]  # of a stretch of characters
Seed = Annotated[int, Range(0, 2**32 - 100)]  # some parts add a small number to it
Share = Annotated[float, Range(0, 1)]

TargetBlock = Annotated[
    Any, Block('@misc = "spacy-charlm.StaticVectors.v1"', ("open", "kind", "unit"))
]
LossBlock = Annotated[Any, Block('@misc = "spacy-charlm.CosineLoss.v1"', ("kind",), ("open",))]
HeadBlock = Annotated[
    Any, Block('@architectures = "spacy-charlm.MaxoutHead.v1"', (), ("kind", "restart", "edit"))
]
MaskingBlock = Annotated[
    Any, Block('@misc = "spacy-charlm.WordMasking.v1"', ("restart",), ("kind",))
]
TableBlock = Annotated[
    Any, Block('@misc = "spacy-charlm.VectorTable.v1"', ("width", "max_words", "fuzzy"))
]
LexiconsBlock = Annotated[Any, Block('@misc = "spacy-charlm.Lexicons.v1"', ("width", "names"))]
CorpusBlock = Annotated[Any, Block('@readers = "spacy-charlm.TextCorpus.v1"', (), ("kind",))]


def checked(part: str) -> Callable[[F], F]:
    """Make a constructor check its arguments against the ranges in its annotations.

    part (str): Registered name of what is built, for the error.
    RETURNS (Callable): The decorator. The constructor then raises a ValueError that names the
        setting.
    """

    def decorate(build: F) -> F:
        signature = inspect.signature(build)
        annotations = {name: p.annotation for name, p in signature.parameters.items()}

        @wraps(build)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                check_setting(part, name, value, annotations[name])
            return build(*args, **kwargs)

        return wrapper  # type: ignore[return-value]

    return decorate


def check_setting(part: str, name: str, value: Any, annotation: Any) -> None:
    """Check a value against the range in an annotation.

    part (str): What the setting belongs to.
    name (str): The setting.
    value (Any): Its value.
    annotation (Any): Such as `Size`, `list[Size]`, `Size | None` or `bool`. Others allow
        everything.
    RAISES (ValueError): If the value is not in the range.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kind, *rules = inner
        for rule in rules:
            if isinstance(rule, Range) and not _is_within(value, kind, rule):
                what = "a whole number" if kind is int else "a number"
                expected = f"{what} from {rule.least:,} to {rule.most:,}"
                raise ValueError(
                    Errors.E560.format(part=part, name=name, expected=expected, found=value)
                )
            if isinstance(rule, Block) and not _is_block(value, rule):
                raise ValueError(
                    Errors.E561.format(part=part, name=name, example=rule.example, found=value)
                )
    elif annotation in PLAIN:
        types, expected = PLAIN[annotation]
        if not isinstance(value, types):
            raise ValueError(
                Errors.E560.format(part=part, name=name, expected=expected, found=value)
            )
    elif type(None) in inner:
        if value is not None:
            check_setting(part, name, value, Path if Path in inner else inner[0])
    elif origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(
                Errors.E560.format(part=part, name=name, expected="a section", found=value)
            )
    elif origin in (list, Sequence):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(
                Errors.E560.format(part=part, name=name, expected="a list", found=value)
            )
        for i, each in enumerate(value):
            check_setting(part, f"{name}[{i}]", each, inner[0])


def check_memory(part: str, **sizes: int) -> None:
    """Check that a model is not larger than any machine.

    part (str): What is built.
    **sizes (int): Numbers of parameters, by the settings that determine them.
    RAISES (ValueError): If there are too many parameters.
    """
    if sum(sizes.values()) > MAX_VALUES:
        name = max(sizes, key=lambda name: sizes[name])
        raise ValueError(
            Errors.E562.format(part=part, most=MAX_VALUES, name=name, found=sum(sizes.values()))
        )


def _is_within(value: Any, kind: type, rule: Range) -> bool:
    number: Any = value
    is_number = isinstance(number, Integral if kind is int else Real)
    return is_number and not isinstance(number, bool) and rule.least <= number <= rule.most


def _is_block(value: Any, rule: Block) -> bool:
    # Not `hasattr`: the width of a target is an error until the target is open.
    has, lacks = (
        [inspect.getattr_static(value, name, None) is not None for name in names]
        for names in (rule.has, rule.lacks)
    )
    return callable(value) and all(has) and not any(lacks)
