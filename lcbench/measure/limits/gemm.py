"""The rate of NumPy's own matrix product: a line of reference beside the machine's limits, and none of them."""

from __future__ import annotations

from time import perf_counter

import numpy as np

SIZE = 1536
"""Rows and columns: the operands outgrow the caches of one core, and a product takes some hundredths of a second."""

REPEATS = 5


def flops_s(dtype: str) -> float:
    """Floating-point operations a second of ``A @ B``, both (SIZE, SIZE) of `dtype`, at its best."""
    rng = np.random.default_rng(0)
    A, B = (rng.random((SIZE, SIZE)).astype(dtype) for _ in range(2))
    out = A @ B
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        np.matmul(A, B, out=out)
        seconds.append(perf_counter() - start)
    return 2 * SIZE**3 / min(seconds)
