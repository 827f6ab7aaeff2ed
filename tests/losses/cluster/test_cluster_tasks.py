"""What a worker does with sums."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.losses.cluster.placed import Sum, added


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_sums_are_added_with_their_workers_in_order(count: int) -> None:
    sums = [Sum(float(2**k), np.full((2, 3), 2.0**k), (f"worker {k}",)) for k in range(count)]
    total = added(*sums)
    assert total.loss == 2**count - 1
    np.testing.assert_array_equal(total.dW, np.full((2, 3), 2.0**count - 1))
    assert total.workers == tuple(f"worker {k}" for k in range(count))


def test_pairs_are_added_first_so_that_many_small_parts_are_not_lost() -> None:
    parts = [Sum(0.0, np.full((1, 1), 0.1, np.float32), ()) for _ in range(4096)]
    assert abs(float(added(*parts).dW[0, 0]) / 4096 / np.float32(0.1) - 1) < 2e-7
