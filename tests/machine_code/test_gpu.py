"""CUDA kernels compiled and linked for several architectures, without a GPU."""

from __future__ import annotations

from functools import cache

import pytest

from lcbench.errors import LcbenchError
from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.implementation import Unavailable
from lcbench.machine_code import gpu, occupancy


@cache
def inspected(architecture, dtype="float32", pixels=False):
    if cuda_backend.is_simulator():
        pytest.skip("Numba's simulator compiles nothing")
    try:
        return gpu.inspect_gpu(architecture, dtype, classes=10, pixels=pixels)
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "architecture", [(9, 0), *(pytest.param(other, marks=pytest.mark.nightly) for other in [(8, 6), (10, 0)])]
)
def test_what_is_said_of_each_kernel_agrees_with_itself(architecture):
    found = inspected(architecture)
    assert len({kernel.name for kernel in found}) == len(found) > 1
    assert sum(kernel.counts.fma for kernel in found) > 0
    for kernel in found:
        assert f".target sm_{architecture[0]}{architecture[1]}" in kernel.code
        assert 0 < kernel.usage.registers <= 255
        assert kernel.occupancy == occupancy.occupancy(
            architecture, kernel.threads, kernel.usage.registers, kernel.usage.shared_bytes
        )
        assert kernel.counts == gpu.count_ptx(kernel.code, "float32")


def test_pixels_are_read_in_fewer_bytes():
    def bytes_loaded(pixels):
        kernels = inspected((9, 0), pixels=pixels)
        return sum(width * count for kernel in kernels for width, count in kernel.counts.loads.items())

    assert bytes_loaded(pixels=True) < bytes_loaded(pixels=False)


def test_the_same_shared_memory_with_and_without_link_time_optimisation():
    from lcbench.machine_code.gpu import kernels_to_inspect

    kernels = {kernel.name: kernel for kernel in inspected((9, 0))}
    for one in kernels_to_inspect((9, 0), "float32", classes=10, pixels=False):
        one.kernel.targetoptions["lto"], before = False, one.kernel.targetoptions.get("lto")
        try:
            from_ptx = gpu._compiled(cuda_backend.cuda, one, (9, 0), "float32")
        finally:
            one.kernel.targetoptions["lto"] = before
        assert from_ptx.usage.shared_bytes == kernels[one.name].usage.shared_bytes


def test_an_unknown_architecture_is_one_line():
    with pytest.raises(LcbenchError, match=r"3\.5"):
        gpu.inspect_gpu((3, 5), "float32", classes=10, pixels=False)


def kernel(registers=128, spills=0, stack=0, stray=0, shared=0):
    return gpu.Kernel(
        "scores",
        256,
        gpu.KernelUsage(registers, shared, spills, stack),
        occupancy.occupancy((9, 0), 256, registers, shared),
        gpu.PtxCounts(80, stray, 0, {4: 22}, 0),
        "",
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (kernel(), "16 of 64 warps, limited by registers, no spills"),
        (kernel(32), "64 of 64 warps, no spills"),
        (
            kernel(255, 112, 48),
            "8 of 64 warps, limited by registers, spills 112 bytes, 48 bytes of local memory a thread",
        ),
        (kernel(32, stray=3), "64 of 64 warps, no spills, 3 operations in float64"),
        (kernel(32, shared=300_000), "0 of 64 warps: no block fits its shared memory, no spills"),
    ],
)
def test_verdicts(one, words):
    assert one.verdict == words
