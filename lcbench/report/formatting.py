"""Formatting of numbers, and characters that are not allowed in XML."""

from __future__ import annotations

import math
import re

from lcbench import units

MISSING = "-"
"""Text in place of a missing number."""

NO_INTERVAL = "[?]"
"""Text in place of an interval that is not informative: too few processes, or too much noise between them."""

LONG_S = 1000.0
"""Seconds from which a duration is written in minutes, hours or days."""

WIDEST = 100.0
"""Ratio of its ends from which an interval is not informative."""

UNDECIDED = 4.0
"""Ratio of its ends from which an interval that includes 1 is not informative."""

IMPOSSIBLE = "!"
"""Suffix of a share above 100 %."""

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even as character references."""


def seconds(value: float | None) -> str:
    """Return a duration with three significant digits: 0.00402 is "4.02 ms", and 20,000 is "5.56 h"."""
    if value is None or math.isnan(value):
        return MISSING
    rounded = abs(_rounded(value))
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if rounded >= max(size, LONG_S) and math.isfinite(value):
            return f"{_three_digits(value / size)} {unit}"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if rounded >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns" if rounded else "0 s"


def ratio(value: float | None) -> str:
    """Return a ratio with three significant digits: "4.81 x"."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{_three_digits(value)} x"


def significant(value: float) -> str:
    """Return a number with three significant digits and thousands separators: 30764.2 is "30,800"."""
    return f"{_rounded(value):,.0f}" if value >= 100 else f"{_rounded(value):g}"


def ratio_with_interval(value: float, low: float, high: float, decimals: int = 2) -> str:
    """Return a ratio and its interval: "4.81 [4.75,4.88]".

    Numbers have `decimals` decimals, or two significant digits where they are far from 1. Without an interval, the
    ratio is followed by `NO_INTERVAL`. If the noise allows no statement, there is no ratio, but `NO_INTERVAL` only. A
    text that is longer than usual is broken into two lines, so that a single row does not make the column wide.
    """
    ratio, interval = _decimal(value, decimals), f"[{_decimal(low, decimals)},{_decimal(high, decimals)}]"
    if low <= 0 or not math.isfinite(high):
        return f"{ratio} {NO_INTERVAL}"
    if high > (UNDECIDED if low <= 1 <= high else WIDEST) * low:
        return NO_INTERVAL
    usual_length = len("0. [0.,0.]") + 3 * decimals
    return f"{ratio} {interval}" if len(ratio) + 1 + len(interval) <= usual_length else f"{ratio}\n{interval}"


def time_interval(low: float, high: float) -> str:
    """Return an interval of two durations: "4.02 to 4.10 ms", or `NO_INTERVAL` if it is not informative.

    The unit stands once if both ends have the same unit.
    """
    if low > 0 and not high <= WIDEST * low:
        return NO_INTERVAL
    first, last = seconds(low), seconds(high)
    value, _, unit = first.partition(" ")
    return f"{value if unit and last.endswith(f' {unit}') else first} to {last}"


def _decimal(value: float, decimals: int) -> str:
    if 10**-decimals <= value < 1e6:
        return f"{value:.{0 if value >= 100 else decimals}f}"
    return f"{value:.2g}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent with one decimal: 0.123 is "12.3 %"."""
    if fraction is None or math.isnan(fraction):
        return MISSING
    return units.percent(fraction, 1)


def share(fraction: float | None) -> str:
    """Return a share of a limit in whole percent, "75 %", with the suffix `IMPOSSIBLE` above 100 %."""
    if fraction is None:
        return MISSING
    return units.percent(fraction) + (IMPOSSIBLE if fraction > 1 else "")


def billions(value: float | None) -> str:
    """Return a rate in units of 1e9 per second: "153.6"."""
    if value is None:
        return MISSING
    return f"{value / 1e9:.1f}" if value < 1e12 else f"{value / 1e9:.0f}"


def count(value: int | None) -> str:
    """Return an integer with thousands separators: "49,000"."""
    return MISSING if value is None else f"{value:,}"


def scientific(error: float | None) -> str:
    """Return an error with one significant digit, "2e-07", or "0" if it is exactly 0."""
    if error is None or math.isnan(error):
        return MISSING
    return f"{error:.0e}" if error else "0"


def size(value: float | None) -> str:
    """Return a number of bytes in binary units: 33554432 is "32 MiB"."""
    return MISSING if value is None else units.size(value)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _three_digits(value: float) -> str:
    """Return a number with three significant digits, without exponent; all digits before the point are kept."""
    rounded = abs(_rounded(value))
    decimals = max(0, 2 - math.floor(math.log10(rounded))) if 0 < rounded < math.inf else 0
    return f"{value:.{decimals}f}"
