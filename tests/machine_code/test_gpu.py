"""CUDA kernels compiled and linked without a GPU, and what is read from the PTX and from the linker's log."""

from __future__ import annotations

from functools import cache

import pytest

from lcbench.errors import LcbenchError
from lcbench.losses.cuda import backend as cuda_backend
from lcbench.losses.cuda import by_stages as cuda_by_stages
from lcbench.losses.implementation import Unavailable
from lcbench.machine_code import gpu
from lcbench.machine_code.gpu import KernelUsage, PtxCounts, count_ptx, kernel_usage, kernels_to_inspect, occupancy


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
def test_fields_of_each_kernel_are_consistent(architecture):
    found = inspected(architecture)
    assert len({kernel.name for kernel in found}) == len(found) > 1
    assert sum(kernel.counts.fma for kernel in found) > 0
    for kernel in found:
        assert f".target sm_{architecture[0]}{architecture[1]}" in kernel.code
        assert 0 < kernel.usage.registers <= 255
        assert kernel.occupancy == occupancy(
            architecture, kernel.threads, kernel.usage.registers, kernel.usage.shared_bytes
        )
        assert kernel.counts == count_ptx(kernel.code, "float32")


def test_pixels_need_fewer_bytes():
    def bytes_loaded(pixels):
        kernels = inspected((9, 0), pixels=pixels)
        return sum(width * count for kernel in kernels for width, count in kernel.counts.loads.items())

    assert bytes_loaded(pixels=True) < bytes_loaded(pixels=False)


def test_shared_memory_is_the_same_without_link_time_optimisation():
    kernels = {kernel.name: kernel for kernel in inspected((9, 0))}
    for source in kernels_to_inspect((9, 0), "float32", classes=10, pixels=False):
        source.kernel.targetoptions["lto"], before = False, source.kernel.targetoptions.get("lto")
        try:
            from_ptx = gpu._compile(cuda_backend.cuda, source, (9, 0), "float32")
        finally:
            source.kernel.targetoptions["lto"] = before
        assert from_ptx.usage.shared_bytes == kernels[source.name].usage.shared_bytes


def test_unknown_architecture():
    with pytest.raises(LcbenchError, match=r"3\.5"):
        gpu.inspect_gpu((3, 5), "float32", classes=10, pixels=False)


def a_kernel(registers=128, spills=0, stack=0, stray=0, shared=0):
    return gpu.Kernel(
        "scores",
        256,
        KernelUsage(registers, shared, spills, stack),
        occupancy((9, 0), 256, registers, shared),
        PtxCounts(80, stray, 0, {4: 22}, 0),
        "",
    )


@pytest.mark.parametrize(
    ("kernel", "verdict"),
    [
        (a_kernel(), "16 of 64 warps, limited by registers, no spills"),
        (a_kernel(32), "64 of 64 warps, no spills"),
        (
            a_kernel(255, 112, 48),
            "8 of 64 warps, limited by registers, spills 112 bytes, 48 bytes of local memory a thread",
        ),
        (a_kernel(32, stray=3), "64 of 64 warps, no spills, 3 operations in float64"),
        (a_kernel(32, shared=300_000), "0 of 64 warps: no block fits its shared memory, no spills"),
    ],
)
def test_verdict(kernel, verdict):
    assert kernel.verdict == verdict


# Kernels and their launch configurations


no_simulator = pytest.mark.skipif(cuda_backend.is_simulator(), reason="the simulator's kernels have no types")


def listed(dtype, classes):
    found = kernels_to_inspect((9, 0), dtype, classes, pixels=False)
    assert all(kernel.threads % 32 == 0 and 0 < kernel.threads <= 1024 for kernel in found)
    assert all(kernel.signature for kernel in found)
    return [kernel.name for kernel in found]


@no_simulator
def test_kernels_of_a_problem_that_fits_one_pass():
    assert listed("float32", classes=10) == ["one_pass svm", "one_pass softmax", "merge"]


@no_simulator
@pytest.mark.parametrize(("dtype", "classes"), [("float64", 10), ("float32", 500)])
def test_kernels_of_a_problem_that_needs_stages(dtype, classes):
    assert listed(dtype, classes) == [*cuda_by_stages.Kernels.__dataclass_fields__, "merge"]


# PTX

PTX = """
.visible .entry kernel(
	.param .u64 kernel_param_0
)
{
	.local .align 4 .b8 	__local_depot0[40];
	ld.param.u64 	%rd1, [kernel_param_0];
	ld.global.f32 	%f1, [%rd1];
	ld.global.nc.v4.f32 	{%f2, %f3, %f4, %f5}, [%rd1];
	@%p1 ld.global.v2.u32 	{%r2, %r3}, [%rd1];
	ld.global.L1::evict_last.u8 	%rs1, [%rd1];
	ld.local.f32 	%f7, [%rd2];
	st.local.f32 	[%rd2], %f7;
	ld.shared.f32 	%f8, [%rd3];
	ld.global.f64 	%fd7, [%rd3];
	fma.rn.f32 	%f9, %f1, %f2, %f3;
	@!%p2 fma.rn.ftz.f32 	%f9, %f1, %f2, %f3;
	fma.rn.f32x2 	%fd9, %fd1, %fd2, %fd3;
	fma.rn.f64 	%fd5, %fd1, %fd2, %fd3;
	mov.f64 	%fd6, %fd5;
	cvt.f64.f32 	%fd6, %f5;
	cvt.rn.f32.f64 	%f6, %fd5;
	cp.async.ca.shared.global 	[%r1], [%rd1], 16, 16;
	cp.async.commit_group;
	ret;
}
"""


def test_ptx_counts_of_a_float32_kernel():
    found = count_ptx(PTX, "float32")
    assert found.fma == 1 + 1 + 2
    assert found.stray_float64 == 3  # the multiply-add and two conversions
    assert found.local == 2
    assert found.loads == {1: 1, 4: 1, 8: 2, 16: 1}
    assert found.async_copies == 1


def test_float64_is_not_stray_in_a_float64_kernel():
    found = count_ptx(PTX, "float64")
    assert (found.fma, found.stray_float64) == (1, 0)


# The linker's log

LINK_TIME = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'kernel' for 'sm_90'
ptxas         .     48 bytes stack frame, 52 bytes spill stores, 60 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 13120 bytes smem
"""

FROM_PTX = """
ptxas info    : Compiling entry function 'kernel' for 'sm_90'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers
info    : 8 bytes gmem
info    : used 128 registers, used 1 barriers, 0 stack, 14144 bytes smem, 744 bytes cmem[0], 0 bytes lmem
"""


def test_usage_with_link_time_optimisation():
    assert kernel_usage(LINK_TIME, link_time=True) == KernelUsage(255, 13120, 112, 48)


def test_usage_from_ptx_excludes_the_reserved_shared_memory():
    assert kernel_usage(FROM_PTX, link_time=False) == KernelUsage(128, 14144 - 1024, 0, 0)


def test_turing_reserves_no_shared_memory():
    assert kernel_usage(FROM_PTX.replace("sm_90", "sm_75"), link_time=False).shared_bytes == 14144


def test_usage_without_shared_memory():
    assert kernel_usage(LINK_TIME.replace(", 13120 bytes smem", ""), link_time=True).shared_bytes == 0
