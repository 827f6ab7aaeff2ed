"""Simulated sweeps whose times are known functions of the axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lcbench.record import Record, Row, Sweep
from results import record, row

Law = Callable[[int], float]
"""Seconds per call as a function of the axis."""


def sweep(axis: str, values: Iterable[int], laws: dict[str, Law], **fields: Any) -> Record:
    """Return a sweep of softmax along one axis; see `rows`."""
    values = list(values)
    return record(*rows(axis, values, laws, **fields), sweep=Sweep(axes={axis: values}))


def rows(
    axis: str,
    values: Iterable[int],
    laws: dict[str, Law],
    noise: float = 0.0,
    blocks: int = 5,
    seed: int = 0,
    **fields: Any,
) -> list[Row]:
    """Return the rows of each implementation, with one sample per block.

    The log times have normal noise: of standard deviation `noise` for each sample, and of twice that for each process,
    equal at all its points.
    """
    rng = np.random.default_rng(seed)
    found = []
    for name, law in laws.items():
        of_process = np.exp(rng.normal(0, 2 * noise, blocks))
        for value in values:
            times = law(value) * of_process * np.exp(rng.normal(0, noise, blocks))
            found.append(row(name, times.tolist(), **{axis: value}, **fields))
    return found
