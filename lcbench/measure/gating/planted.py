"""A slowdown put there on purpose, to see whether it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any


def slowed(function: Callable[..., Any], share: float) -> Callable[..., Any]:
    """`function`, of which every call takes longer by `share` of its own time: it spins, as more work would."""
    if not share:
        return function

    def longer(*arguments: Any) -> Any:
        start = perf_counter()
        result = function(*arguments)
        end = start + (perf_counter() - start) * (1 + share)
        while perf_counter() < end:
            pass
        return result

    return longer
