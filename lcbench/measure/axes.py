"""Axes of a sweep: the quantities that can vary, and how a text such as ``rows=1e2:1e5`` is expanded into values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import isfinite, log10, prod

import numpy as np

from lcbench.errors import LcbenchError
from lcbench.losses.implementation import did_you_mean
from lcbench.ranges import ITEMSIZES, RANGES, Bounds

NUMERIC = ("rows", "features", "classes", "batch", "threads")
"""Axes whose values are numbers, in the ranges of the settings of these names."""

AXES = (*NUMERIC, "dtype")

MOST_AXES = 2

MOST_POINTS = int(RANGES["points"].high)
"""Maximum number of points of a sweep."""

POINTS_PER_DECADE = 3

FORMS = "LOW:HIGH, LOW:HIGH:COUNT, lin:LOW:HIGH:COUNT or a list as 1,2,4"

Value = int | str
Point = dict[str, Value]


def parse(texts: Iterable[str]) -> dict[str, list[Value]]:
    """Return the axes given as "NAME=VALUES" each.

    Raise LcbenchError with one line if a name or a value is invalid.
    """
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise LcbenchError(f"axis '{text}' has no values: write NAME=VALUES, as in rows=1e2:1e5")
        if name in axes:
            raise LcbenchError(f"axis '{name}' is given twice: give all its values at once")
        axes[name] = values
    return resolve(axes)


def resolve(axes: Mapping[str, str | Iterable[Value]]) -> dict[str, list[Value]]:
    """Return every axis with its distinct values in ascending order, from a text or from the values themselves.

    Raise LcbenchError with one line if a name or a value is invalid, or if the axes have more than `MOST_POINTS` points
    together.
    """
    if not 1 <= len(axes) <= MOST_AXES:
        raise LcbenchError(f"a sweep has one or two axes, not {len(axes)}: choose among {', '.join(AXES)}")
    for name in axes:
        if name not in AXES:
            hint = did_you_mean(name, AXES, f"there is {', '.join(AXES)}")
            raise LcbenchError(f"no axis '{name}': {hint}")
    values = {name: _values(name, given) for name, given in axes.items()}
    count = prod(map(len, values.values()))
    if count > MOST_POINTS:
        raise LcbenchError(_too_many(count))
    return values


def points(axes: Mapping[str, list[Value]]) -> list[Point]:
    """Return all combinations of values; the last axis changes fastest."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _values(name: str, given: str | Iterable[Value]) -> list[Value]:
    if name == "dtype":
        return _dtypes(given)
    if isinstance(given, str):
        numbers = _range(name, given) if ":" in given else [_number(name, text) for text in given.split(",")]
    else:
        numbers = [_number(name, str(value)) for value in given]
    values = sorted({round(number) for number in numbers})
    if not values:
        raise LcbenchError(f"axis '{name}' has no values: write {FORMS}")
    return list(values)


def _dtypes(given: str | Iterable[Value]) -> list[Value]:
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
    for name in names:
        if name not in ITEMSIZES:
            raise LcbenchError(f"axis 'dtype' has no value '{name}': there is {', '.join(ITEMSIZES)}")
    return [name for name in ITEMSIZES if name in names]


def _range(name: str, text: str) -> list[float]:
    """Return the values of LOW:HIGH or LOW:HIGH:COUNT (geometric), or of lin:LOW:HIGH:COUNT (linear)."""
    linear = text.startswith("lin:")
    parts = text.removeprefix("lin:").split(":")
    if len(parts) not in ((3,) if linear else (2, 3)):
        raise LcbenchError(f"axis '{name}': '{text}' is not a range: write {FORMS}")
    low, high = _number(name, parts[0]), _number(name, parts[1])
    if low >= high:
        raise LcbenchError(f"axis '{name}': '{text}' is not a range, since {parts[0]} is not below {parts[1]}")
    count = (
        round(POINTS_PER_DECADE * log10(high / low)) + 1 if len(parts) == 2 else round(_number(name, parts[2], _COUNTS))
    )
    count = max(2, count)
    if count > MOST_POINTS:  # before an array of that length is allocated
        raise LcbenchError(f"axis '{name}': {_too_many(count)}")
    spaced = np.linspace if linear else np.geomspace
    return [float(number) for number in spaced(low, high, count)]


_COUNTS = Bounds(2, 10**18)
"""Numbers of values for which there is a message about the number of points."""


def _number(name: str, text: str, bounds: Bounds | None = None) -> float:
    """Return the integer that `text` means, which must be within `bounds` (None: the range of the axis)."""
    bounds = bounds or RANGES[name]
    try:
        number = float(text)
    except ValueError:
        raise LcbenchError(f"axis '{name}': '{text}' is not a number: write {FORMS}") from None
    if not isfinite(number) or number != round(number):
        raise LcbenchError(f"axis '{name}': {text} is not an integer")
    if number not in bounds:
        raise LcbenchError(f"axis '{name}': {text} is not {bounds}")
    return number


def _too_many(count: int) -> str:
    return f"{count:,} points are too many: choose at most {MOST_POINTS:,} in all"
