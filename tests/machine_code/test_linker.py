"""What is read from the linker's words."""

from __future__ import annotations

from lcbench.machine_code.gpu import KernelUsage, kernel_usage

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


def test_with_link_time_optimisation():
    assert kernel_usage(LINK_TIME, link_time=True) == KernelUsage(255, 13120, 112, 48)


def test_from_ptx_the_systems_share_is_taken_off():
    assert kernel_usage(FROM_PTX, link_time=False) == KernelUsage(128, 14144 - 1024, 0, 0)


def test_turing_has_no_such_share():
    assert kernel_usage(FROM_PTX.replace("sm_90", "sm_75"), link_time=False).shared_bytes == 14144


def test_a_kernel_without_shared_memory():
    assert kernel_usage(LINK_TIME.replace(", 13120 bytes smem", ""), link_time=True).shared_bytes == 0
