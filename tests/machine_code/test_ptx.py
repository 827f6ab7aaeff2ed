"""Counts of PTX instructions, on lines as the compiler writes them."""

from __future__ import annotations

from lcbench.machine_code.gpu import count_ptx

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


def test_a_float32_kernel():
    found = count_ptx(PTX, "float32")
    assert found.fma == 1 + 1 + 2
    assert found.stray_float64 == 3  # the multiply-add and both conversions
    assert found.local == 2
    assert found.loads == {1: 1, 4: 1, 8: 2, 16: 1}
    assert found.async_copies == 1


def test_float64_is_a_float64_kernels_own():
    found = count_ptx(PTX, "float64")
    assert (found.fma, found.stray_float64) == (1, 0)
