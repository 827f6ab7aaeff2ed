"""What a caller may ask to be measured."""

from __future__ import annotations

from collections.abc import Iterable

from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES


def require(condition: bool, otherwise: str) -> None:
    """Raises LcbenchError with the line `otherwise` where `condition` does not hold."""
    if not condition:
        raise LcbenchError(otherwise)


def require_problem(
    losses: list[str], rows: Iterable[int], features: int, classes: int, dtype: str, threads: int | None
) -> None:
    """Raises LcbenchError where there is no such problem to measure."""
    require(dtype in ("float32", "float64"), f"dtype is {dtype!r}: float32 and float64 can be measured")
    require(bool(losses) and set(losses) <= set(LOSSES), f"losses are {losses}: there is {' and '.join(LOSSES)}")
    require(min([features, *rows]) >= 1, "rows and features must be at least 1")
    require(classes >= 2, "classes must be at least 2")
    require(threads is None or threads >= 1, "threads must be at least 1")


def require_named(data: str) -> None:
    """Raises LcbenchError where `data` is none that has a name."""
    from lcbench.measure.workload import GENERATED

    require(data in GENERATED, f"data is {data!r}: there is {' and '.join(GENERATED)}")
