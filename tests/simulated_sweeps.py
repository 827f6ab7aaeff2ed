"""Sweeps as they would be measured if times followed a known law."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lcbench.record import Record, Row, Sweep
from results import record, row

Law = Callable[[int], float]
"""Seconds a call at a place on the axis."""


def sweep(axis: str, values: Iterable[int], laws: dict[str, Law], **fields: Any) -> Record:
    """A sweep of softmax along one axis; see `rows`."""
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
    """The rows of every implementation's law, one sample a block.

    Each sample is off by a factor of spread `noise`, and each process by one of twice that, alike at all its points.
    """
    rng = np.random.default_rng(seed)
    found = []
    for name, law in laws.items():
        of_process = np.exp(rng.normal(0, 2 * noise, blocks))
        for value in values:
            times = law(value) * of_process * np.exp(rng.normal(0, noise, blocks))
            found.append(row(name, times.tolist(), **{axis: value}, **fields))
    return found
