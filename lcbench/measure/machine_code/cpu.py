"""What Numba made of a CPU implementation: run once, then read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import config, types

from lcbench.errors import LcbenchError
from lcbench.losses.resolve import resolve
from lcbench.measure.machine_code.assembly import Loop, loops, without_labels
from lcbench.measure.machine_code.dispatchers import compiled_functions

ROWS, FEATURES = 500, 3073
"""The assignment's development set: an implementation may take another way for a problem that is smaller."""


def inspect(name: str, dtype: str, classes: int, pixels: bool) -> list[Loop]:
    """The innermost floating-point loops of the implementation `name`, those with most operations a pass first.

    dtype: of W, and of X but with `pixels`, where X is uint8. Raises LossError where there is no such implementation,
    LcbenchError where Numba compiles nothing of it.
    """
    implementation = resolve(name)
    found = compiled_functions(implementation.functions.values())
    if not found:
        because = "NUMBA_DISABLE_JIT is set" if config.DISABLE_JIT else f"{name} is not compiled by Numba"
        raise LcbenchError(f"{because}: nothing to inspect")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (ROWS, FEATURES), np.uint8)
    W = rng.standard_normal((FEATURES, classes)).astype(dtype)
    y = rng.integers(0, classes, ROWS)
    for loss in implementation.functions:
        implementation.loss(loss, W, X if pixels else X.astype(dtype), y, 0.1)
    copies: dict[tuple[str, str], Loop] = {}
    for assembly in _assemblies(found, dtype):
        for loop in loops(assembly):
            copies.setdefault((loop.name, without_labels(loop.code)), loop)
    return sorted(copies.values(), key=lambda loop: -loop.flops)


def _assemblies(dispatchers: list[Any], dtype: str) -> Iterator[str]:
    """Of what was compiled for `dtype`, as the first matrix of floats says; recognising a user's file compiles more."""
    for dispatcher in dispatchers:
        for signature, assembly in dispatcher.inspect_asm().items():
            matrices = (kind for kind in signature if isinstance(kind, types.Array) and kind.ndim > 1)
            if dtype == next((str(kind.dtype) for kind in matrices if isinstance(kind.dtype, types.Float)), None):
                yield assembly
