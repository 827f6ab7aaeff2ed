"""Tests of lcbench.host.limits: the loops do the counted work, and rates are computed correctly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config

from lcbench.host import limits
from lcbench.losses import jit


@pytest.mark.parametrize("ahead", limits.PREFETCH_DISTANCES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reading_reads_everything_once_a_time(dtype, ahead):
    whole = limits.STREAMS * jit.vector_bytes() // np.dtype(dtype).itemsize
    numbers = np.arange(3 * whole, dtype=dtype) % 7
    assert limits._read(numbers, 1, ahead) == numbers.sum()
    # the second time without the last number, hence without the last whole step
    assert limits._read(numbers, 2, ahead) == numbers.sum() + numbers[: 2 * whole].sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiply_adds_are_made_one_after_another_in_every_lane_of_every_chain(dtype):
    lanes = jit.vector_bytes() // np.dtype(dtype).itemsize
    # x <- x / 2 + 1 / 2 from 0: 1 - 2 ** -rounds
    for rounds in (1, 2, 10):
        total = limits._multiply_add(rounds, dtype(0.5))
        assert total == limits.CHAINS * lanes * (1 - 0.5**rounds)


def test_rates_are_work_over_time(monkeypatch):
    monkeypatch.setattr(limits, "_best", lambda work, threads, pool: 2.0)
    with ThreadPoolExecutor(1) as pool:
        lanes = jit.vector_bytes() // 4
        flops = 3 * limits.FMA_ROUNDS * limits.CHAINS * lanes * 2  # 3 threads, a multiplication and an addition
        assert limits._flops_s(np.dtype("float32"), 3, pool) == flops / 2
        # a footprint of 30 MB is read seventeen times to make up 500 MB
        assert limits._read_bytes_s(np.dtype("float32"), 30_000_000, 2, pool) == 17 * 30_000_000 / 2


def test_the_fastest_way_of_reading_counts(monkeypatch):
    times = iter([4.0, 1.0, 2.0])
    monkeypatch.setattr(limits, "_best", lambda work, threads, pool: next(times))
    with ThreadPoolExecutor(1) as pool:
        assert limits._read_bytes_s(np.dtype("float32"), 500_000_000, 1, pool) == 500_000_000


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is switched off")
def test_reading_asks_for_lines_ahead_of_itself(monkeypatch):
    monkeypatch.setitem(jit._OPTIONS, "cache", False)  # what comes from a cache has no assembly
    read = jit.compiled(limits._read.py_func)
    read(np.ones(1000, np.float32), 1, 1024)
    assert any("prefetcht0" in text or "prfm" in text for text in read.inspect_asm().values())


def test_one_ceiling_for_everything_wanted_in_its_order(monkeypatch):
    monkeypatch.setattr(limits, "MIN_READ_BYTES", 1000)
    monkeypatch.setattr(limits, "FMA_ROUNDS", 1000)
    wanted = [("float64", 4096), ("float32", 100_000), ("float32", 40)]
    ceilings = limits.cpu_peaks(wanted, 2)
    assert [(ceiling.dtype, ceiling.footprint) for ceiling in ceilings] == wanted
    assert all(ceiling.read_bytes_s > 0 and ceiling.flops_s > 0 for ceiling in ceilings)
    assert ceilings[1].flops_s == ceilings[2].flops_s


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
