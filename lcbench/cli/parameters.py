"""Types of command-line values that click has not."""

from __future__ import annotations

import re
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    from lcbench.learn.search.points import Axis


class Finite(click.FloatRange):
    """A finite number within a range."""

    name = "number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        number: float = super().convert(value, parameter, context)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number", parameter, context)
        return number


class Seconds(Finite):
    """A number of seconds, with or without an s behind it."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        return super().convert(value.removesuffix("s") if isinstance(value, str) else value, parameter, context)


class Share(click.ParamType):
    """A share from 0 to below 1, written 5% or 0.05."""

    name = "share"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"'{value}' is not a share: write 5% or 0.05", parameter, context)
        if not 0 <= number < 1:
            self.fail(f"'{value}' is outside 0..100 %: write 5% or 0.05", parameter, context)
        return number


SHARE = Share()


class Count(click.ParamType):
    """A whole number above 0, written 5000000, 5_000_000, 5M, 500k or 1e6."""

    name = "count"
    _TIMES = {"k": 10**3, "m": 10**6, "g": 10**9}  # noqa: RUF012

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number. Fails as a usage error where it is none."""
        text = str(value).strip().lower()
        times = self._TIMES.get(text[-1:], 1)
        try:
            number = Fraction(text[:-1] if times > 1 else text) * times
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if number < 1 or number.denominator > 1:
            self.fail(f"'{value}' is no whole number above 0: write 50000, 500k, 5M or 1e6", parameter, context)
        return int(number)


COUNT = Count()


class Counts(click.ParamType):
    """Whole numbers above 0, separated by commas; each is written as `Count` says."""

    name = "counts"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        """The numbers. Fails as a usage error where they are none, or could be one with commas at its thousands."""
        if isinstance(value, tuple):
            return value
        texts = str(value).split(",")
        if (
            len(texts) > 1
            and len(texts[0].strip()) <= 3
            and all(re.fullmatch(r"\s*\d{3}\s*", text) for text in texts[1:])
        ):
            self.fail(
                f"'{value}' could be one number or several: write {''.join(texts)}, or repeat the option",
                parameter,
                context,
            )
        return tuple(COUNT.convert(text, parameter, context) for text in texts)


COUNTS = Counts()


def joined(context: click.Context, option: click.Parameter, values: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """What a repeated option of `COUNTS` was given, as one: its callback."""
    return tuple(number for numbers in values for number in numbers)


class AxisType(click.ParamType):
    """Values, "1e-7,5e-7", or a range that is even in the logarithm, "1e-8:1e-6:5" or "1e-8:1e-6"."""

    name = "list"

    def __init__(self, whole: bool = False, zero: bool = False) -> None:
        self.whole, self.zero = whole, zero

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Axis:
        """The axis. Fails as a usage error where it is none."""
        from lcbench.learn.search.points import Range

        if not isinstance(value, str):
            axis: Axis = value
            return axis
        if ":" not in value:
            return [self._number(text, parameter, context) for text in value.split(",")]
        ends = value.split(":")
        if len(ends) > 3:
            self.fail(f"'{value}' is no range: write LOW:HIGH:COUNT", parameter, context)
        if len(ends) == 3 and not ends[2].strip().isdecimal():
            self.fail(f"'{ends[2]}' in '{value}' is no number of values: write LOW:HIGH:COUNT", parameter, context)
        low, high = (self._number(text, parameter, context) for text in ends[:2])
        try:
            return Range(low, high, int(ends[2]) if len(ends) == 3 else None)
        except LcbenchError as error:
            self.fail(str(error), parameter, context)

    def _number(self, text: str, parameter: click.Parameter | None, context: click.Context | None) -> float:
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            kind = "whole number" if self.whole else "number"
            self.fail(f"'{text.strip()}' is no {kind}: write 1,2,3 or LOW:HIGH:COUNT", parameter, context)
        if not isfinite(number) or number < 0 or (number == 0 and not self.zero):
            self.fail(f"{text.strip()} is not {'0 or more' if self.zero else 'above 0'}", parameter, context)
        return number
