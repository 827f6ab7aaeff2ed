"""Sums of partial results."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.losses.cluster.chunks import PartialSum, add_sums


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_sums_keep_the_order_of_the_workers(count: int) -> None:
    sums = [PartialSum(float(2**k), np.full((2, 3), 2.0**k), (f"worker {k}",)) for k in range(count)]
    total = add_sums(*sums)
    assert total.loss == 2**count - 1
    np.testing.assert_array_equal(total.dW, np.full((2, 3), 2.0**count - 1))
    assert total.workers == tuple(f"worker {k}" for k in range(count))


def test_sums_are_added_in_pairs_for_accuracy() -> None:
    parts = [PartialSum(0.0, np.full((1, 1), 0.1, np.float32), ()) for _ in range(4096)]
    assert abs(float(add_sums(*parts).dW[0, 0]) / 4096 / np.float32(0.1) - 1) < 2e-7
