"""Ranges of the numbers, and the data types, that can be asked for: in options, keyword arguments, axes, and files.

Every number has an upper limit. Beyond it a value is a mistake, and work that is started with it would not end, would
fill the memory, or would fail in a library that does not check it. The limits of memory and of the data are narrower;
they are checked where the data is known. This module imports no other, since ``lcbench --help`` needs it.
"""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """Smallest and largest value. above: whether the value must be above `low`. below: the same for `high`."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def __contains__(self, value: object) -> bool:
        """Return whether a number is within the bounds; NaN is not."""
        if not isinstance(value, int | float):
            return False
        return (self.low < value if self.above else self.low <= value) and (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        """Return the bounds as a message shows them: "from 1 to 1,024", "above 0 and at most 86,400"."""
        if not (self.above or self.below):
            return f"from {_text(self.low)} to {_text(self.high)}"
        low = f"above {_text(self.low)}" if self.above else f"at least {_text(self.low)}"
        return f"{low} and {'below' if self.below else 'at most'} {_text(self.high)}"


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


_DAY = 86_400
_STEPS = Bounds(1, 10**9)
# 1e30: the square is a finite float64, and the number itself a finite float32.
_POSITIVE, _NOT_NEGATIVE = Bounds(0, 1e30, above=True), Bounds(0, 1e30)

RANGES: dict[str, Bounds] = {
    # workloads and machines
    "rows": Bounds(1, 10**12),
    "features": Bounds(1, 10**8),
    "classes": Bounds(2, 10**6),
    "batch": _STEPS,
    "threads": Bounds(1, 1024),
    "workers": Bounds(1, 1024),
    "seed": Bounds(0, 2**32 - 1),  # the largest one that scikit-learn takes
    # measurements; times in seconds
    "blocks": Bounds(1, 100_000),
    "timeout_s": Bounds(0, _DAY, above=True),
    "budget_s": Bounds(0, 1e9),  # the number of blocks is a limit as well
    "gate_budget_s": Bounds(0, 30 * _DAY, above=True),
    "most_call_s": Bounds(0, _DAY, above=True),
    "noise_s": Bounds(0, _DAY, above=True),
    "points": Bounds(1, 1000),
    # trainings and searches
    "words": Bounds(2, 10_000),
    "iterations": _STEPS,
    "epochs": Bounds(0, 1e6, above=True),
    "decay_every": _STEPS,
    "report_every": _STEPS,
    "patience": Bounds(0, 10**9),
    "learning_rate": _POSITIVE,
    "reg": _NOT_NEGATIVE,
    "margin": _POSITIVE,
    "decay": _POSITIVE,
    "momentum": Bounds(0, 1, below=True),
    "initial_scale": _NOT_NEGATIVE,
    "trials": Bounds(1, 100_000),
}
"""Ranges by the name of the setting. "points" are those of a sweep, "trials" those of a search."""

ITEMSIZES = {"float32": 4, "float64": 8, "uint8": 1}
"""Data types of a measured X, with the bytes of an element. W and dW have the same type, or `FLOAT_OF_PIXELS`."""

FLOAT_OF_PIXELS = "float32"
"""Data type of W and dW if X holds uint8 pixels, and of X after its conversion."""

FLOATS = tuple(dtype for dtype in ITEMSIZES if dtype != "uint8")
"""Data types of weights."""


def dtype_of_W(dtype: str) -> str:
    """Return the data type of W and dW if X has `dtype`."""
    return dtype if dtype in FLOATS else FLOAT_OF_PIXELS


def bytes_of_X(rows: int, features: int, dtype: str) -> int:
    """Return the bytes of X (rows, features). The column of ones is not stored with uint8 pixels."""
    return rows * (features if dtype in FLOATS else features - 1) * ITEMSIZES[dtype]
