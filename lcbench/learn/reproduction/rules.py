"""The words by which a figure is judged, and the limits that they set.

====================  ==================================================================
``exact``             the very number
``5 decimals``        half a unit of the fifth decimal to either side
``5 digits``          half a unit of the fifth significant digit to either side
``within 0.1``        so far to either side
``relative 1e-4``     that share of the number to either side
``0.37..0.395``       from, to
``at most 1e-6``      or exactly that
``at least 1e5``      or exactly that
``below 1``           less than that
``above 1``           more than that
``shown``             any number: told, not judged
====================  ==================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import floor, inf, isnan, log10, nextafter

_RULES = re.compile(
    r"(?P<exact>exact)|(?P<shown>shown)"
    r"|(?P<decimals>\d+) decimals?|(?P<digits>\d+) digits"
    r"|within (?P<within>\S+)|relative (?P<relative>\S+)"
    r"|(?P<range>\S+\.\.\S+)"
    r"|at most (?P<most>\S+)|at least (?P<least>\S+)"
    r"|below (?P<below>\S+)|above (?P<above>\S+)"
)


@dataclass(frozen=True)
class Rule:
    """What must be met, in words of the table above."""

    words: str

    @property
    def needs_expected(self) -> bool:
        """Whether it says how far from an expected number, and not from where to where."""
        return self._parsed()[0] in ("exact", "decimals", "digits", "within", "relative")

    def limits(self, expected: float) -> tuple[float, float]:
        """From where to where a measured number may lie. expected: NaN where nothing is.

        Raises ValueError where the words are none of the table, or need an expected number.
        """
        kind, value = self._parsed()
        if self.needs_expected:
            if isnan(expected):
                raise ValueError(f"'{self.words}' of which number?")
            distance = _distance(kind, value, expected)
            return expected - distance, expected + distance
        if kind == "range":
            low, high = value.split("..")
            return float(low), float(high)
        limit = inf if kind == "shown" else float(value)
        return {
            "shown": (-inf, inf),
            "most": (-inf, limit),
            "least": (limit, inf),
            "below": (-inf, nextafter(limit, -inf)),
            "above": (nextafter(limit, inf), inf),
        }[kind]

    def _parsed(self) -> tuple[str, str]:
        """Which line of the table it is, and what stands there for the number."""
        match = _RULES.fullmatch(self.words)
        if not match:
            raise ValueError(f"no rule '{self.words}'")
        return next((kind, value) for kind, value in match.groupdict().items() if value is not None)


def _distance(kind: str, value: str, expected: float) -> float:
    if kind == "decimals":
        return 0.5 * 10.0 ** -int(value)
    if kind == "digits":
        return 0.5 * 10.0 ** (floor(log10(abs(expected))) + 1 - int(value))
    if kind == "relative":
        return float(value) * abs(expected)
    return float(value) if kind == "within" else 0.0
