"""How numbers are written, and the consoles that they are printed to."""

from __future__ import annotations

import io
import math

from rich.console import Console

MISSING = "-"
"""Stands where there is no number."""

NO_INTERVAL = "[?]"
"""Stands for an interval from too few processes, or too noisy ones: one whose ends are `WIDEST` times apart."""

WIDEST = 100.0

IMPOSSIBLE = "!"
"""Stands behind a share of more than the whole."""


def console(stderr: bool = False) -> Console:
    """The console that tables are printed to: plain text where it is not a terminal, colours unless NO_COLOR is set.

    Square brackets are text, as in ``pip install 'lcbench[dask]'``, never markup.
    """
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def recording(columns: int) -> Console:
    """A console that shows nothing and keeps what a terminal of that width would, in colours: for `export_svg`."""
    return _Console(
        file=io.StringIO(), record=True, width=columns, force_terminal=True, color_system="truecolor", no_color=False,
        legacy_windows=False, markup=False, highlight=False, emoji=False, _environ={},
    )  # fmt: skip


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with status 1, which is to say "regression"; the entry point knows better.
        raise BrokenPipeError


def seconds(value: float | None) -> str:
    """A duration in s, ms, us or ns with three significant digits: 0.00402 is "4.02 ms"."""
    if value is None or math.isnan(value):
        return MISSING
    rounded = abs(_rounded(value))
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if rounded >= size:
            return f"{_significant(value / size)} {unit}"
    return f"{_significant(value / 1e-9)} ns" if rounded else "0 s"


def ratio(value: float | None) -> str:
    """A ratio with three significant digits: "4.81 x"."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{_significant(value)} x"


def significant(value: float) -> str:
    """A number with three significant digits and its thousands set apart: 30764.2 is "30,800"."""
    return f"{_rounded(value):,.0f}" if value >= 100 else f"{_rounded(value):g}"


def within(value: float, low: float, high: float, decimals: int = 2) -> str:
    """A ratio and its interval, "4.81 [4.75,4.88]", with `decimals`, or two digits where it is far from 1.

    An interval that says nothing is `NO_INTERVAL`. On two lines where it is longer than most, so that one odd row does
    not push a table's last columns off the page.
    """
    ratio, interval = _decimal(value, decimals), f"[{_decimal(low, decimals)},{_decimal(high, decimals)}]"
    if not high <= WIDEST * low:
        return f"{ratio} {NO_INTERVAL}"
    ordinary = len("0. [0.,0.]") + 3 * decimals
    return f"{ratio} {interval}" if len(ratio) + 1 + len(interval) <= ordinary else f"{ratio}\n{interval}"


def between(low: float, high: float) -> str:
    """An interval of two durations, `NO_INTERVAL` if too wide; the unit once where both have the same."""
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
    """A fraction as percent, one decimal: 0.123 is "12.3 %"."""
    if fraction is None or math.isnan(fraction):
        return MISSING
    return f"{100 * fraction:.1f} %"


def share(fraction: float | None) -> str:
    """A share of a limit as whole percent, "75%", marked with `IMPOSSIBLE` where it is more than all of it."""
    if fraction is None:
        return MISSING
    return f"{fraction:.0%}" + (IMPOSSIBLE if fraction > 1 else "")


def billions(value: float | None) -> str:
    """A rate in 1e9 a second: "153.6"."""
    if value is None:
        return MISSING
    return f"{value / 1e9:.1f}" if value < 1e12 else f"{value / 1e9:.0f}"


def count(value: int | None) -> str:
    """A whole number with its thousands set apart: "49,000"."""
    return MISSING if value is None else f"{value:,}"


def scientific(error: float | None) -> str:
    """An error's order of magnitude: "2e-07"; "0" where it is exactly 0."""
    if error is None or math.isnan(error):
        return MISSING
    return f"{error:.0e}" if error else "0"


def size(value: int | None) -> str:
    """A number of bytes in binary units: 33554432 is "32 MiB"."""
    if value is None:
        return MISSING
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _significant(value: float) -> str:
    """Three significant digits, never an exponent; digits before the point are all kept."""
    rounded = abs(_rounded(value))
    decimals = max(0, 2 - math.floor(math.log10(rounded))) if 0 < rounded < math.inf else 0
    return f"{value:.{decimals}f}"
