"""Occupancy, compared with values computed by hand from NVIDIA's tables."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.machine_code.gpu import LIMITS, occupancy

HOPPER, TURING, CONSUMER = (9, 0), (7, 5), (8, 6)


@pytest.mark.parametrize(
    ("architecture", "threads", "registers", "shared", "blocks", "limited_by"),
    [
        # 128 x 32 = 4096 registers per warp, 16384 / 4096 = 4 warps per partition, 16 warps in blocks of 8
        (HOPPER, 256, 128, 0, 2, "registers"),
        # 129 x 32 registers are rounded up to 4352 per warp: 3 warps per partition, 12 warps
        (HOPPER, 256, 129, 0, 1, "registers"),
        (HOPPER, 256, 32, 0, 8, "warps"),
        (HOPPER, 32, 16, 0, 32, "blocks"),
        (TURING, 32, 16, 0, 16, "blocks"),
        (TURING, 1024, 32, 0, 1, "warps"),
        # 48 KiB and 1 KiB for the system: 228 / 49
        (HOPPER, 128, 32, 48 * 1024, 4, "shared memory"),
        # nothing for the system: 64 / 16
        (TURING, 32, 32, 16 * 1024, 4, "shared memory"),
        # 10,001 + 1,024 bytes are rounded up to 11,136; 100 KiB / 11,136
        (CONSUMER, 64, 32, 10_001, 9, "shared memory"),
        # 1024 threads x 65 registers exceed the register file
        (HOPPER, 1024, 65, 0, 0, "registers"),
        # 1000 threads are 32 warps
        (HOPPER, 1000, 64, 0, 1, "registers"),
        # 9 warps are checked as 12: 12 x 32 x 176 registers exceed the register file
        (HOPPER, 288, 176, 0, 0, "registers"),
    ],
)
def test_occupancy(architecture, threads, registers, shared, blocks, limited_by):
    found = occupancy(architecture, threads, registers, shared)
    assert (found.blocks, found.limited_by) == (blocks, limited_by)
    assert found.warps == blocks * -(-threads // 32)
    assert found.most_warps == LIMITS[architecture].warps
    assert found.share == found.warps / found.most_warps


def test_unknown_architecture():
    with pytest.raises(LcbenchError, match=r"compute capability 6\.1 is not supported; use one of .*9\.0"):
        occupancy((6, 1), 128, 32, 0)
