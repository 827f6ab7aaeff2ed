"""The GPU's limits without a GPU: the kernels compile into what is counted, and do it in Numba's simulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from lcbench.host import gpu_limits
from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.implementation import Unavailable


@pytest.mark.parametrize("footprint", [1, 8192, 6_146_000, 122_920_000, 10**10])
def test_every_thread_has_equally_many_steps(footprint):
    blocks, words = gpu_limits.launch_shape(footprint, 1056)
    assert 1 <= blocks <= 1056
    assert words % (blocks * gpu_limits.THREADS * gpu_limits.LOADS) == 0
    if footprint > 8192:
        assert 0.95 * footprint <= 8 * words <= footprint


SIMULATED = """
import numpy as np
from lcbench.host import gpu_limits
gpu_limits.UNROLLED = 2
kernels = gpu_limits.peak_kernels()

words = np.random.default_rng(0).integers(2**60, size=2 * 3 * 4 * 5, dtype=np.uint64)
for times in (1, 2, 3):
    sums = np.zeros(6, np.uint64)
    kernels.read[2, 3](words, times, sums)
    assert np.bitwise_xor.reduce(sums) == (np.bitwise_xor.reduce(words) if times % 2 else 0)
    out = np.zeros_like(words)
    kernels.copy[2, 3](words, times, out)
    assert np.array_equal(out, words)
for dtype in (np.float32, np.float64):
    sums = np.zeros(6, dtype)
    kernels.multiply_add[2, 3](5, dtype(0.5), sums)
    # x <- x / 2 + 1 / 2: the distance from 1 halves in each of 5 * 2 steps
    starts = 0.5 * np.arange(8)
    assert np.allclose(sums, np.sum(1 + (starts - 1) * 0.5**10), rtol=1e-6)
assert gpu_limits.gpu_peaks([("float32", 1000)]) == []
print("fine")
"""


def test_kernels_do_what_is_counted():
    pytest.importorskip("numba.cuda")
    variables = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    result = subprocess.run([sys.executable, "-c", SIMULATED], env=variables, capture_output=True, text=True)
    assert result.stdout == "fine\n", result.stderr


@pytest.fixture(scope="module")
def ptx():
    """The PTX of a kernel for sm_90, which its compiler makes without a GPU."""
    if cuda_backend.is_simulator():
        pytest.skip("the simulator compiles nothing")
    try:
        from numba import cuda

        compile_ = cuda.compile
        # the first use of NVRTC and NVVM raises if one of them is missing
        compile_(lambda: None, "void()", cc=(9, 0), device=False, abi="numba", output="ptx")
    except Exception as error:  # the error depends on the release and on the missing library
        pytest.skip(f"no CUDA compiler, pip install 'numba-cuda[cu13]': {error!r}")

    def compiled(name, signature):
        kernel = getattr(gpu_limits.peak_kernels(), name)
        text, _ = compile_(
            kernel.py_func, signature, cc=(9, 0), device=False, abi="numba", output="ptx", lineinfo=False
        )
        return text

    return compiled


@pytest.mark.parametrize(("dtype", "letter"), [("float32", "f32"), ("float64", "f64")])
def test_the_fma_loop_is_fused_unrolled_and_stays_in_registers(ptx, dtype, letter):
    from numba import from_dtype, types

    number = from_dtype(np.dtype(dtype))
    text = ptx("multiply_add", types.void(types.int64, number, number[::1]))
    assert len(re.findall(rf"fma\.rn\.{letter}", text)) >= gpu_limits.CHAINS * gpu_limits.UNROLLED
    assert ".local" not in text
    assert letter == "f64" or ".f64" not in text
    other = "f64" if letter == "f32" else "f32"
    assert f"fma.rn.{other}" not in text


@pytest.mark.parametrize(("name", "stores"), [("read", 1), ("copy", gpu_limits.LOADS)])
def test_words_are_loaded_and_stored_as_often_as_counted(ptx, name, stores):
    from numba import types

    words = types.uint64[::1]
    text = ptx(name, types.void(words, types.int64, words))
    assert len(re.findall(r"ld\.global\.cg\.u64", text)) == gpu_limits.LOADS, "the loads pass L1"
    assert len(re.findall(r"ld\.global", text)) == gpu_limits.LOADS
    assert len(re.findall(r"st\.global\.[bu]64", text)) == stores


def test_without_a_gpu_there_are_no_limits_to_measure(monkeypatch):
    monkeypatch.setattr(cuda_backend, "is_simulator", lambda: False)
    monkeypatch.setattr(cuda_backend, "why_no_gpu", lambda: "no CUDA driver")
    with pytest.raises(Unavailable, match="no CUDA driver"):
        gpu_limits.gpu_peaks([("float32", 1000)])
