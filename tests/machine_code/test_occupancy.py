"""How many blocks fit, worked out by hand from NVIDIA's tables."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.machine_code.occupancy import LIMITS, occupancy

HOPPER, TURING, CONSUMER = (9, 0), (7, 5), (8, 6)


@pytest.mark.parametrize(
    ("architecture", "threads", "registers", "shared", "blocks", "limited_by"),
    [
        # 128 x 32 = 4096 registers a warp, 16384 / 4096 = 4 warps a partition, 16 warps of 8 a block
        (HOPPER, 256, 128, 0, 2, "registers"),
        # 129 registers become 4352 a warp: 3 warps a partition, 12 warps
        (HOPPER, 256, 129, 0, 1, "registers"),
        (HOPPER, 256, 32, 0, 8, "warps"),
        (HOPPER, 32, 16, 0, 32, "blocks"),
        (TURING, 32, 16, 0, 16, "blocks"),
        (TURING, 1024, 32, 0, 1, "warps"),
        # 48 KiB and the system's 1 KiB: 228 / 49
        (HOPPER, 128, 32, 48 * 1024, 4, "shared memory"),
        # without the system's: 64 / 16
        (TURING, 32, 32, 16 * 1024, 4, "shared memory"),
        # 100 KiB: 10,001 + 1,024 bytes become 11,136 in units of 128
        (CONSUMER, 64, 32, 10_001, 9, "shared memory"),
        # 1024 threads x 65 registers are more than there are
        (HOPPER, 1024, 65, 0, 0, "registers"),
        # 1000 threads are 32 warps
        (HOPPER, 1000, 64, 0, 1, "registers"),
        # 9 warps are checked as 12: 12 x 32 x 176 registers
        (HOPPER, 288, 176, 0, 0, "registers"),
    ],
)
def test_by_hand(architecture, threads, registers, shared, blocks, limited_by):
    found = occupancy(architecture, threads, registers, shared)
    assert (found.blocks, found.limited_by) == (blocks, limited_by)
    assert found.warps == blocks * -(-threads // 32)
    assert found.most_warps == LIMITS[architecture].warps
    assert found.share == found.warps / found.most_warps


def test_an_unknown_architecture_is_one_line():
    with pytest.raises(LcbenchError, match=r"compute capability 6\.1 are not known here; those of .*9\.0"):
        occupancy((6, 1), 128, 32, 0)
