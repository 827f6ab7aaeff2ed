"""The axes of a sweep: what can vary, and the values that a user's few characters stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import isfinite, log10, prod

import numpy as np

from lcbench.errors import LcbenchError
from lcbench.losses.implementation import did_you_mean

LEAST = {"rows": 1, "features": 1, "classes": 2, "batch": 1, "threads": 1}
"""What can vary in number, and the least value that makes sense."""

DTYPES = ("float32", "float64")

AXES = (*LEAST, "dtype")

MOST_AXES = 2
"""More make too many points, and no picture."""

POINTS_A_DECADE = 3

MOST_POINTS = 1000
"""In all; more would be measured for hours, and no picture shows them apart."""

MOST = int(np.iinfo(np.intp).max)
"""What an array can have of anything."""

FORMS = "LOW:HIGH, LOW:HIGH:COUNT, lin:LOW:HIGH:COUNT or a list as 1,2,4"

Value = int | str
Point = dict[str, Value]


def parse(texts: Iterable[str]) -> dict[str, list[Value]]:
    """Axes from "NAME=VALUES" each. Raises LcbenchError with one line where one makes no sense."""
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise LcbenchError(f"axis '{text}' has no values: write NAME=VALUES, as in rows=1e2:1e5")
        if name in axes:
            raise LcbenchError(f"axis '{name}' is given twice: list all its values in one")
        axes[name] = values
    return resolve(axes)


def resolve(axes: Mapping[str, str | Iterable[Value]]) -> dict[str, list[Value]]:
    """Every axis with its values in ascending order, each once: those given, or those that a text stands for.

    At most `MOST_POINTS` in all.

    Raises LcbenchError with one line where one makes no sense.
    """
    if not 1 <= len(axes) <= MOST_AXES:
        raise LcbenchError(f"a sweep has one axis or two, not {len(axes)}: choose among {', '.join(AXES)}")
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
    """Every combination of values, the last axis changing fastest."""
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
        if name not in DTYPES:
            raise LcbenchError(f"axis 'dtype' has no value '{name}': there is {' and '.join(DTYPES)}")
    return [name for name in DTYPES if name in names]


def _range(name: str, text: str) -> list[float]:
    even = text.startswith("lin:")
    parts = text.removeprefix("lin:").split(":")
    if len(parts) not in ((3,) if even else (2, 3)):
        raise LcbenchError(f"axis '{name}': '{text}' is no range: write {FORMS}")
    low, high = _number(name, parts[0]), _number(name, parts[1])
    if low >= high:
        raise LcbenchError(f"axis '{name}': '{text}' is no range, since {parts[0]} is not below {parts[1]}")
    count = round(POINTS_A_DECADE * log10(high / low)) + 1 if len(parts) == 2 else round(_number(name, parts[2], 2))
    count = max(2, count)
    if count > MOST_POINTS:  # before they are made
        raise LcbenchError(f"axis '{name}': {_too_many(count)}")
    if even:
        return [float(number) for number in np.linspace(low, high, count)]
    return [float(number) for number in np.geomspace(low, high, count)]


def _number(name: str, text: str, least: int | None = None) -> float:
    least = LEAST[name] if least is None else least
    try:
        number = float(text)
    except ValueError:
        raise LcbenchError(f"axis '{name}': '{text}' is no number: write {FORMS}") from None
    if not isfinite(number) or number != round(number):
        raise LcbenchError(f"axis '{name}': {text} is no whole number")
    if number < least:
        raise LcbenchError(f"axis '{name}': {text} is less than {least}")
    if number >= MOST:
        raise LcbenchError(f"axis '{name}': {text} is more than an array can have")
    return number


def _too_many(count: int) -> str:
    return f"{count:,} points are too many: choose at most {MOST_POINTS:,} in all"
