"""The rate of NumPy's matrix product."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.host import limits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rate_is_that_of_the_fastest_product_in_its_dtype(monkeypatch, dtype):
    monkeypatch.setattr(limits, "GEMM_SIZE", 20)
    clock = iter(np.cumsum([0, 5, 1, 2, 1, 4, 1, 6, 1, 8]).tolist())  # products of 5, 2, 4, 6 and 8 s
    monkeypatch.setattr(limits, "perf_counter", lambda: next(clock))
    seen, matmul = set(), np.matmul

    def product(A, B, out):
        seen.add((A.dtype.name, A.shape, B.shape))
        return matmul(A, B, out=out)

    monkeypatch.setattr(limits.np, "matmul", product)
    assert limits.gemm_flops_s(dtype) == 2 * 20**3 / 2
    assert seen == {(dtype, (20, 20), (20, 20))}
