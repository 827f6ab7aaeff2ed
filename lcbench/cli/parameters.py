"""Types of command-line values that click has not."""

from __future__ import annotations

from math import isfinite
from typing import Any

import click


class Seconds(click.FloatRange):
    """A number of seconds, with or without an s behind it: finite, and within the range given."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number. Fails as a usage error where it is none."""
        number: Any = value.removesuffix("s") if isinstance(value, str) else value
        seconds: float = super().convert(number, parameter, context)
        if not isfinite(seconds):
            self.fail(f"{value} is not a finite number of seconds", parameter, context)
        return seconds


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
