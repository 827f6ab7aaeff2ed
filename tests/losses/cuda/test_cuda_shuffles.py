"""Sums over a warp by shuffles, with a Python thread for each lane: Numba's simulator has no shuffles."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lcbench.losses.cuda import one_pass as cuda_one_pass
from lcbench.losses.cuda.tiles import Tile

LANES = 32


class Warp:
    """Stand-in for `cuda` whose lanes are threads of Python."""

    def __init__(self) -> None:
        self.sent = np.zeros(LANES, np.float32)
        self.barrier = threading.Barrier(LANES, timeout=60)
        self.here = threading.local()

    def jit(self, **options: Any) -> Any:
        return lambda function: function

    def shfl_xor_sync(self, mask: int, value: np.float32, apart: int) -> np.float32:
        assert mask == 2**LANES - 1
        self.sent[self.here.lane] = value
        self.barrier.wait()
        received = self.sent[self.here.lane ^ apart]
        self.barrier.wait()
        return received


class Stores:
    """Array that counts the stores to each element."""

    def __init__(self, size: int) -> None:
        self.numbers, self.stores = np.full(size, np.nan), np.zeros(size, int)

    def __setitem__(self, at: Any, number: Any) -> None:
        assert 0 <= at < len(self.numbers)
        self.numbers[at] = number
        self.stores[at] += 1


@pytest.mark.parametrize("values", [1, 2, 3, 7, 20, 31, 33, 40, 60, 63, 80])
def test_each_sum_is_stored_once_where_it_is_read(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    warp, warps = Warp(), 2
    monkeypatch.setattr(cuda_one_pass, "cuda", warp)
    reduction = cuda_one_pass._by_shuffles(Tile(threads=warps * LANES, groups=1, rows=1), values)
    numbers = np.random.default_rng(values).integers(-100, 100, (warps, LANES, values)).astype(np.float32)
    warp_sums = Stores(reduction.size)

    def run(lane: int, thread: int) -> None:
        warp.here.lane = lane
        reduction.sum_over_warp(list(numbers[thread // LANES, lane]), thread, warp_sums)

    for w in range(warps):
        with ThreadPoolExecutor(LANES) as pool:
            list(pool.map(run, range(LANES), range(w * LANES, (w + 1) * LANES)))
    assert warp_sums.stores.max() == 1, "several lanes store to the same element"
    for w in range(warps):
        indices = [reduction.index_of(v) + w * reduction.stride for v in range(values)]
        assert np.array_equal(warp_sums.numbers[indices], numbers[w].sum(axis=0))
