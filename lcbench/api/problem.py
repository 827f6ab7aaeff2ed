"""What a caller may ask to be measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES


def require(condition: bool, otherwise: str) -> None:
    """Raises LcbenchError with the line `otherwise` where `condition` does not hold."""
    if not condition:
        raise LcbenchError(otherwise)


def require_problem(
    losses: list[str], rows: Iterable[int], features: int, classes: int, dtype: str, data: str, threads: int | None
) -> None:
    """Raises LcbenchError where there is no such problem to measure."""
    from lcbench.measure import workload

    require(dtype in ("float32", "float64"), f"dtype is {dtype!r}: float32 and float64 can be measured")
    known = get_args(workload.DataName)
    require(data in known, f"data is {data!r}: there is {' and '.join(known)}")
    require(bool(losses) and set(losses) <= set(LOSSES), f"losses are {losses}: there is {' and '.join(LOSSES)}")
    require(min([features, *rows]) >= 1, "rows and features must be at least 1")
    require(classes >= 2, "classes must be at least 2")
    require(threads is None or threads >= 1, "threads must be at least 1")
