"""Amounts in words, for tables and messages: bytes in binary units, shares in percent, durations."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def size(amount: float) -> str:
    """Return a number of bytes in binary units: 33554432 is "32 MiB"."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if amount < 1023.5:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:.0f} {unit}"


def percent(fraction: float, decimals: int = 0) -> str:
    """Return a fraction in percent, with a space as in SI: 0.754 is "75 %"."""
    return f"{100 * fraction:.{decimals}f} %"


def duration(seconds: float) -> str:
    """Return a time to wait or that has passed: "8 s", "12 min", "5.3 h" or "12.8 days"."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:,.1f} days"
