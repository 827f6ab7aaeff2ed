"""Tests of lcbench.host.limits: the loops do the counted work, and rates are computed correctly."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numba import config

from lcbench.host import limits
from lcbench.losses import int8, jit
from lcbench.machine_code.loops import loops
from lcbench.record import MachinePeak


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


@pytest.mark.skipif(bool(config.DISABLE_JIT) or not jit.is_x86(), reason="inspects code compiled for x86")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_chains_stay_in_registers(dtype):
    # Code from a cache cannot be inspected.
    compiled = numba.njit(nogil=True, fastmath=jit.FASTMATH, error_model="numpy")(limits._multiply_add.py_func)
    compiled(1, dtype(0.5))
    (assembly,) = compiled.inspect_asm().values()
    hottest = max(loops(assembly, "x86_64"), key=lambda loop: loop.flops)
    assert hottest.vector_bits == 8 * jit.vector_bytes()
    assert hottest.stack == 0


def test_rates_are_work_over_time(monkeypatch):
    monkeypatch.setattr(limits.Limit, "_run", lambda limit, work: [1.0, 2.0, 4.0])
    limit = limits.Limit("float32", 30_000_000, 3)
    lanes = jit.vector_bytes() // 4
    # a multiplication and an addition; three threads, with rates of their own
    assert limit._flops_s() == limits.FMA_ROUNDS * limits.CHAINS * lanes * 2 * (1 + 1 / 2 + 1 / 4)
    # a footprint of 30 MB is read seventeen times to make up 500 MB
    assert limit._read_bytes_s(0) == 17 * 10_000_000 * (1 + 1 / 2 + 1 / 4)


@pytest.mark.parametrize("unit", [None, *int8.UNITS])
def test_pixels_are_read_as_bytes_and_multiplied_by_the_unit_or_as_floats(monkeypatch, unit):
    monkeypatch.setattr(int8, "UNIT", unit and int8.UNITS[unit])
    limit = limits.Limit("uint8", 3_000_000, 3)
    assert sum(part.nbytes for part in limit._parts) == 3_000_000
    monkeypatch.setattr(limit, "_run", lambda work: [2.0] * 3)
    in_floats = limits.FMA_ROUNDS * limits.CHAINS * jit.vector_bytes() // 4
    # The hinge loss needs two products of bytes for each product: a multiplication and an addition in 2 s.
    in_bytes = limits.BYTE_ROUNDS * int8.UNITS[unit].chain_products / 2 if unit else 0
    assert limit._flops_s() == 3 * (in_bytes if unit else in_floats)
    limit.call_s(bytes=1, flops=1)
    assert (limit.peak.dtype, limit.peak.footprint) == ("uint8", 3_000_000)


@pytest.mark.parametrize("fastest", limits.PREFETCH_DISTANCES)
def test_the_fastest_way_of_reading_counts(monkeypatch, fastest):
    limit = limits.Limit("float32", 4000, 1)
    monkeypatch.setattr(limit, "_read_bytes_s", lambda ahead: 5e3 if ahead == fastest else 1e3)
    monkeypatch.setattr(limit, "_flops_s", lambda: 1e6)
    limit.warm_up()
    assert limit.call_s(bytes=5000, flops=1) == 1.0


def test_the_shortest_time_of_a_call_is_that_of_reading_or_of_computing(monkeypatch):
    limit = limits.Limit("float32", 4000, 1)
    reading, computing = iter([1e3, 4e3, 2e3]), iter([1e6, 2e6, 1e6])
    monkeypatch.setattr(limit, "_read_bytes_s", lambda ahead: next(reading))
    monkeypatch.setattr(limit, "_flops_s", lambda: next(computing))
    assert limit.call_s(bytes=1000, flops=1000) == 1.0
    assert limit.call_s(bytes=4, flops=4_000_000) == 2.0
    assert limit.call_s(bytes=1, flops=1) == 5e-4
    assert limit.peak == MachinePeak(dtype="float32", footprint=4000, read_bytes_s=4e3, flops_s=2e6)


@pytest.mark.parametrize(
    ("dtype", "footprint", "threads"), [("float64", 4096, 2), ("float32", 40, 2), ("float32", 4, 3)]
)
def test_a_limit_is_measured_with_any_footprint(monkeypatch, dtype, footprint, threads):
    monkeypatch.setattr(limits, "MIN_READ_BYTES", 1000)
    monkeypatch.setattr(limits, "FMA_ROUNDS", 1000)
    limit = limits.Limit(dtype, footprint, threads)
    limit.warm_up()
    assert limit.call_s(bytes=footprint, flops=100) > 0
    assert (limit.peak.dtype, limit.peak.footprint) == (dtype, footprint)
    assert min(limit.peak.read_bytes_s, limit.peak.flops_s) > 0


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba's JIT is switched off")
def test_reading_asks_for_lines_ahead_of_itself(monkeypatch):
    monkeypatch.setitem(jit._OPTIONS, "cache", False)  # what comes from a cache has no assembly
    read = jit.compiled(limits._read.py_func)
    read(np.ones(1000, np.float32), 1, 1024)
    assert any("prefetcht0" in text or "prfm" in text for text in read.inspect_asm().values())
